//! An aggregator that keeps every message and tells each client what it likes. It may have clients
//! of its own in the roster, whose secrets it knows.

use std::collections::BTreeMap;

use choir_shared::ids::{ClientIndex, SignatureBytes};
use choir_shared::messages::{AggregatorMessage, ClientMessage, Upload};
use choir_shared::round::{ClientEvent, InsecureQuorum};
use choir_shared::secure_sum::{
    self, Bitmap, Context, RosterEntry, Sign, ack_digest, mask_secret, open_box, pair_mask_key,
    pair_sign, reconstruct, roster_from_bytes, self_mask_key, x25519_public,
};
use choir_shared::task::TaskConfig;
use choir_shared::wire::{self, limits};
use curve25519_dalek::Scalar;
use ed25519_dalek::{Signer, SigningKey};

use crate::table::{Out, Table};

/// What one client is told: who shared, who survived.
#[derive(Clone, PartialEq)]
pub(crate) struct View {
    pub(crate) sharers: Bitmap,
    pub(crate) survivors: Bitmap,
}

struct Shared {
    out_list: Vec<u16>,
    boxes: Vec<Vec<u8>>,
}

/// A client that the aggregator made up: it signs what is asked of it and keeps what it is sent.
struct Invented {
    signing: SigningKey,
    channel: [u8; 32],
    mask: [u8; 32],
}

pub(crate) struct Stage {
    pub(crate) table: Table,
    pub(crate) clients: u16,
    context: Context,
    entries: Vec<RosterEntry>,
    invented: BTreeMap<u16, Invented>,
    shared: BTreeMap<u16, Shared>,
    views: BTreeMap<u16, View>,
    uploads: BTreeMap<u16, Vec<u32>>,
    acks: BTreeMap<u16, [u8; 64]>,
    opened: BTreeMap<u16, Vec<Scalar>>,
}

fn invented(index: u16) -> Invented {
    let secret = |kind: u8| {
        let mut bytes = [kind; 32];
        // Not in the first byte: clamping clears three of its bits.
        bytes[8..10].copy_from_slice(&index.to_le_bytes());
        bytes
    };
    Invented {
        signing: SigningKey::from_bytes(&secret(1)),
        channel: secret(2),
        mask: secret(3),
    }
}

fn decode(out: &Out) -> ClientMessage {
    wire::decode(out.bytes(), limits::CLIENT_MESSAGE).expect("a client's message")
}

impl Stage {
    /// A cohort after SHARE. The last `count` of its clients are invented.
    pub(crate) fn new(task: TaskConfig, count: u16, quorum: Option<InsecureQuorum>) -> Self {
        let clients = task.cohort.cohort_size;
        let (mut table, mut joins) = Table::of(task, 9);
        if let Some(quorum) = quorum {
            let rounds = table.clients.drain(..);
            table.clients = rounds
                .map(|client| client.with_insecure_quorum(quorum))
                .collect();
        }
        let mut made_up = BTreeMap::new();
        for (client, join) in &mut joins[usize::from(clients - count)..] {
            let index = *client as u16;
            let secrets = invented(index);
            let mut message = decode(join);
            if let ClientMessage::Join {
                signing_key,
                channel_key,
                mask_key,
                ..
            } = &mut message
            {
                signing_key.0 = secrets.signing.verifying_key().to_bytes();
                *channel_key = x25519_public(&secrets.channel);
                *mask_key = x25519_public(&secrets.mask);
            }
            *join = Out::Socket(wire::encode(&message));
            made_up.insert(index, secrets);
        }
        table.give_all(&joins);
        let roster = table.inbox.iter().find_map(|(_, message)| match message {
            AggregatorMessage::Roster { header, roster } => Some((header.clone(), roster.clone())),
            _ => None,
        });
        let (header, roster) = roster.expect("ROSTER");
        let entries = roster_from_bytes(&roster).expect("a roster");
        let mut stage = Self {
            context: Context::new(&header, &entries),
            table,
            clients,
            entries,
            invented: made_up,
            shared: BTreeMap::new(),
            views: BTreeMap::new(),
            uploads: BTreeMap::new(),
            acks: BTreeMap::new(),
            opened: BTreeMap::new(),
        };
        stage
            .table
            .inbox
            .retain(|(client, _)| *client < usize::from(clients - count));
        for (client, share) in stage.table.answers() {
            let ClientMessage::Share {
                out_list, boxes, ..
            } = decode(&share)
            else {
                panic!("SHARE")
            };
            let shared = Shared {
                out_list: out_list.iter().map(|other| other.0).collect(),
                boxes: boxes
                    .chunks(limits::BOX_BYTES)
                    .map(<[u8]>::to_vec)
                    .collect(),
            };
            stage.shared.insert(client as u16, shared);
        }
        stage
    }

    /// A set of clients.
    pub(crate) fn set(&self, contains: impl FnMut(u16) -> bool) -> Bitmap {
        Bitmap::from_fn(self.clients, contains)
    }

    /// The clients that are not invented.
    pub(crate) fn honest(&self) -> Vec<u16> {
        (0..self.clients)
            .filter(|index| !self.invented.contains_key(index))
            .collect()
    }

    fn in_list(&self, of: u16, sharers: &Bitmap) -> Vec<u16> {
        let chose = |(&owner, shared): (&u16, &Shared)| {
            let chosen = sharers.contains(owner) && shared.out_list.binary_search(&of).is_ok();
            chosen.then_some(owner)
        };
        self.shared.iter().filter_map(chose).collect()
    }

    fn sealed(&self, owner: u16, holder: u16) -> Option<(u16, &[u8])> {
        let shared = &self.shared[&owner];
        let place = shared.out_list.binary_search(&holder).ok()?;
        Some((place as u16 + 1, &shared.boxes[place]))
    }

    /// DELIVER, with the sharers of each client's own view. How many uploaded.
    pub(crate) fn deliver(&mut self, view: impl Fn(u16) -> View) -> usize {
        for index in self.honest() {
            let view = view(index);
            let senders = self.in_list(index, &view.sharers);
            let boxes = senders
                .iter()
                .flat_map(|&owner| self.sealed(owner, index).expect("it chose it").1.to_vec())
                .collect();
            let message = AggregatorMessage::Deliver {
                shared: view.sharers.as_bytes().to_vec(),
                senders: senders.into_iter().map(ClientIndex).collect(),
                boxes,
            };
            self.views.insert(index, view);
            if let [(_, Out::Upload(bytes))] = &self.table.tell(index.into(), message)[..] {
                let limit = limits::upload(bytes.len());
                let upload: Upload<'_> = wire::decode(bytes, limit).expect("UPLOAD");
                let words = self.table.task.ring().unpack(upload.words, self.len());
                self.uploads.insert(index, words.expect("packed words"));
                let client = &mut self.table.clients[usize::from(index)];
                client.handle(ClientEvent::Uploaded, &mut self.table.entropy);
            }
        }
        self.uploads.len()
    }

    fn len(&self) -> usize {
        self.table.plain[0].len()
    }

    /// SURVIVORS, each client its own view's. How many signed.
    pub(crate) fn survivors(&mut self) -> usize {
        for (index, view) in self.views.clone() {
            let message = AggregatorMessage::Survivors {
                survivors: view.survivors.as_bytes().to_vec(),
            };
            if let [(_, out)] = &self.table.tell(index.into(), message)[..] {
                let ClientMessage::Ack { signature, .. } = decode(out) else {
                    panic!("ACK")
                };
                self.acks.insert(index, signature.0);
            }
        }
        self.acks.len()
    }

    /// ACKS: each client gets every signature on its own view; the invented ones sign all of them.
    /// How many opened.
    pub(crate) fn acks(&mut self) -> usize {
        for (index, view) in self.views.clone() {
            let digest = ack_digest(&self.context, &view.sharers, &view.survivors);
            let signatures: BTreeMap<u16, [u8; 64]> = (0..self.clients)
                .filter_map(|signer| {
                    let signature = match self.invented.get(&signer) {
                        Some(secrets) => secrets.signing.sign(&digest.0).to_bytes(),
                        None => *self.acks.get(&signer)?,
                    };
                    let key = &self.entries[usize::from(signer)].signing_key;
                    secure_sum::verify(key, &digest.0, &SignatureBytes(signature))
                        .then_some((signer, signature))
                })
                .collect();
            let signers = self.set(|signer| signatures.contains_key(&signer));
            let message = AggregatorMessage::Acks {
                signers: signers.as_bytes().to_vec(),
                signatures: signatures.into_values().flatten().collect(),
            };
            if let [(_, out)] = &self.table.tell(index.into(), message)[..] {
                let ClientMessage::Open { shares, .. } = decode(out) else {
                    panic!("OPEN")
                };
                let scalar = |bytes: &[u8]| {
                    let bytes = bytes.try_into().expect("32 bytes");
                    Scalar::from_canonical_bytes(bytes).expect("canonical")
                };
                let shares = shares.chunks(32).map(scalar).collect();
                self.opened.insert(index, shares);
            }
        }
        self.opened.len()
    }

    /// The shares that the aggregator has of the target's seeds: of z_b, of z_s.
    pub(crate) fn shares_of(&self, target: u16) -> [Vec<(u16, Scalar)>; 2] {
        let mut kinds = [Vec::new(), Vec::new()];
        for (&holder, shares) in &self.opened {
            let view = &self.views[&holder];
            let owners = self.in_list(holder, &view.sharers);
            let Some(place) = owners.iter().position(|&owner| owner == target) else {
                continue;
            };
            let (point, _) = self.sealed(target, holder).expect("it chose it");
            let kind = usize::from(!view.survivors.contains(target));
            kinds[kind].push((point, shares[place]));
        }
        for (&holder, secrets) in &self.invented {
            let Some((point, sealed)) = self.sealed(target, holder) else {
                continue;
            };
            let to = (holder, &secrets.channel);
            let held = open_box(&self.context, &self.entries, target, to, sealed).expect("a box");
            for (kind, share) in kinds.iter_mut().zip(held.chunks(32)) {
                let bytes = share.try_into().expect("32 bytes");
                let share = Scalar::from_canonical_bytes(bytes).expect("canonical");
                kind.push((point, share));
            }
        }
        kinds
    }

    /// The target's update, if enough shares of both its seeds are there: its upload without its
    /// masks.
    pub(crate) fn unmask(&self, target: u16) -> Option<Vec<u32>> {
        let task = &self.table.task;
        let parameters = secure_sum::Parameters::new(
            self.clients,
            task.cohort.corrupt_permille,
            task.cohort.drop_permille,
        )?;
        let threshold = usize::from(parameters.threshold);
        let [seed_b, seed_s] = self.shares_of(target).map(|shares| {
            let enough = shares.get(..threshold)?;
            reconstruct(enough).ok()
        });
        let (seed_b, seed_s) = (seed_b?, seed_s?);
        let ring = task.ring();
        let mut words = self.uploads.get(&target)?.clone();
        let self_mask = self_mask_key(&self.context, &seed_b, target);
        secure_sum::add_mask(&mut words, &self_mask, Sign::Minus, ring);
        let secret = mask_secret(&seed_s);
        let own = &self.entries[usize::from(target)].mask_key;
        let view = &self.views[&target];
        let chosen = &self.shared[&target].out_list;
        let chose_it = self.in_list(target, &view.sharers);
        for other in view.sharers.others(target) {
            if !chosen.contains(&other) && !chose_it.contains(&other) {
                continue;
            }
            let theirs = &self.entries[usize::from(other)].mask_key;
            let shared = secure_sum::agree(&secret, theirs)?;
            let key = pair_mask_key(&self.context, &shared, own, theirs);
            let back = match pair_sign(target, other) {
                Sign::Plus => Sign::Minus,
                Sign::Minus => Sign::Plus,
            };
            secure_sum::add_mask(&mut words, &key, back, ring);
        }
        words.iter_mut().for_each(|word| *word &= ring.mask());
        Some(words)
    }

    /// Whether the aggregator has the target's update, word for word.
    pub(crate) fn has_bared(&self, target: u16) -> bool {
        self.unmask(target)
            .is_some_and(|words| words == self.table.plain[usize::from(target)])
    }
}

//! From DELIVER to UPLOAD: open the boxes, mask the update, forget it.

use alloc::vec::Vec;

use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use super::membership::Membership;
use super::sharing::Sharing;
use super::{Agreement, ClientEffect, ClientFault, HeldShares, State, Step};
use crate::ids::{ClientIndex, Digest, RoundId};
use crate::messages::Upload;
use crate::round::PhaseName;
use crate::secure_sum::{self, Bitmap, Ring, SessionSecrets, Sign};
use crate::wire;
use crate::wire::limits::BOX_BYTES;

/// As many times more clients than one chooses itself may choose one: by chance as many do as one
/// chooses, and three times that never.
const IN_DEGREE_FACTOR: usize = 3;

/// Has masked its update; waits for SURVIVORS.
pub(super) struct Masked {
    pub(super) membership: Membership,
    pub(super) signing: SigningKey,
    pub(super) sharers: Bitmap,
    pub(super) held: Vec<HeldShares>,
    /// The upload, until the aggregator has taken it.
    pub(super) pending: Option<Vec<u8>>,
    delivered: Digest,
}

impl Masked {
    pub(super) fn start(
        agreement: &Agreement,
        sharing: Sharing,
        shared: &[u8],
        senders: &[ClientIndex],
        boxes: &[u8],
    ) -> Step {
        let Sharing {
            membership,
            secrets,
            update,
            out_list,
            ..
        } = sharing;
        let sharers = Bitmap::from_bytes(membership.parameters.clients, shared)
            .filter(|sharers| sharers.contains(membership.index))
            .ok_or(ClientFault::Sharers)?;
        #[cfg(feature = "test-util")]
        let membership = membership.with_quorum_of(agreement, sharers.count());
        if !membership.parameters.can_unmask(sharers.count()) {
            return Err(ClientFault::Sharers.into());
        }
        let in_list = check_senders(&membership, &sharers, senders)?;
        let held = open_boxes(&membership, &secrets, &in_list, boxes)?;
        let neighbours = Bitmap::from_fn(membership.parameters.clients, |other| {
            sharers.contains(other) && (out_list.contains(&other) || in_list.contains(&other))
        });
        let mut words = update.into_words();
        let ring = agreement.task.ring();
        mask(&membership, &secrets, &neighbours, &mut words, ring)?;
        let signing = secrets.signing;
        let upload = seal_upload(
            agreement.round_id,
            &membership,
            &signing,
            &ring.pack(&words),
        );
        let effects = alloc::vec![
            ClientEffect::Phase(PhaseName::Collect),
            ClientEffect::Upload(upload.clone()),
        ];
        let delivered = digest(shared, senders, boxes);
        let pending = Some(upload);
        Ok((
            State::Masked(Self {
                membership,
                signing,
                sharers,
                held,
                pending,
                delivered,
            }),
            effects,
        ))
    }

    /// DELIVER again: the same upload again, if it had not been taken.
    pub(super) fn again(self, shared: &[u8], senders: &[ClientIndex], boxes: &[u8]) -> Step {
        if digest(shared, senders, boxes) != self.delivered {
            return Err(ClientFault::Equivocation.into());
        }
        let effects = self
            .pending
            .iter()
            .cloned()
            .map(ClientEffect::Upload)
            .collect();
        Ok((State::Masked(self), effects))
    }
}

/// What DELIVER said.
fn digest(shared: &[u8], senders: &[ClientIndex], boxes: &[u8]) -> Digest {
    let senders: Vec<u8> = senders.iter().flat_map(|s| s.0.to_le_bytes()).collect();
    Digest::of_parts(&[shared, &senders, boxes])
}

/// The clients that chose this one as neighbour: ascending, all of them among those who shared, and
/// not many more than would by chance. What an aggregator leaves out of the list makes the sum
/// garbage, and nothing else.
fn check_senders(
    membership: &Membership,
    sharers: &Bitmap,
    senders: &[ClientIndex],
) -> Result<Vec<u16>, ClientFault> {
    let senders: Vec<u16> = senders.iter().map(|sender| sender.0).collect();
    let ascends = senders.windows(2).all(|pair| pair[0] < pair[1]);
    let shared = |&sender: &u16| sender != membership.index && sharers.contains(sender);
    let most = IN_DEGREE_FACTOR * usize::from(membership.parameters.neighbours);
    if ascends && senders.len() <= most && senders.iter().all(shared) {
        Ok(senders)
    } else {
        Err(ClientFault::Sharers)
    }
}

fn open_boxes(
    membership: &Membership,
    secrets: &SessionSecrets,
    owners: &[u16],
    boxes: &[u8],
) -> Result<Vec<HeldShares>, ClientFault> {
    if boxes.len() != owners.len() * BOX_BYTES {
        return Err(ClientFault::ShareBox);
    }
    let to = (membership.index, &*secrets.channel);
    owners
        .iter()
        .zip(boxes.chunks_exact(BOX_BYTES))
        .map(|(&owner, sealed)| {
            secure_sum::open_box(&membership.context, &membership.roster, owner, to, sealed)
                .filter(|shares| shares.chunks_exact(32).all(is_canonical))
                .map(|shares| HeldShares { owner, shares })
                .ok_or(ClientFault::ShareBox)
        })
        .collect()
}

fn is_canonical(share: &[u8]) -> bool {
    share.try_into().is_ok_and(|bytes| {
        curve25519_dalek::Scalar::from_canonical_bytes(bytes)
            .map(|scalar| drop(Zeroizing::new(scalar)))
            .is_some()
            .into()
    })
}

/// Adds the self mask, and for every neighbour the mask shared with it.
fn mask(
    membership: &Membership,
    secrets: &SessionSecrets,
    neighbours: &Bitmap,
    words: &mut [u32],
    ring: Ring,
) -> Result<(), ClientFault> {
    let (context, index) = (&membership.context, membership.index);
    let key = secure_sum::self_mask_key(context, &secrets.seed_b, index);
    secure_sum::add_mask(words, &key, Sign::Plus, ring);
    let own = &membership.entry(index).mask_key;
    for other in neighbours.iter() {
        let theirs = &membership.entry(other).mask_key;
        let shared = secure_sum::agree(&secrets.mask, theirs).ok_or(ClientFault::RosterKeys)?;
        let key = secure_sum::pair_mask_key(context, &shared, own, theirs);
        secure_sum::add_mask(words, &key, secure_sum::pair_sign(index, other), ring);
    }
    Ok(())
}

fn seal_upload(round: RoundId, membership: &Membership, key: &SigningKey, words: &[u8]) -> Vec<u8> {
    let message =
        secure_sum::upload_message(&membership.context, membership.index, Digest::of(words));
    wire::encode(&Upload {
        round,
        index: ClientIndex(membership.index),
        signature: secure_sum::sign(key, &message),
        words,
    })
}

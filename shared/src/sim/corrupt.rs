//! Clients that do not keep to the protocol: an honest machine whose words are changed before they
//! are sent, under its own keys. The keys are known because everything that the machine draws is
//! written down.

use alloc::vec::Vec;
use core::mem;

use curve25519_dalek::Scalar;

use crate::entropy::{self, Entropy, InsecureSeededEntropy};
use crate::ids::{ClientIndex, Digest, PublicKey, SignatureBytes};
use crate::messages::{AggregatorMessage, ClientMessage, Upload};
use crate::secure_sum::{self, Context, Ring, RosterEntry, SessionSecrets, roster_from_bytes};
use crate::wire::{self, limits};

/// What a corrupt client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Corruption {
    /// Every share that it opens is another scalar.
    WrongShares,
    /// One of them is.
    OneWrongShare,
    /// The shares that it seals are of no polynomial, and the boxes open.
    InconsistentDealer,
    /// Some of its boxes are noise.
    GarbageBoxes,
    /// It commits to other seeds than it shares.
    WrongCommitments,
    /// Its vector is noise.
    GarbageVector,
    /// Its weight is above the largest.
    Overweight,
    /// One word of its update is one more.
    Poison,
    /// It signs and uploads as another client.
    Impostor,
    /// It sends well-formed messages out of turn.
    Babbler,
}

impl Corruption {
    /// Every one.
    pub const ALL: [Self; 10] = [
        Self::WrongShares,
        Self::OneWrongShare,
        Self::InconsistentDealer,
        Self::GarbageBoxes,
        Self::WrongCommitments,
        Self::GarbageVector,
        Self::Overweight,
        Self::Poison,
        Self::Impostor,
        Self::Babbler,
    ];
}

/// Entropy whose bytes are written down.
pub(super) struct Tap<'a> {
    source: &'a mut InsecureSeededEntropy,
    taken: Vec<u8>,
}

impl<'a> Tap<'a> {
    pub(super) const fn new(source: &'a mut InsecureSeededEntropy) -> Self {
        Self {
            source,
            taken: Vec::new(),
        }
    }

    pub(super) fn taken(self) -> Vec<u8> {
        self.taken
    }
}

impl Entropy for Tap<'_> {
    fn fill(&mut self, out: &mut [u8]) {
        self.source.fill(out);
        self.taken.extend_from_slice(out);
    }
}

/// What was written down, again.
struct Again<'a>(&'a [u8]);

impl Entropy for Again<'_> {
    fn fill(&mut self, out: &mut [u8]) {
        let (now, later) = self.0.split_at(out.len());
        out.copy_from_slice(now);
        self.0 = later;
    }
}

/// A corrupt client beside its machine.
pub(super) struct Liar {
    corruption: Corruption,
    drawn: Vec<u8>,
    membership: Option<(Context, Vec<RosterEntry>, u16)>,
    /// The upload that it sent, to be repeated.
    upload: Option<(Vec<u8>, Vec<u32>)>,
}

/// What a liar sends: instead of the true bytes, and beside them.
pub(super) struct Told {
    pub(super) bytes: Vec<u8>,
    pub(super) beside: Option<Vec<u8>>,
}

impl Liar {
    pub(super) const fn new(corruption: Corruption, drawn: Vec<u8>) -> Self {
        Self {
            corruption,
            drawn,
            membership: None,
            upload: None,
        }
    }

    /// It has joined anew, if anything was drawn.
    pub(super) fn renew(&mut self, drawn: Vec<u8>) {
        if !drawn.is_empty() {
            self.drawn = drawn;
        }
    }

    /// Learns the context and its own place.
    pub(super) fn hear(&mut self, message: &AggregatorMessage) {
        if let AggregatorMessage::Roster { header, roster } = message
            && let Some(roster) = roster_from_bytes(roster)
        {
            let own = self.secrets().public();
            let index = roster.iter().position(|entry| *entry == own);
            let context = Context::new(header, &roster);
            self.membership = index.map(|index| (context, roster, index as u16));
        }
    }

    fn secrets(&self) -> SessionSecrets {
        SessionSecrets::generate(&mut Again(&self.drawn))
    }

    pub(super) fn distort(&mut self, bytes: Vec<u8>, entropy: &mut InsecureSeededEntropy) -> Told {
        let mut message = wire::decode(&bytes, limits::CLIENT_MESSAGE).expect("a client's message");
        let beside = (self.corruption == Corruption::Babbler)
            .then(|| self.babble(&message, entropy))
            .map(|message| wire::encode(&message));
        let mut is_lie = true;
        match (self.corruption, &mut message) {
            (Corruption::WrongShares, ClientMessage::Open { shares, .. }) => {
                shares.chunks_exact_mut(32).for_each(|share| {
                    share.copy_from_slice(scalar(entropy).as_bytes());
                });
            }
            (Corruption::OneWrongShare, ClientMessage::Open { shares, .. }) => {
                let place = entropy.below(shares.len() as u64 / 32) as usize;
                if let Some(share) = shares.chunks_exact_mut(32).nth(place) {
                    share.copy_from_slice(scalar(entropy).as_bytes());
                }
            }
            (
                Corruption::InconsistentDealer,
                ClientMessage::Share {
                    out_list, boxes, ..
                },
            ) => *boxes = self.deal(out_list, entropy).unwrap_or_default(),
            (Corruption::GarbageBoxes, ClientMessage::Share { boxes, .. }) => {
                let from = entropy.below(boxes.len() as u64) as usize;
                entropy.fill(&mut boxes[from..]);
            }
            (
                Corruption::WrongCommitments,
                ClientMessage::Share {
                    commitment_b,
                    commitment_s,
                    ..
                },
            ) => {
                *commitment_b = Digest(entropy::array(entropy));
                *commitment_s = Digest(entropy::array(entropy));
            }
            (Corruption::Impostor, ClientMessage::Ack { index, .. }) => {
                *index = ClientIndex(index.0 ^ 1);
            }
            _ => is_lie = false,
        }
        Told {
            bytes: if is_lie {
                wire::encode(&message)
            } else {
                bytes
            },
            beside,
        }
    }

    /// Another upload and what it hides; none where it is the true one.
    pub(super) fn distort_upload(
        &mut self,
        bytes: &[u8],
        plain: &[u32],
        ring: Ring,
        entropy: &mut InsecureSeededEntropy,
    ) -> Option<(Vec<u8>, Vec<u32>)> {
        if self.upload.is_none() {
            self.upload = self.make_upload(bytes, plain, ring, entropy);
        }
        self.upload.clone()
    }

    fn make_upload(
        &self,
        bytes: &[u8],
        plain: &[u32],
        ring: Ring,
        entropy: &mut InsecureSeededEntropy,
    ) -> Option<(Vec<u8>, Vec<u32>)> {
        let upload: Upload<'_> = wire::decode(bytes, usize::MAX).ok()?;
        let (context, _, own) = self.membership.as_ref()?;
        let mut index = *own;
        let mut added = alloc::vec![0_u32; plain.len()];
        match self.corruption {
            Corruption::GarbageVector => {
                for word in &mut added {
                    *word = u32::from_le_bytes(entropy::array(entropy));
                }
            }
            Corruption::Overweight => *added.last_mut()? = 1_000,
            Corruption::Poison => {
                let place = entropy.below(plain.len() as u64) as usize;
                added[place] = 1;
            }
            Corruption::Impostor => index ^= 1,
            _ => return None,
        }
        let add = |(one, other): (&u32, &u32)| one.wrapping_add(*other) & ring.mask();
        let masked = ring.unpack(upload.words, plain.len())?;
        let masked: Vec<u32> = masked.iter().zip(&added).map(add).collect();
        let words = ring.pack(&masked);
        let message = secure_sum::upload_message(context, index, Digest::of(&words));
        let told = Upload {
            index: ClientIndex(index),
            signature: secure_sum::sign(&self.secrets().signing, &message),
            words: &words,
            ..upload
        };
        let hidden = plain.iter().zip(&added).map(add).collect();
        Some((wire::encode(&told), hidden))
    }

    /// Boxes that open, with shares of no polynomial in every other one.
    fn deal(&self, out_list: &[ClientIndex], entropy: &mut dyn Entropy) -> Option<Vec<u8>> {
        let (context, roster, own) = self.membership.as_ref()?;
        let secrets = self.secrets();
        let mut boxes = Vec::new();
        for to in out_list {
            let mut plain = [0; 64];
            plain[..32].copy_from_slice(scalar(entropy).as_bytes());
            plain[32..].copy_from_slice(scalar(entropy).as_bytes());
            let from = (*own, &*secrets.channel);
            boxes.extend(secure_sum::seal_box(context, roster, from, to.0, &plain)?);
        }
        Some(boxes)
    }

    /// A well-formed message of its own, of any phase.
    fn babble(&self, turn: &ClientMessage, entropy: &mut InsecureSeededEntropy) -> ClientMessage {
        let round = turn.round();
        let key = self.secrets().signing;
        let own = self.membership.as_ref();
        let index = ClientIndex(own.map_or(0, |(_, _, index)| *index));
        let clients = own.map_or(3, |(_, roster, _)| roster.len());
        match entropy.below(5) {
            0 => ClientMessage::Ack {
                round,
                index,
                signature: secure_sum::sign(&key, &entropy::array::<32>(entropy)),
            },
            1 => ClientMessage::Open {
                round,
                shares: (1..clients)
                    .flat_map(|_| scalar(entropy).to_bytes())
                    .collect(),
            },
            2 => ClientMessage::Share {
                round,
                out_list: (0..clients as u16)
                    .map(ClientIndex)
                    .filter(|other| *other != index)
                    .collect(),
                commitment_b: Digest(entropy::array(entropy)),
                commitment_s: Digest(entropy::array(entropy)),
                boxes: alloc::vec![7; (clients - 1) * limits::BOX_BYTES],
            },
            3 => ClientMessage::Resume {
                round,
                index,
                counter: entropy.next_u64(),
                signature: SignatureBytes(entropy::array(entropy)),
            },
            _ => ClientMessage::Join {
                round,
                version: crate::ids::Version(0),
                signing_key: PublicKey(key.verifying_key().to_bytes()),
                channel_key: PublicKey(entropy::array(entropy)),
                mask_key: PublicKey(entropy::array(entropy)),
                model_digest: Digest(entropy::array(entropy)),
                token: Vec::new(),
            },
        }
    }
}

fn scalar(entropy: &mut dyn Entropy) -> Scalar {
    mem::take(&mut *secure_sum::random_scalar(entropy))
}

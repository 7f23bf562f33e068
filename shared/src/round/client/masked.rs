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
        boxes: Vec<u8>,
    ) -> Step {
        let Sharing {
            membership,
            secrets,
            update,
            ..
        } = sharing;
        let sharers = Bitmap::from_bytes(membership.parameters.clients, shared)
            .filter(|sharers| sharers.contains(membership.index))
            .filter(|sharers| membership.parameters.can_unmask(sharers.count()))
            .filter(|sharers| {
                sharers
                    .others(membership.index)
                    .eq(senders.iter().map(|s| s.0))
            })
            .ok_or(ClientFault::Sharers)?;
        let held = open_boxes(&membership, &secrets, &sharers, &boxes)?;
        let mut words = update.into_words();
        let ring = agreement.task.ring();
        mask(&membership, &secrets, &sharers, &mut words, ring)?;
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
        let delivered = Digest::of_parts(&[shared, &boxes]);
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
    pub(super) fn again(self, shared: &[u8], boxes: &[u8]) -> Step {
        if Digest::of_parts(&[shared, boxes]) != self.delivered {
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

fn open_boxes(
    membership: &Membership,
    secrets: &SessionSecrets,
    sharers: &Bitmap,
    boxes: &[u8],
) -> Result<Vec<HeldShares>, ClientFault> {
    let owners: Vec<u16> = sharers.others(membership.index).collect();
    if boxes.len() != owners.len() * BOX_BYTES {
        return Err(ClientFault::ShareBox);
    }
    let to = (membership.index, &*secrets.channel);
    owners
        .into_iter()
        .zip(boxes.chunks_exact(BOX_BYTES))
        .map(|(owner, sealed)| {
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

/// Adds the self mask, and for every other client in `sharers` the mask shared with it.
fn mask(
    membership: &Membership,
    secrets: &SessionSecrets,
    sharers: &Bitmap,
    words: &mut [u32],
    ring: Ring,
) -> Result<(), ClientFault> {
    let (context, index) = (&membership.context, membership.index);
    let key = secure_sum::self_mask_key(context, &secrets.seed_b, index);
    secure_sum::add_mask(words, &key, Sign::Plus, ring);
    let own = &membership.entry(index).mask_key;
    for other in sharers.others(index) {
        let theirs = &membership.entry(other).mask_key;
        let shared = secure_sum::agree(&secrets.mask, theirs).ok_or(ClientFault::RosterKeys)?;
        let key = secure_sum::pair_mask_key(context, &shared, own, theirs);
        secure_sum::add_mask(words, &key, secure_sum::pair_sign(index, other), ring);
    }
    Ok(())
}

fn seal_upload(round: RoundId, membership: &Membership, key: &SigningKey, words: &[u8]) -> Vec<u8> {
    let message = secure_sum::upload_message(&membership.context, membership.index, words);
    wire::encode(&Upload {
        round,
        index: ClientIndex(membership.index),
        signature: secure_sum::sign(key, &message),
        words,
    })
}

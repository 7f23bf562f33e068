//! From SURVIVORS to DONE: sign one list of survivors, see a quorum on it, open one share of each
//! owner.

use alloc::vec::Vec;

use ed25519_dalek::SigningKey;

use super::masked::Masked;
use super::membership::Membership;
use super::{Agreement, ClientEffect, ClientFault, HeldShares, State, Step};
use crate::ids::{ClientIndex, Digest, RoundId, SignatureBytes};
use crate::messages::{ClientMessage, Receipt};
use crate::round::PhaseName;
use crate::secure_sum::{self, Bitmap};
use crate::wire;

/// The one sum that this client has agreed to.
pub(super) struct AgreedSum {
    membership: Membership,
    signing: SigningKey,
    survivors: Bitmap,
}

/// Has signed; waits for ACKS.
pub(super) struct Confirming {
    sum: AgreedSum,
    digest: Digest,
    held: Vec<HeldShares>,
    ack: Vec<u8>,
}

/// Has opened; waits for DONE.
pub(super) struct Opened {
    sum: AgreedSum,
    open: Vec<u8>,
}

impl Confirming {
    pub(super) fn start(agreement: &Agreement, masked: Masked, survivors: &[u8]) -> Step {
        let Masked {
            membership,
            signing,
            sharers,
            held,
            ..
        } = masked;
        let survivors = Bitmap::from_bytes(membership.parameters.clients, survivors)
            .filter(|survivors| survivors.is_subset(&sharers))
            .filter(|survivors| survivors.contains(membership.index))
            .filter(|survivors| membership.parameters.can_unmask(survivors.count()))
            .ok_or(ClientFault::Survivors)?;
        let digest = secure_sum::ack_digest(&membership.context, &sharers, &survivors);
        let ack = wire::encode(&ClientMessage::Ack {
            round: agreement.round_id,
            index: ClientIndex(membership.index),
            signature: secure_sum::sign(&signing, &digest.0),
        });
        let effects = alloc::vec![
            ClientEffect::Phase(PhaseName::Confirm),
            ClientEffect::Send(ack.clone()),
        ];
        let sum = AgreedSum {
            membership,
            signing,
            survivors,
        };
        Ok((
            State::Confirming(Self {
                sum,
                digest,
                held,
                ack,
            }),
            effects,
        ))
    }

    /// SURVIVORS again: the same ACK again. Another list is never signed.
    pub(super) fn again(self, survivors: &[u8]) -> Step {
        if survivors != self.sum.survivors.as_bytes() {
            return Err(ClientFault::Equivocation.into());
        }
        let ack = ClientEffect::Send(self.ack.clone());
        Ok((State::Confirming(self), alloc::vec![ack]))
    }

    pub(super) fn resume(&mut self, round: RoundId) -> ClientEffect {
        self.sum.membership.resume(round, &self.sum.signing)
    }

    pub(super) fn sum(self) -> AgreedSum {
        self.sum
    }

    pub(super) const fn index(&self) -> u16 {
        self.sum.membership.index
    }

    /// Valid signatures on this client's own digest, one for each client of the roster.
    fn valid_signatures(&self, signers: &[u8], signatures: &[u8]) -> Option<usize> {
        let membership = &self.sum.membership;
        let signers = Bitmap::from_bytes(membership.parameters.clients, signers)?;
        if signatures.len() != usize::from(signers.count()) * 64 {
            return None;
        }
        let is_valid = |(signer, signature): (u16, &[u8])| {
            signature.try_into().is_ok_and(|signature| {
                let key = &membership.entry(signer).signing_key;
                secure_sum::verify(key, &self.digest.0, &SignatureBytes(signature))
            })
        };
        Some(
            signers
                .iter()
                .zip(signatures.chunks_exact(64))
                .filter(|pair| is_valid(*pair))
                .count(),
        )
    }
}

impl Opened {
    pub(super) fn start(
        agreement: &Agreement,
        confirming: Confirming,
        signers: &[u8],
        signatures: &[u8],
    ) -> Step {
        let quorum = usize::from(confirming.sum.membership.parameters.quorum);
        confirming
            .valid_signatures(signers, signatures)
            .filter(|&valid| valid >= quorum)
            .ok_or(ClientFault::Quorum)?;
        let Confirming { sum, held, .. } = confirming;
        let shares = held
            .iter()
            .flat_map(|held| {
                let survived = sum.survivors.contains(held.owner);
                if survived {
                    &held.shares[..32]
                } else {
                    &held.shares[32..]
                }
            })
            .copied()
            .collect();
        let open = wire::encode(&ClientMessage::Open {
            round: agreement.round_id,
            shares,
        });
        let effects = alloc::vec![
            ClientEffect::Phase(PhaseName::Unmask),
            ClientEffect::Send(open.clone()),
        ];
        Ok((State::Opened(Self { sum, open }), effects))
    }

    /// ACKS again: the same OPEN again.
    pub(super) fn again(self) -> (State, Vec<ClientEffect>) {
        let open = ClientEffect::Send(self.open.clone());
        (State::Opened(self), alloc::vec![open])
    }

    pub(super) fn resume(&mut self, round: RoundId) -> ClientEffect {
        self.sum.membership.resume(round, &self.sum.signing)
    }

    pub(super) fn sum(self) -> AgreedSum {
        self.sum
    }

    pub(super) const fn index(&self) -> u16 {
        self.sum.membership.index
    }
}

impl AgreedSum {
    /// DONE: the receipt has to be of the sum that was agreed to.
    pub(super) fn finish(self, agreement: &Agreement, receipt: Receipt) -> Step {
        let agreed = receipt.round == agreement.round_id
            && receipt.version == agreement.version.next()
            && receipt.clients == self.membership.parameters.clients
            && receipt.survivors == self.survivors.count();
        if !agreed {
            return Err(ClientFault::Receipt.into());
        }
        let effects = alloc::vec![
            ClientEffect::Phase(PhaseName::Closed),
            ClientEffect::Finished(receipt),
        ];
        Ok((State::Over(PhaseName::Closed), effects))
    }
}

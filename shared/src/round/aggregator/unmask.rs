//! Phase unmask: OPEN in, DONE out. Seeds are put together from their shares, checked, and the
//! masks that they stand for are taken off the sum.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::closed::Closed;
use super::confirm::Confirm;
use super::members::Members;
use super::solve::{self, Seeds};
use super::{Effect, Phase, Terms};
use crate::ids::{ConnectionId, Digest, SignatureBytes, Timestamp};
use crate::messages::{AbortReason, AggregatorMessage};
use crate::reject::{Reject, RejectCode};
use crate::secure_sum::Bitmap;

/// What has been opened so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Unmask {
    pub(super) members: Members,
    pub(super) deadline: Timestamp,
    pub(super) commitments: Vec<Option<Digest>>,
    pub(super) sharers: Bitmap,
    pub(super) survivors: Bitmap,
    pub(super) acks: Vec<Option<SignatureBytes>>,
    pub(super) opened: Vec<Option<serde_bytes::ByteBuf>>,
    #[serde(skip)]
    pub(super) sum: Vec<u32>,
}

impl Unmask {
    pub(super) fn open(terms: &Terms, confirm: Confirm, now: Timestamp) -> (Phase, Vec<Effect>) {
        let Confirm {
            members,
            commitments,
            sharers,
            survivors,
            acks,
            sum,
            ..
        } = confirm;
        let opened = alloc::vec![None; usize::from(members.count())];
        let deadline = now.after(terms.setup.task.deadlines.unmask_ms);
        let phase = Self {
            members,
            deadline,
            commitments,
            sharers,
            survivors,
            acks,
            opened,
            sum,
        };
        let mut effects = phase
            .members
            .send_each(phase.survivors.iter(), |_| phase.acks_message());
        effects.push(Effect::WakeAt(deadline));
        (Phase::Unmask(phase), effects)
    }

    pub(super) fn acks_message(&self) -> AggregatorMessage {
        let signers = Bitmap::from_fn(self.members.count(), |index| self.has_signed(index));
        AggregatorMessage::Acks {
            signers: signers.as_bytes().to_vec(),
            signatures: self
                .acks
                .iter()
                .flatten()
                .flat_map(|signature| signature.0)
                .collect(),
        }
    }

    pub(super) fn has_signed(&self, index: u16) -> bool {
        self.acks[usize::from(index)].is_some()
    }

    pub(super) fn has_opened(&self, index: u16) -> bool {
        self.opened[usize::from(index)].is_some()
    }

    pub(super) fn accept(&mut self, from: ConnectionId, shares: Vec<u8>) -> Result<(), Reject> {
        let sender = self.members.sender(from)?;
        if !self.survivors.contains(sender) {
            return Err(RejectCode::Late.into());
        }
        if self.has_opened(sender) {
            return Err(RejectCode::Duplicate.into());
        }
        if shares.len() != self.sharers.others(sender).count() * 32 {
            return Err(RejectCode::WrongLength.into());
        }
        if !shares
            .chunks_exact(32)
            .all(|share| solve::scalar(share).is_some())
        {
            return Err(RejectCode::BadShare.into());
        }
        self.opened[usize::from(sender)] = Some(shares.into());
        Ok(())
    }

    /// The share of `owner`'s seed that `holder` opened.
    pub(super) fn share(&self, owner: u16, holder: u16) -> Option<&[u8]> {
        let shares = self.opened[usize::from(holder)].as_ref()?;
        let place = self
            .sharers
            .others(holder)
            .position(|other| other == owner)?;
        shares.get(place * 32..(place + 1) * 32)
    }

    /// Ends early once every seed can be put together, at the latest when nobody is left to wait
    /// for.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        let opened = |index| self.has_opened(index);
        now >= self.deadline
            || self.members.all_answered(self.survivors.iter(), opened)
            || Seeds::solve(self).is_ok()
    }

    pub(super) fn close(mut self, terms: &Terms) -> (Phase, Vec<Effect>) {
        let sum = core::mem::take(&mut self.sum);
        let unmasked = Seeds::solve(&self)
            .and_then(|seeds| seeds.unmask(&self, sum, terms.ring))
            .and_then(|sum| solve::check_range(terms, self.survivors.count(), sum));
        match unmasked {
            Ok(sum) => Closed::open(terms, self.members, self.survivors, sum),
            Err(reason) => Phase::abort_members(reason, &self.members),
        }
    }
}

impl From<solve::Unsolved> for AbortReason {
    fn from(unsolved: solve::Unsolved) -> Self {
        match unsolved {
            solve::Unsolved::TooFew => Self::TooFewOpened,
            solve::Unsolved::Wrong => Self::WrongShares,
        }
    }
}

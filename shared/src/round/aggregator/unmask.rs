//! Phase unmask: OPEN in, DONE out. Seeds are put together from their shares and checked; the masks
//! that they stand for are expanded by the caller and taken off the sum.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::closed::Closed;
use super::confirm::Confirm;
use super::graph::Sharing;
use super::members::Members;
use super::solve::{self, Seeds, Unsolved};
use super::{Dispute, Effect, Phase, Terms};
use crate::ids::{ConnectionId, SignatureBytes, Timestamp};
use crate::messages::{AbortReason, AggregatorMessage};
use crate::reject::{Reject, RejectCode};
use crate::secure_sum::{Bitmap, Expansion};

/// What has been opened so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Unmask {
    pub(super) members: Members,
    pub(super) deadline: Timestamp,
    #[serde(skip)]
    pub(super) sharing: Sharing,
    pub(super) sharers: Bitmap,
    pub(super) survivors: Bitmap,
    #[serde(skip)]
    pub(super) acks: Vec<Option<SignatureBytes>>,
    #[serde(skip)]
    pub(super) opened: Vec<Option<ByteBuf>>,
    #[serde(skip)]
    pub(super) sum: Vec<u32>,
    /// The masks, once every seed is known. Made anew after a restart.
    #[serde(skip)]
    pub(super) expansion: Option<Expansion>,
    #[serde(skip)]
    disputes: Vec<Dispute>,
    /// How many had opened when the seeds last did not fit their commitments.
    #[serde(skip)]
    tried: usize,
}

impl Unmask {
    pub(super) fn open(terms: &Terms, confirm: Confirm, now: Timestamp) -> (Phase, Vec<Effect>) {
        let Confirm {
            members,
            sharing,
            sharers,
            survivors,
            acks,
            sum,
            ..
        } = confirm;
        let phase = Self {
            opened: alloc::vec![None; usize::from(members.count())],
            deadline: now.after(terms.setup.task.deadlines.unmask_ms),
            members,
            sharing,
            sharers,
            survivors,
            acks,
            sum,
            expansion: None,
            disputes: Vec::new(),
            tried: 0,
        };
        let effects = alloc::vec![
            phase
                .members
                .send_all(phase.survivors.iter(), phase.acks_message()),
            Effect::WakeAt(phase.deadline),
        ];
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

    fn count_opened(&self) -> usize {
        self.opened.iter().flatten().count()
    }

    pub(super) fn accept(&mut self, from: ConnectionId, shares: Vec<u8>) -> Result<u16, Reject> {
        let sender = self.members.sender(from)?;
        if !self.survivors.contains(sender) {
            return Err(RejectCode::Late.into());
        }
        if self.has_opened(sender) {
            return Err(RejectCode::Duplicate.into());
        }
        if shares.len() != self.sharing.in_list(&self.sharers, sender).count() * 32 {
            return Err(RejectCode::WrongLength.into());
        }
        if !shares
            .chunks_exact(32)
            .all(|share| solve::scalar(share).is_some())
        {
            return Err(RejectCode::BadShare.into());
        }
        self.opened[usize::from(sender)] = Some(shares.into());
        Ok(sender)
    }

    /// Nobody is left to wait for.
    fn is_final(&self, now: Timestamp) -> bool {
        let opened = |index| self.has_opened(index);
        now >= self.deadline || self.members.all_answered(self.survivors.iter(), opened)
    }

    /// Ends early once every seed can be put together. Where some then did not fit, it is tried
    /// again when an eighth more have opened.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.expansion.is_none()
            && (self.is_final(now)
                || self.count_opened() > self.tried + self.tried / 8 && solve::has_enough(self))
    }

    pub(super) fn close(mut self, terms: &Terms, now: Timestamp) -> (Phase, Vec<Effect>) {
        let solved = Seeds::solve(&self)
            .and_then(|seeds| Ok((seeds.expansion(&self, terms.ring)?, seeds.disputes)));
        match solved {
            Ok((expansion, disputes)) => {
                self.expansion = Some(expansion);
                self.disputes = disputes;
                (Phase::Unmask(self), alloc::vec![Effect::Expand])
            }
            Err(Unsolved::Wrong) if !self.is_final(now) => {
                self.tried = self.count_opened();
                (Phase::Unmask(self), Vec::new())
            }
            Err(unsolved) => Phase::abort_members(unsolved.into(), &self.members),
        }
    }

    /// Takes the masks off the sum.
    pub(super) fn subtract(
        &mut self,
        terms: &Terms,
        masks: &[u32],
    ) -> Result<(Phase, Vec<Effect>), Reject> {
        if self.expansion.is_none() {
            return Err(RejectCode::WrongPhase.into());
        }
        if masks.len() != self.sum.len() {
            return Err(RejectCode::WrongLength.into());
        }
        let mut sum = core::mem::take(&mut self.sum);
        for (word, mask) in sum.iter_mut().zip(masks) {
            *word = word.wrapping_sub(*mask) & terms.ring.mask();
        }
        let members = self.members.clone();
        let survivors = self.survivors.clone();
        Ok(match solve::check_range(terms, survivors.count(), sum) {
            Ok(sum) => {
                let disputes = core::mem::take(&mut self.disputes);
                Closed::open(terms, members, survivors, sum, disputes)
            }
            Err(reason) => Phase::abort_members(reason, &members),
        })
    }
}

impl From<Unsolved> for AbortReason {
    fn from(unsolved: Unsolved) -> Self {
        match unsolved {
            Unsolved::TooFew => Self::TooFewOpened,
            Unsolved::Wrong => Self::WrongShares,
        }
    }
}

//! Phase confirm: ACK in, ACKS out. Nothing is opened unless a quorum of the roster signed one and
//! the same list of survivors.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::collect::Collect;
use super::graph::Sharing;
use super::members::Members;
use super::unmask::Unmask;
use super::{Effect, Phase, Terms};
use crate::ids::{ClientIndex, ConnectionId, SignatureBytes, Timestamp};
use crate::messages::{AbortReason, AggregatorMessage};
use crate::reject::{Reject, RejectCode};
use crate::secure_sum::{self, Bitmap};

/// Who is in the sum, and who of them has signed that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Confirm {
    pub(super) members: Members,
    pub(super) deadline: Timestamp,
    #[serde(skip)]
    pub(super) sharing: Sharing,
    pub(super) sharers: Bitmap,
    pub(super) survivors: Bitmap,
    #[serde(skip)]
    pub(super) acks: Vec<Option<SignatureBytes>>,
    #[serde(skip)]
    pub(super) sum: Vec<u32>,
}

impl Confirm {
    pub(super) fn open(terms: &Terms, collect: Collect, now: Timestamp) -> (Phase, Vec<Effect>) {
        let Collect {
            members,
            mut sharing,
            sharers,
            uploaded: survivors,
            sum,
            ..
        } = collect;
        sharing.forget_boxes();
        let phase = Self {
            deadline: now.after(terms.setup.task.deadlines.confirm_ms),
            sharing,
            acks: alloc::vec![None; usize::from(members.count())],
            members,
            sharers,
            survivors,
            sum,
        };
        let went_on = |index| phase.survivors.contains(index) || !phase.sharers.contains(index);
        let effects = alloc::vec![
            phase
                .members
                .send_all(phase.survivors.iter(), phase.survivors_message()),
            phase.members.tell_left_behind(went_on),
            Effect::WakeAt(phase.deadline),
        ];
        (Phase::Confirm(phase), effects)
    }

    pub(super) fn survivors_message(&self) -> AggregatorMessage {
        AggregatorMessage::Survivors {
            survivors: self.survivors.as_bytes().to_vec(),
        }
    }

    pub(super) fn has_signed(&self, index: u16) -> bool {
        self.acks[usize::from(index)].is_some()
    }

    pub(super) fn accept(
        &mut self,
        from: ConnectionId,
        index: ClientIndex,
        signature: SignatureBytes,
    ) -> Result<u16, Reject> {
        let sender = self.members.sender(from)?;
        if index.0 != sender {
            return Err(RejectCode::UnknownClient.into());
        }
        if !self.survivors.contains(sender) {
            return Err(RejectCode::Late.into());
        }
        if self.has_signed(sender) {
            return Err(RejectCode::Duplicate.into());
        }
        let digest = secure_sum::ack_digest(&self.members.context, &self.sharers, &self.survivors);
        let key = &self.members.entry(sender).signing_key;
        if !secure_sum::verify(key, &digest.0, &signature) {
            return Err(RejectCode::BadSignature.into());
        }
        self.acks[usize::from(sender)] = Some(signature);
        Ok(sender)
    }

    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        let signed = |index| self.has_signed(index);
        now >= self.deadline || self.members.all_answered(self.survivors.iter(), signed)
    }

    pub(super) fn close(self, terms: &Terms, now: Timestamp) -> (Phase, Vec<Effect>) {
        let signed = self.acks.iter().flatten().count();
        if signed < usize::from(self.members.parameters.quorum) {
            return Phase::abort_members(AbortReason::TooFewAcks, &self.members);
        }
        Unmask::open(terms, self, now)
    }
}

//! Phase collect: UPLOAD in, SURVIVORS out. A vector is added to the sum when it arrives and not
//! kept: there is only ever the sum.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::confirm::Confirm;
use super::graph::Sharing;
use super::members::Members;
use super::{Effect, Phase, Terms};
use crate::ids::{ClientIndex, Digest, Timestamp};
use crate::messages::{AbortReason, AggregatorMessage, Upload};
use crate::reject::{Reject, RejectCode};
use crate::secure_sum::{self, Bitmap};

/// The sum so far, and who is in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Collect {
    pub(super) members: Members,
    pub(super) deadline: Timestamp,
    #[serde(skip)]
    pub(super) sharing: Sharing,
    pub(super) sharers: Bitmap,
    pub(super) uploaded: Bitmap,
    #[serde(skip)]
    pub(super) sum: Vec<u32>,
}

impl Collect {
    pub(super) fn open(
        terms: &Terms,
        members: Members,
        sharing: Sharing,
        sharers: Bitmap,
        now: Timestamp,
    ) -> (Phase, Vec<Effect>) {
        let deadline = now.after(terms.setup.task.deadlines.collect_ms);
        let uploaded = Bitmap::new(members.count());
        let sum = alloc::vec![0; terms.ring_len];
        let phase = Self {
            members,
            deadline,
            sharing,
            sharers,
            uploaded,
            sum,
        };
        let mut effects = phase
            .members
            .send_each(phase.sharers.iter(), |index| phase.deliver_message(index));
        effects.extend([
            phase
                .members
                .tell_left_behind(|index| phase.sharers.contains(index)),
            Effect::WakeAt(deadline),
        ]);
        (Phase::Collect(phase), effects)
    }

    pub(super) fn deliver_message(&self, index: u16) -> AggregatorMessage {
        let senders: Vec<u16> = self.sharing.in_list(&self.sharers, index).collect();
        AggregatorMessage::Deliver {
            shared: self.sharers.as_bytes().to_vec(),
            boxes: senders
                .iter()
                .filter_map(|&owner| self.sharing.box_for(owner, index))
                .collect::<Vec<&[u8]>>()
                .concat(),
            senders: senders.into_iter().map(ClientIndex).collect(),
        }
    }

    /// Adds a vector; `digest` is SHA-256 of its packed words.
    pub(super) fn accept(
        &mut self,
        terms: &Terms,
        upload: &Upload<'_>,
        digest: Digest,
    ) -> Result<(), Reject> {
        let index = upload.index.0;
        let entry = self
            .members
            .bound
            .roster
            .entries
            .get(usize::from(index))
            .ok_or(RejectCode::UnknownClient)?;
        if !self.sharers.contains(index) {
            return Err(RejectCode::Late.into());
        }
        if self.uploaded.contains(index) {
            return Err(RejectCode::Duplicate.into());
        }
        if upload.words.len() != terms.ring.packed_len(self.sum.len()) {
            return Err(RejectCode::WrongLength.into());
        }
        let message = secure_sum::upload_message(&self.members.context, index, digest);
        if !secure_sum::verify(&entry.signing_key, &message, &upload.signature) {
            return Err(RejectCode::BadSignature.into());
        }
        if !terms.ring.add_packed(&mut self.sum, upload.words) {
            return Err(RejectCode::WrongLength.into());
        }
        self.uploaded.insert(index);
        Ok(())
    }

    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        let uploaded = |index| self.uploaded.contains(index);
        now >= self.deadline || self.members.all_answered(self.sharers.iter(), uploaded)
    }

    pub(super) fn close(self, terms: &Terms, now: Timestamp) -> (Phase, Vec<Effect>) {
        if !self.members.parameters.can_unmask(self.uploaded.count()) {
            return Phase::abort_members(AbortReason::TooFewSurvivors, &self.members);
        }
        Confirm::open(terms, self, now)
    }
}

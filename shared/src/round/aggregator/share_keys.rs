//! Phase share keys: SHARE in, DELIVER out.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::collect::Collect;
use super::members::Members;
use super::{Effect, Phase, Terms};
use crate::ids::{ClientIndex, ConnectionId, Digest, Timestamp};
use crate::messages::AbortReason;
use crate::reject::{Reject, RejectCode};
use crate::secure_sum::Bitmap;
use crate::wire::limits::BOX_BYTES;

/// What one client shared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shared {
    pub(super) commitment_b: Digest,
    pub(super) commitment_s: Digest,
    #[serde(with = "serde_bytes")]
    pub(super) boxes: Vec<u8>,
}

impl Shared {
    /// The box for `to` of the boxes of `from`: those are for all others, ascending.
    pub(super) fn box_for(&self, from: u16, to: u16) -> &[u8] {
        let place = usize::from(if to < from { to } else { to - 1 });
        &self.boxes[place * BOX_BYTES..(place + 1) * BOX_BYTES]
    }
}

/// Who has shared so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ShareKeys {
    pub(super) members: Members,
    pub(super) deadline: Timestamp,
    pub(super) shared: Vec<Option<Shared>>,
}

impl ShareKeys {
    pub(super) fn open(terms: &Terms, members: Members, now: Timestamp) -> (Phase, Vec<Effect>) {
        let deadline = now.after(terms.setup.task.deadlines.share_keys_ms);
        let mut effects =
            members.send_each(members.indices(), |index| members.roster_message(index));
        effects.push(Effect::WakeAt(deadline));
        let shared = alloc::vec![None; usize::from(members.count())];
        (
            Phase::ShareKeys(Self {
                members,
                deadline,
                shared,
            }),
            effects,
        )
    }

    pub(super) fn accept(
        &mut self,
        from: ConnectionId,
        out_list: &[ClientIndex],
        shared: Shared,
    ) -> Result<(), Reject> {
        let index = self.members.sender(from)?;
        if self.shared[usize::from(index)].is_some() {
            return Err(RejectCode::Duplicate.into());
        }
        let neighbours = usize::from(self.members.parameters.neighbours);
        if out_list.len() != neighbours || shared.boxes.len() != neighbours * BOX_BYTES {
            return Err(RejectCode::WrongLength.into());
        }
        let others = self.members.indices().filter(|&other| other != index);
        if !others.eq(out_list.iter().map(|other| other.0)) {
            return Err(RejectCode::WrongNeighbours.into());
        }
        self.shared[usize::from(index)] = Some(shared);
        Ok(())
    }

    pub(super) fn has_shared(&self, index: u16) -> bool {
        self.shared[usize::from(index)].is_some()
    }

    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        let members = &self.members;
        now >= self.deadline
            || members.all_answered(members.indices(), |index| self.has_shared(index))
    }

    pub(super) fn close(self, terms: &Terms, now: Timestamp) -> (Phase, Vec<Effect>) {
        let shared = Bitmap::from_fn(self.members.count(), |index| self.has_shared(index));
        if !self.members.parameters.can_unmask(shared.count()) {
            return Phase::abort_members(AbortReason::TooFewShares, &self.members);
        }
        Collect::open(terms, self.members, self.shared, shared, now)
    }
}

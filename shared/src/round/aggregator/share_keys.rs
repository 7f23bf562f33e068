//! Phase share keys: SHARE in, DELIVER out.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::collect::Collect;
use super::graph::{Shared, Sharing};
use super::members::Members;
use super::{Effect, Phase, Terms};
use crate::ids::{ClientIndex, ConnectionId, Timestamp};
use crate::messages::AbortReason;
use crate::reject::{Reject, RejectCode};
use crate::wire::limits::BOX_BYTES;

/// Who has shared so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ShareKeys {
    pub(super) members: Members,
    pub(super) deadline: Timestamp,
    #[serde(skip)]
    pub(super) sharing: Sharing,
}

impl ShareKeys {
    pub(super) fn open(terms: &Terms, members: Members, now: Timestamp) -> (Phase, Vec<Effect>) {
        let deadline = now.after(terms.setup.task.deadlines.share_keys_ms);
        let effects = alloc::vec![
            members.send_all(members.indices(), members.roster_message()),
            Effect::WakeAt(deadline),
        ];
        let phase = Self {
            sharing: Sharing::new(members.count()),
            members,
            deadline,
        };
        (Phase::ShareKeys(phase), effects)
    }

    pub(super) fn accept(
        &mut self,
        from: ConnectionId,
        out_list: &[ClientIndex],
        shared: Shared,
    ) -> Result<u16, Reject> {
        let index = self.members.sender(from)?;
        if self.has_shared(index) {
            return Err(RejectCode::Duplicate.into());
        }
        let neighbours = usize::from(self.members.parameters.neighbours);
        if out_list.len() != neighbours || shared.boxes.len() != neighbours * BOX_BYTES {
            return Err(RejectCode::WrongLength.into());
        }
        let ascends = out_list.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let others = |other: &ClientIndex| other.0 != index && other.0 < self.members.count();
        if !ascends || !out_list.iter().all(others) {
            return Err(RejectCode::WrongNeighbours.into());
        }
        self.sharing.insert(index, shared);
        Ok(index)
    }

    pub(super) fn has_shared(&self, index: u16) -> bool {
        self.sharing.of(index).is_some()
    }

    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        let members = &self.members;
        now >= self.deadline
            || members.all_answered(members.indices(), |index| self.has_shared(index))
    }

    pub(super) fn close(self, terms: &Terms, now: Timestamp) -> (Phase, Vec<Effect>) {
        let sharers = self.sharing.sharers(self.members.count());
        if !self.members.parameters.can_unmask(sharers.count()) {
            return Phase::abort_members(AbortReason::TooFewShares, &self.members);
        }
        Collect::open(terms, self.members, self.sharing, sharers, now)
    }
}

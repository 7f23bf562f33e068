//! Where a round stands, seen from outside, and what it says to messages that come too early, too
//! late or again.

use alloc::vec::Vec;

use super::{Effect, Outcome, Phase, Round};
use crate::control::{RoundCounts, RoundStatus};
use crate::ids::{ConnectionId, Timestamp};
use crate::messages::{AbortReason, AggregatorMessage, ClientMessage};
use crate::reject::{Reject, RejectCode};
use crate::round::PhaseName;
use crate::round::aggregator::members::Members;

impl Round {
    /// Where it stands.
    #[must_use]
    pub const fn phase(&self) -> PhaseName {
        match self.phase {
            Phase::Enroll(_) => PhaseName::Enroll,
            Phase::ShareKeys(_) => PhaseName::ShareKeys,
            Phase::Collect(_) => PhaseName::Collect,
            Phase::Confirm(_) => PhaseName::Confirm,
            Phase::Unmask(_) => PhaseName::Unmask,
            Phase::Closed(_) => PhaseName::Closed,
            Phase::Aborted(_) => PhaseName::Aborted,
        }
    }

    /// When the phase ends at the latest; none where nothing is waited for.
    #[must_use]
    pub const fn deadline(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Enroll(phase) => phase.deadline,
            Phase::ShareKeys(phase) => Some(phase.deadline),
            Phase::Collect(phase) => Some(phase.deadline),
            Phase::Confirm(phase) => Some(phase.deadline),
            Phase::Unmask(phase) => Some(phase.deadline),
            Phase::Closed(_) | Phase::Aborted(_) => None,
        }
    }

    /// The connections of those who are in the lobby; none once the round has started.
    #[must_use]
    pub fn lobby(&self) -> Vec<ConnectionId> {
        match &self.phase {
            Phase::Enroll(phase) => phase.connections(),
            _ => Vec::new(),
        }
    }

    /// Why it was aborted, if it was.
    #[must_use]
    pub const fn abort_reason(&self) -> Option<AbortReason> {
        match &self.phase {
            Phase::Aborted(reason) => Some(*reason),
            _ => None,
        }
    }

    /// What came of it, once closed; for an object that was restarted before it had published.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match &self.phase {
            Phase::Closed(phase) => Some(phase.outcome(&self.terms)),
            _ => None,
        }
    }

    /// How many clients have come how far.
    #[must_use]
    pub fn counts(&self) -> RoundCounts {
        let cohort = &self.terms.setup.task.cohort;
        let mut counts = RoundCounts {
            cohort_size: cohort.cohort_size,
            min_cohort: cohort.min_cohort,
            ..RoundCounts::default()
        };
        if let Some(members) = self.phase.members() {
            counts.joined = members.count();
            counts.connected = members.connected();
        }
        match &self.phase {
            Phase::Enroll(phase) => {
                counts.joined = phase.joined();
                counts.connected = phase.joined();
            }
            Phase::ShareKeys(phase) => {
                counts.shared = phase.sharing.sharers(phase.members.count()).count();
            }
            Phase::Collect(phase) => {
                counts.shared = phase.sharers.count();
                counts.survivors = phase.uploaded.count();
            }
            Phase::Confirm(phase) => {
                counts.shared = phase.sharers.count();
                counts.survivors = phase.survivors.count();
                counts.acknowledged = phase.acks.iter().flatten().count() as u16;
            }
            Phase::Unmask(phase) => {
                counts.shared = phase.sharers.count();
                counts.survivors = phase.survivors.count();
                counts.acknowledged = phase.acks.iter().flatten().count() as u16;
                counts.opened = phase.opened.iter().flatten().count() as u16;
            }
            Phase::Closed(phase) => counts.survivors = phase.survivors.count(),
            Phase::Aborted(_) => {}
        }
        counts
    }

    /// The round from outside.
    #[must_use]
    pub fn status(&self) -> RoundStatus {
        RoundStatus {
            round: self.terms.setup.round_id,
            task: self.terms.setup.task_id,
            version: self.terms.setup.version,
            phase: self.phase(),
            counts: self.counts(),
            deadline: self.deadline(),
            abort_reason: self.abort_reason(),
        }
    }
}

impl Phase {
    pub(super) const fn members(&self) -> Option<&Members> {
        match self {
            Self::Enroll(_) | Self::Aborted(_) => None,
            Self::ShareKeys(phase) => Some(&phase.members),
            Self::Collect(phase) => Some(&phase.members),
            Self::Confirm(phase) => Some(&phase.members),
            Self::Unmask(phase) => Some(&phase.members),
            Self::Closed(phase) => Some(&phase.members),
        }
    }

    pub(super) const fn members_mut(&mut self) -> Option<&mut Members> {
        match self {
            Self::Enroll(_) | Self::Aborted(_) => None,
            Self::ShareKeys(phase) => Some(&mut phase.members),
            Self::Collect(phase) => Some(&mut phase.members),
            Self::Confirm(phase) => Some(&mut phase.members),
            Self::Unmask(phase) => Some(&mut phase.members),
            Self::Closed(phase) => Some(&mut phase.members),
        }
    }

    /// What a client that is back gets again: the message that it has to answer, or the result; or
    /// that the round went on without it.
    pub(super) fn catch_up(&self, index: u16) -> Option<Effect> {
        let (went_on, message) = match self {
            Self::Enroll(_) | Self::Aborted(_) => return None,
            Self::ShareKeys(phase) => (
                true,
                (!phase.has_shared(index)).then(|| phase.members.roster_message()),
            ),
            Self::Collect(phase) => (
                phase.sharers.contains(index),
                (!phase.uploaded.contains(index)).then(|| phase.deliver_message(index)),
            ),
            Self::Confirm(phase) => (
                phase.survivors.contains(index),
                (!phase.has_signed(index)).then(|| phase.survivors_message()),
            ),
            Self::Unmask(phase) => (
                phase.survivors.contains(index),
                (!phase.has_opened(index)).then(|| phase.acks_message()),
            ),
            Self::Closed(phase) => (phase.survivors.contains(index), Some(phase.done_message())),
        };
        let late = AggregatorMessage::Refused {
            code: RejectCode::Late,
            version: None,
        };
        self.members()?
            .send(index, if went_on { message? } else { late })
    }

    /// Why a message is refused that this phase does not take.
    pub(super) fn refuse(&self, from: ConnectionId, message: &ClientMessage) -> Reject {
        let sender = match self {
            Self::Enroll(phase) if phase.contains(from) => {
                return RejectCode::WrongPhase.into();
            }
            phase => phase
                .members()
                .and_then(|members| members.sender(from).ok()),
        };
        let Some(index) = sender else {
            return RejectCode::UnknownClient.into();
        };
        let (answered, over) = match (self, message) {
            (Self::Collect(phase), ClientMessage::Share { .. }) => {
                (phase.sharers.contains(index), true)
            }
            (Self::Confirm(phase), ClientMessage::Share { .. }) => {
                (phase.sharers.contains(index), true)
            }
            (Self::Unmask(phase), ClientMessage::Share { .. }) => {
                (phase.sharers.contains(index), true)
            }
            (Self::Unmask(phase), ClientMessage::Ack { .. }) => (phase.has_signed(index), true),
            (Self::Closed(_), _) => (false, true),
            _ => (false, false),
        };
        let code = if answered {
            RejectCode::Duplicate
        } else if over {
            RejectCode::Late
        } else {
            RejectCode::WrongPhase
        };
        code.into()
    }

    /// Why an upload is refused outside of collect.
    pub(super) fn refuse_upload(&self, index: u16) -> Reject {
        let uploaded = match self {
            Self::Aborted(_) => return RejectCode::RoundAborted.into(),
            Self::Enroll(_) => return RejectCode::WrongPhase.into(),
            phase
                if phase
                    .members()
                    .is_none_or(|members| index >= members.count()) =>
            {
                return RejectCode::UnknownClient.into();
            }
            Self::ShareKeys(_) | Self::Collect(_) => return RejectCode::WrongPhase.into(),
            Self::Confirm(phase) => phase.survivors.contains(index),
            Self::Unmask(phase) => phase.survivors.contains(index),
            Self::Closed(phase) => phase.survivors.contains(index),
        };
        if uploaded {
            RejectCode::Duplicate.into()
        } else {
            RejectCode::Late.into()
        }
    }
}

//! One round in numbers, while it runs: counts and durations, nothing that names a client.
//!
//! They are stored with the round's next change, so a refusal that no accepted event follows is lost
//! with the object's memory.

use std::collections::BTreeMap;

use choir_shared::ids::Timestamp;
use choir_shared::reject::RejectCode;
use choir_shared::report::RoundFigures;
use choir_shared::round::{PhaseName, Round};
use serde::{Deserialize, Serialize};

use super::live::Traffic;

/// What is counted of an open round.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Figures {
    refusals: BTreeMap<RejectCode, u32>,
    phases: BTreeMap<PhaseName, u64>,
    /// Clients in the roster or lobby, at the last look.
    joined: u16,
    /// When the current phase began; the lobby begins with its first JOIN.
    since: Option<Timestamp>,
}

impl Figures {
    /// A message or an upload was refused.
    pub(super) fn refused(&mut self, code: RejectCode) {
        *self.refusals.entry(code).or_default() += 1;
    }

    /// Something happened to the round, which was in phase `before`.
    pub(super) fn look(&mut self, round: &Round, before: PhaseName, now: Timestamp) {
        let phase = round.phase();
        // A round that ends without a result forgets its roster: what was seen last stands.
        if phase != PhaseName::Aborted {
            self.joined = round.counts().joined;
        }
        if phase != before {
            if let Some(since) = self.since {
                self.phases.insert(before, now.0.saturating_sub(since.0));
            }
            self.since = Some(now);
        } else if phase == PhaseName::Enroll {
            let since = self.since.unwrap_or(now);
            self.since = round.deadline().map(|_| since);
        }
    }

    /// What is reported of the round when it is over.
    pub(super) fn finished(&self, traffic: Traffic) -> RoundFigures {
        RoundFigures {
            joined: self.joined,
            refusals: self.refusals.clone(),
            phases: self.phases.clone(),
            bytes_up: traffic.up,
            bytes_down: traffic.down,
        }
    }
}

//! The leader's side of mode B: collects reports, asks the helper, makes the sum.
//!
//! Of a report only its identifier, its sealed seed and its vector's digest are held here, 128 bytes
//! each. The vectors themselves are the host's to keep until the batch is answered, as only the
//! answer says which of them belong into the sum; [`BatchSum`] then takes them one at a time, so that
//! no more than the sum and one vector are in memory.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::messages::{self, BatchRefusal, BatchReply, BatchRequest, Report, SealedReport};
use super::{ReportContext, ReportHeader};
use crate::control::{RoundCounts, RoundStatus};
use crate::ids::{Digest, ReportId, SealedSeed, Timestamp};
use crate::reject::{Reject, RejectCode};
use crate::round::{PhaseName, RoundSetup, StateError};
use crate::secure_sum::Ring;
use crate::task::TaskError;
use crate::wire::{self, WireError};

mod sum;

pub use sum::{BatchSum, SumError};

/// What the leader holds of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// The sealed seed.
    pub seed: SealedSeed,
    /// SHA-256 of the masked vector.
    pub vector: Digest,
}

/// What is to be done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaderEffect {
    /// Keep this, and the report's words beside it; before the client is answered.
    Keep(ReportId, Received),
    /// Call [`Leader::tick`] at this time.
    WakeAt(Timestamp),
    /// Send [`Leader::batch`] to the helper until it replies.
    Ask,
}

/// A reply that makes no sum.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaderFault {
    /// The helper refused the batch.
    #[error("the helper refused the batch: {0}")]
    Refused(BatchRefusal),
    /// The bytes are no reply.
    #[error("the helper's reply does not decode: {0}")]
    Wire(#[from] WireError),
    /// Nothing was asked, or the reply is to another batch.
    #[error("the reply is to another batch")]
    OtherBatch,
    /// It leaves out what was not asked for, or so much that the rest is below the minimum.
    #[error("the reply leaves out what it must not")]
    LeftOut,
    /// The masks have another length.
    #[error("the reply's masks have another length")]
    Masks,
}

/// Where a batch stands. The order is the stored format: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    Collect,
    Ask,
    Over,
}

/// What is stored beside the reports.
#[derive(Serialize, Deserialize)]
struct Stored {
    setup: RoundSetup,
    deadline: Option<Timestamp>,
    stage: Stage,
}

/// One round in mode B.
#[derive(Clone, Debug)]
pub struct Leader {
    setup: RoundSetup,
    header: Vec<u8>,
    context: ReportContext,
    ring: Ring,
    ring_len: usize,
    reports: BTreeMap<ReportId, Received>,
    deadline: Option<Timestamp>,
    stage: Stage,
}

impl Leader {
    /// Opens a round.
    ///
    /// # Errors
    /// [`TaskError`] if the task's settings make no sense, [`TaskError::Helper`] if it has one
    /// aggregator.
    pub fn new(setup: RoundSetup) -> Result<Self, TaskError> {
        setup.task.check()?;
        let model_digest = setup.task.model_digest(setup.version, setup.adapter);
        let header = ReportHeader::new(&setup.task, setup.task_id, setup.round_id, model_digest)?
            .ok_or(TaskError::Helper)?;
        Ok(Self {
            ring: setup.task.ring(),
            ring_len: header.d as usize,
            context: header.context(),
            header: header.to_bytes(),
            setup,
            reports: BTreeMap::new(),
            deadline: None,
            stage: Stage::Collect,
        })
    }

    /// The small part of the state, as it is stored; reports are stored by [`LeaderEffect::Keep`].
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::encode(&Stored {
            setup: self.setup.clone(),
            deadline: self.deadline,
            stage: self.stage,
        })
    }

    /// A round from what was stored.
    ///
    /// # Errors
    /// [`StateError`] if the bytes are not that.
    pub fn from_parts(
        bytes: &[u8],
        reports: BTreeMap<ReportId, Received>,
    ) -> Result<Self, StateError> {
        let stored: Stored = wire::decode(bytes, wire::limits::ROUND_PART)?;
        Ok(Self {
            reports,
            deadline: stored.deadline,
            stage: stored.stage,
            ..Self::new(stored.setup)?
        })
    }

    /// Takes a report.
    ///
    /// # Errors
    /// [`Reject`]; nothing has changed then. [`RejectCode::Duplicate`] is of a report that is there
    /// already: to its client that means that it is taken.
    pub fn report(&mut self, bytes: &[u8], now: Timestamp) -> Result<Vec<LeaderEffect>, Reject> {
        let report: Report<'_> = wire::decode(bytes, self.report_limit())?;
        if report.round != self.setup.round_id {
            return Err(RejectCode::WrongRound.into());
        }
        if report.context != self.context {
            return Err(RejectCode::WrongModel.into());
        }
        if self.reports.contains_key(&report.id) {
            return Err(RejectCode::Duplicate.into());
        }
        if self.stage != Stage::Collect {
            return Err(RejectCode::Late.into());
        }
        if self.ring.unpack(report.words, self.ring_len).is_none() {
            return Err(RejectCode::WrongLength.into());
        }
        let received = Received {
            seed: report.seed,
            vector: Digest::of(report.words),
        };
        self.reports.insert(report.id, received);
        let mut effects = alloc::vec![LeaderEffect::Keep(report.id, received)];
        if self.deadline.is_none() {
            let deadline = now.after(self.setup.task.deadlines.enroll_ms);
            self.deadline = Some(deadline);
            effects.push(LeaderEffect::WakeAt(deadline));
        }
        effects.extend(self.tick(now));
        Ok(effects)
    }

    /// Time has passed. A batch closes when it is full, or, from the deadline on, as soon as it has
    /// the least number of reports.
    pub fn tick(&mut self, now: Timestamp) -> Option<LeaderEffect> {
        let (count, cohort) = (self.count(), &self.setup.task.cohort);
        let is_due = self.deadline.is_some_and(|deadline| now >= deadline);
        let is_full = count >= cohort.cohort_size || is_due && count >= cohort.min_cohort;
        (self.stage == Stage::Collect && is_full).then(|| {
            self.stage = Stage::Ask;
            LeaderEffect::Ask
        })
    }

    /// Ends the round without a result.
    pub const fn stop(&mut self) {
        self.stage = Stage::Over;
    }

    /// What the helper is asked, once the batch is closed: the same bytes each time.
    #[must_use]
    pub fn batch(&self) -> Option<Vec<u8>> {
        (self.stage == Stage::Ask).then(|| {
            wire::encode(&BatchRequest {
                header: self.header.clone(),
                reports: self
                    .reports
                    .iter()
                    .map(|(&id, received)| SealedReport {
                        id,
                        seed: received.seed,
                        vector: received.vector,
                    })
                    .collect(),
            })
        })
    }

    /// What the helper's reply makes of the batch: the sum to which each vector is now added.
    ///
    /// # Errors
    /// [`LeaderFault`].
    pub fn replied(&self, reply: &[u8]) -> Result<BatchSum, LeaderFault> {
        let batch = self.batch().ok_or(LeaderFault::OtherBatch)?;
        let answer = match wire::decode(reply, self.reply_limit())? {
            BatchReply::Answer(answer) => answer,
            BatchReply::Refused(refusal) => return Err(LeaderFault::Refused(refusal)),
        };
        if answer.batch != Digest::of(&batch) {
            return Err(LeaderFault::OtherBatch);
        }
        let mut wanted = self.reports.clone();
        for id in &answer.left_out {
            wanted.remove(id).ok_or(LeaderFault::LeftOut)?;
        }
        if wanted.len() < usize::from(self.setup.task.cohort.min_cohort) {
            return Err(LeaderFault::LeftOut);
        }
        let masks = self
            .ring
            .unpack(&answer.masks, self.ring_len)
            .ok_or(LeaderFault::Masks)?;
        Ok(BatchSum::new(self, wanted, masks))
    }

    /// Largest body that a report of this round may have.
    #[must_use]
    pub const fn report_limit(&self) -> usize {
        messages::report_limit(self.ring.packed_len(self.ring_len))
    }

    /// Largest reply that the helper may give.
    #[must_use]
    pub const fn reply_limit(&self) -> usize {
        let cohort = self.setup.task.cohort.cohort_size;
        messages::reply_limit(cohort, self.ring.packed_len(self.ring_len))
    }

    /// What the round was opened with.
    #[must_use]
    pub const fn setup(&self) -> &RoundSetup {
        &self.setup
    }

    /// Whether the helper is to be asked.
    #[must_use]
    pub fn is_asking(&self) -> bool {
        self.stage == Stage::Ask
    }

    /// The round from outside. Phases have the names of mode A: reports are collected, then the sum
    /// is unmasked.
    #[must_use]
    pub fn status(&self) -> RoundStatus {
        let cohort = &self.setup.task.cohort;
        RoundStatus {
            round: self.setup.round_id,
            task: self.setup.task_id,
            version: self.setup.version,
            phase: match self.stage {
                Stage::Collect => PhaseName::Collect,
                Stage::Ask => PhaseName::Unmask,
                Stage::Over => PhaseName::Aborted,
            },
            counts: RoundCounts {
                joined: self.count(),
                cohort_size: cohort.cohort_size,
                min_cohort: cohort.min_cohort,
                survivors: self.count(),
                ..RoundCounts::default()
            },
            deadline: self.deadline.filter(|_| self.stage == Stage::Collect),
            abort_reason: None,
        }
    }

    fn count(&self) -> u16 {
        // A batch closes at the cohort's size, a u16.
        self.reports.len() as u16
    }
}

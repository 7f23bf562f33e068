//! What an operator is told of a task: figures over its rounds, none of them about a single client.
//!
//! A round hands its figures to the task once, when it is over. Reports travel as JSON, for tools
//! and pages of an operator; between the aggregator's own parts they are postcard like the rest.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::control::{RoundSummary, TaskState};
use crate::ids::{Digest, RoundId, TaskId, Version};
use crate::messages::AbortReason;
use crate::reject::RejectCode;
use crate::round::PhaseName;

/// Upper bounds of a phase's duration in seconds; one bucket more takes what is longer.
pub const PHASE_SECONDS: [u32; 8] = [1, 2, 5, 10, 30, 60, 120, 600];

/// The tasks of an aggregator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskList {
    /// In the order of their creation.
    pub tasks: Vec<TaskId>,
}

/// How good a version is, measured by the operator on examples of its own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The version.
    pub version: Version,
    /// Fraction of right answers.
    pub accuracy: f64,
    /// Mean cross-entropy.
    pub loss: f64,
    /// On so many examples.
    pub examples: u32,
}

/// An evaluation that cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// The version is not made yet.
    #[error("the version is newer than the task's newest")]
    Version,
    /// The accuracy is no fraction.
    #[error("the accuracy is not from 0 to 1")]
    Accuracy,
    /// The loss is negative or no number.
    #[error("the loss is negative or no number")]
    Loss,
    /// No example was looked at.
    #[error("there are no examples")]
    Examples,
}

impl Evaluation {
    /// Whether it can be one, of a task whose newest version is `newest`.
    ///
    /// # Errors
    /// [`EvaluationError`] names what cannot be.
    pub fn check(&self, newest: Version) -> Result<(), EvaluationError> {
        if self.version.0 > newest.0 {
            return Err(EvaluationError::Version);
        }
        if !(0.0..=1.0).contains(&self.accuracy) {
            return Err(EvaluationError::Accuracy);
        }
        if !self.loss.is_finite() || self.loss < 0.0 {
            return Err(EvaluationError::Loss);
        }
        if self.examples == 0 {
            return Err(EvaluationError::Examples);
        }
        Ok(())
    }
}

/// One round in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundFigures {
    /// Clients in the roster; in the lobby, where there was no roster yet.
    pub joined: u16,
    /// Refused messages and uploads.
    pub refusals: BTreeMap<RejectCode, u32>,
    /// Milliseconds spent in each phase that is over.
    pub phases: BTreeMap<PhaseName, u64>,
    /// Payload bytes of all clients, to the aggregator.
    pub bytes_up: u64,
    /// Payload bytes of all clients, from the aggregator.
    pub bytes_down: u64,
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoundEnd {
    /// It made a version.
    Closed {
        /// Clients whose update is in the sum.
        survivors: u16,
        /// Clients of the roster whose update is not.
        dropped: u16,
    },
    /// It made none.
    Aborted(AbortReason),
}

/// How long one phase took in all rounds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseTimes {
    /// Rounds by duration, for each bound of [`PHASE_SECONDS`] those that are not above it but above
    /// the one before; the last counts those above all.
    pub buckets: [u64; PHASE_SECONDS.len() + 1],
    /// Milliseconds in all.
    pub milliseconds: u64,
}

/// All rounds of a task in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Rounds that had a visitor.
    pub opened: u64,
    /// Rounds that made a version.
    pub closed: u64,
    /// Rounds that made none.
    pub aborted: BTreeMap<AbortReason, u64>,
    /// Clients of all rounds.
    pub joined: u64,
    /// Clients of closed rounds whose update is in the sum.
    pub survivors: u64,
    /// Clients of closed rounds whose update is not.
    pub dropped: u64,
    /// Refused messages and uploads.
    pub refusals: BTreeMap<RejectCode, u64>,
    /// Payload bytes to the aggregator.
    pub bytes_up: u64,
    /// Payload bytes from the aggregator.
    pub bytes_down: u64,
    /// How long the phases took.
    pub phases: BTreeMap<PhaseName, PhaseTimes>,
}

impl Totals {
    /// Adds a round that is over.
    pub fn add(&mut self, end: RoundEnd, round: &RoundFigures) {
        match end {
            RoundEnd::Closed { survivors, dropped } => {
                self.closed += 1;
                self.survivors += u64::from(survivors);
                self.dropped += u64::from(dropped);
            }
            RoundEnd::Aborted(reason) => *self.aborted.entry(reason).or_default() += 1,
        }
        self.joined += u64::from(round.joined);
        self.bytes_up += round.bytes_up;
        self.bytes_down += round.bytes_down;
        for (code, count) in &round.refusals {
            *self.refusals.entry(*code).or_default() += u64::from(*count);
        }
        for (phase, milliseconds) in &round.phases {
            self.phases.entry(*phase).or_default().add(*milliseconds);
        }
    }
}

impl PhaseTimes {
    /// Rounds that went through the phase.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    fn add(&mut self, milliseconds: u64) {
        let bucket = PHASE_SECONDS
            .iter()
            .position(|bound| milliseconds <= u64::from(*bound) * 1000)
            .unwrap_or(PHASE_SECONDS.len());
        self.buckets[bucket] += 1;
        self.milliseconds += milliseconds;
    }
}

/// A task in numbers, as its metrics show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskFigures {
    /// The task's name.
    pub name: String,
    /// Whether rounds are opened.
    pub state: TaskState,
    /// The newest version.
    pub version: Version,
    /// Rounds still to run.
    pub rounds_left: u32,
    /// A round starts at once with this many clients.
    pub cohort_size: u16,
    /// A round starts at the lobby's deadline with this many.
    pub min_cohort: u16,
    /// All its rounds.
    pub totals: Totals,
}

/// Everything that an operator is shown of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskReport {
    /// The task in numbers.
    pub figures: TaskFigures,
    /// The newest global adapter's object.
    pub adapter: Digest,
    /// The open round.
    pub round: Option<RoundId>,
    /// The last closed rounds, oldest first.
    pub history: Vec<RoundSummary>,
    /// The newest evaluations, by version.
    pub evaluations: Vec<Evaluation>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Evaluation = Evaluation {
        version: Version(2),
        accuracy: 0.5,
        loss: 0.7,
        examples: 10,
    };

    #[test]
    fn an_evaluation_that_cannot_be_is_named() {
        assert_eq!(GOOD.check(Version(2)), Ok(()));
        assert_eq!(GOOD.check(Version(1)), Err(EvaluationError::Version));
        for accuracy in [-0.1, 1.1, f64::NAN] {
            let bad = Evaluation { accuracy, ..GOOD };
            assert_eq!(bad.check(Version(2)), Err(EvaluationError::Accuracy));
        }
        for loss in [-0.1, f64::NAN, f64::INFINITY] {
            let bad = Evaluation { loss, ..GOOD };
            assert_eq!(bad.check(Version(2)), Err(EvaluationError::Loss));
        }
        let bad = Evaluation {
            examples: 0,
            ..GOOD
        };
        assert_eq!(bad.check(Version(2)), Err(EvaluationError::Examples));
    }

    #[test]
    fn totals_are_the_sums_over_rounds() {
        let mut totals = Totals::default();
        let round = RoundFigures {
            joined: 4,
            refusals: [(RejectCode::Duplicate, 2)].into(),
            phases: [(PhaseName::Collect, 1_000), (PhaseName::Unmask, 700_000)].into(),
            bytes_up: 10,
            bytes_down: 20,
        };
        let end = RoundEnd::Closed {
            survivors: 3,
            dropped: 1,
        };
        totals.add(end, &round);
        totals.add(RoundEnd::Aborted(AbortReason::Stopped), &round);
        assert_eq!((totals.closed, totals.joined), (1, 8));
        assert_eq!((totals.survivors, totals.dropped), (3, 1));
        assert_eq!((totals.bytes_up, totals.bytes_down), (20, 40));
        assert_eq!(totals.aborted, [(AbortReason::Stopped, 1)].into());
        assert_eq!(totals.refusals, [(RejectCode::Duplicate, 4)].into());
        let collect = &totals.phases[&PhaseName::Collect];
        assert_eq!((collect.buckets[0], collect.milliseconds), (2, 2_000));
        let unmask = &totals.phases[&PhaseName::Unmask];
        assert_eq!(
            (unmask.buckets[PHASE_SECONDS.len()], unmask.count()),
            (2, 2)
        );
    }
}

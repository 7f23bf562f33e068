//! A round that is over, whoever added its updates up: from a sum to the next version.
//!
//! What is to be done is stored in the place of the round before the first step, with an alarm behind
//! it, and every step can be repeated: objects are named by their content, and a task takes one
//! report of a round. So an isolate may die anywhere in between; the alarm begins anew.
//!
//! Where the next version cannot be made or not be stored, that is tried again a bounded number of
//! times; then the round ends without a result, and its task stops. A report is repeated until the
//! task answers: without an answer nobody knows whether it was taken. Once all is done, only how the
//! round ended remains, for a day.

use choir_shared::control::{RoundStatus, RoundSummary};
use choir_shared::ids::{Digest, Timestamp};
use choir_shared::messages::{AbortReason, AggregatorMessage, Receipt};
use choir_shared::reject::RejectCode;
use choir_shared::report::RoundFigures;
use choir_shared::round::{Outcome, PhaseName};
use choir_shared::wire::{self, limits};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use worker::Env;

use crate::error::EdgeError;
use crate::internal::{self, Report};
use crate::publish::{self, failures_allowed};
use crate::store::Store;

/// What is still to be done for a round that is over.
const CLOSING: &str = "closing";
/// Its sum.
const SUM: &str = "sum";
/// Its mean, each value as the bits of an f32.
const MEAN: &str = "mean";
/// How it ended.
const ENDED: &str = "ended";

/// Statuses, at most 22 refusals of 6 bytes, a few numbers.
pub const SMALL_MAX_BYTES: usize = 2 * limits::SMALL_STATUS;

/// How far a round has come, seen from storage.
pub enum Stage<R> {
    /// It runs.
    Open(Box<R>),
    /// It is over; something is still to be done.
    Closing(Box<Ending>),
    /// All is done.
    Ended(Box<Ended>),
}

/// What is still to be done for a round that is over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ending {
    /// The round from outside.
    pub status: RoundStatus,
    adapter: Digest,
    receipt: Option<Receipt>,
    figures: RoundFigures,
    at: Timestamp,
    /// How often the next version could not be made or not be stored.
    pub failures: u16,
}

/// How a round ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ended {
    status: RoundStatus,
    receipt: Option<Receipt>,
    /// Then this is forgotten too.
    pub until: Timestamp,
}

impl<R> Stage<R> {
    /// The stage of a stored round that is over; none where it is not, or not stored.
    ///
    /// # Errors
    /// [`EdgeError::Fault`], as everywhere here.
    pub fn over(store: &Store) -> Result<Option<Self>, EdgeError> {
        if let Some(bytes) = store.value(ENDED)? {
            return Ok(Some(Self::Ended(Box::new(decode(&bytes)?))));
        }
        let closing = store.value(CLOSING)?;
        let ending = closing.map(|bytes| decode(&bytes)).transpose()?;
        Ok(ending.map(|ending| Self::Closing(Box::new(ending))))
    }

    /// The round from outside.
    pub fn status(&self, of_open: impl FnOnce(&R) -> RoundStatus) -> RoundStatus {
        match self {
            Self::Open(round) => of_open(round),
            Self::Closing(ending) => ending.status.clone(),
            Self::Ended(ended) => ended.status.clone(),
        }
    }

    /// What is still to be done, if that is all.
    pub fn ending(&self) -> Option<Ending> {
        match self {
            Self::Closing(ending) => Some(ending.as_ref().clone()),
            _ => None,
        }
    }

    /// Remembers how often it has failed, where the round is still closing.
    pub fn still(&mut self, ending: Ending) {
        if let Self::Closing(held) = self {
            **held = ending;
        }
    }
}

/// Why a round that is over takes nothing more.
#[must_use]
pub const fn refusal(status: &RoundStatus) -> RejectCode {
    match status.phase {
        PhaseName::Aborted => RejectCode::RoundAborted,
        _ => RejectCode::Late,
    }
}

impl Ending {
    /// A round that has just ended, which started from the version of object `adapter`.
    #[must_use]
    pub fn new(
        status: RoundStatus,
        adapter: Digest,
        figures: RoundFigures,
        end: Result<Receipt, AbortReason>,
        at: Timestamp,
    ) -> Self {
        let mut ending = Self {
            status,
            adapter,
            receipt: end.ok(),
            figures,
            at,
            failures: 0,
        };
        match end {
            Ok(_) => ending.status.phase = PhaseName::Closed,
            Err(reason) => ending.give_up(reason),
        }
        ending
    }

    /// Whether there is a sum.
    #[must_use]
    pub const fn has_sum(&self) -> bool {
        self.receipt.is_some()
    }

    /// Stores this in the place of the round, of which nothing is left.
    ///
    /// # Errors
    /// [`EdgeError::Fault`].
    pub fn replace(&self, store: &Store, outcome: Option<&Outcome>) -> Result<(), EdgeError> {
        store.atomically(|| {
            store.keep_only(&[])?;
            if let Some(outcome) = outcome {
                let mean: Vec<u32> = outcome.mean.iter().map(|value| value.to_bits()).collect();
                store.put_words(SUM, &outcome.sum)?;
                store.put_words(MEAN, &mean)?;
            }
            store.put(CLOSING, &wire::encode(self))
        })
    }

    /// Publishes what came of the round, and reports it to its task. Can be repeated.
    ///
    /// # Errors
    /// What went wrong; how often it did is stored.
    pub async fn settle(&mut self, env: &Env, store: &Store) -> Result<(), EdgeError> {
        let report = match self.result(env, store).await {
            Ok(report) => report,
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                let last = self.failures >= failures_allowed(&error);
                if last {
                    worker::console_error!("round {} is given up: {error}", self.status.round);
                    self.give_up(AbortReason::NotPublished);
                }
                store.put(CLOSING, &wire::encode(self))?;
                if !last {
                    return Err(error);
                }
                self.aborted()
            }
        };
        let stub = internal::task(env, self.status.task)?;
        internal::ask(&stub, internal::REPORT, &report).await
    }

    /// Leaves in storage only how the round ended.
    ///
    /// # Errors
    /// [`EdgeError::Fault`].
    pub fn finish(&self, store: &Store, until: Timestamp) -> Result<Ended, EdgeError> {
        let ended = Ended {
            status: self.status.clone(),
            receipt: self.receipt,
            until,
        };
        store.atomically(|| {
            store.keep_only(&[])?;
            store.put(ENDED, &wire::encode(&ended))
        })?;
        Ok(ended)
    }

    /// The sum comes to nothing.
    const fn give_up(&mut self, reason: AbortReason) {
        self.receipt = None;
        self.status.phase = PhaseName::Aborted;
        self.status.abort_reason = Some(reason);
    }

    /// What the task is told; where there is a sum, the version that it makes is stored before.
    async fn result(&self, env: &Env, store: &Store) -> Result<Report, EdgeError> {
        let Some(receipt) = &self.receipt else {
            return Ok(self.aborted());
        };
        let adapter = publish::version(env, self.adapter, receipt, &results(store)?).await?;
        let summary = RoundSummary {
            round: receipt.round,
            version_before: self.status.version,
            clients: receipt.clients,
            survivors: receipt.survivors,
            dropped: receipt.clients - receipt.survivors,
            sum: receipt.sum,
            adapter,
            closed_at: self.at,
            bytes_up: self.figures.bytes_up,
            bytes_down: self.figures.bytes_down,
        };
        Ok(Report::Closed(summary, self.figures.clone()))
    }

    /// How the task of a round without a result is told.
    fn aborted(&self) -> Report {
        Report::Aborted {
            round: self.status.round,
            reason: reason(&self.status),
            figures: self.figures.clone(),
        }
    }
}

impl Ended {
    /// What every client is told at last.
    #[must_use]
    pub fn farewell(&self) -> AggregatorMessage {
        farewell(self.receipt.ok_or_else(|| reason(&self.status)))
    }
}

/// What every client of a round that ended so is told at last.
#[must_use]
pub const fn farewell(end: Result<Receipt, AbortReason>) -> AggregatorMessage {
    match end {
        Ok(receipt) => AggregatorMessage::Done { receipt },
        Err(reason) => AggregatorMessage::Aborted { reason },
    }
}

fn reason(status: &RoundStatus) -> AbortReason {
    // Only a round that never was has no reason; then the operator's stop is the only one left.
    status.abort_reason.unwrap_or(AbortReason::Stopped)
}

/// The sum and the mean of a round that is closing.
fn results(store: &Store) -> Result<(Vec<u32>, Vec<f32>), EdgeError> {
    let missing = || EdgeError::Fault("a closing round has no result".into());
    let sum = store.words(SUM)?.ok_or_else(missing)?;
    let mean = store.words(MEAN)?.ok_or_else(missing)?;
    Ok((sum, mean.into_iter().map(f32::from_bits).collect()))
}

/// A small stored value.
///
/// # Errors
/// [`EdgeError::Fault`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, EdgeError> {
    wire::decode(bytes, SMALL_MAX_BYTES).map_err(fault)
}

/// A stored round that does not decode.
#[must_use]
pub fn fault(error: impl core::fmt::Display) -> EdgeError {
    EdgeError::Fault(format!("a stored round does not decode: {error}"))
}

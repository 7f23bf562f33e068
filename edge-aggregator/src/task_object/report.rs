//! What an operator is told of a task: figures over its rounds, and the evaluations it sent itself.

use choir_shared::ids::{RoundId, TaskId};
use choir_shared::report::{Evaluation, RoundEnd, RoundFigures, TaskFigures, TaskReport, Totals};
use choir_shared::wire;
use serde::{Deserialize, Serialize};
use worker::{Env, Response, SqlStorageValue};

use super::{TaskObject, stored};
use crate::error::EdgeError;
use crate::internal;
use crate::limits::REPORTED_EVALUATIONS;
use crate::store::Store;

/// Name of the stored totals.
const TOTALS: &str = "totals";

/// Totals as they are stored.
#[derive(Default, Serialize, Deserialize)]
struct Counted {
    totals: Totals,
    /// The round that was opened last; a round may ask for its opening more than once.
    opened: Option<RoundId>,
}

/// A task in numbers.
///
/// # Errors
/// See [`EdgeError`].
pub async fn figures(env: &Env, task: TaskId) -> Result<TaskFigures, EdgeError> {
    internal::ask(&internal::task(env, task)?, internal::FIGURES, &()).await
}

/// Makes the table of evaluations, once.
pub(super) fn create_tables(store: &Store) -> Result<(), EdgeError> {
    store.sql().exec(
        "CREATE TABLE IF NOT EXISTS evaluation (
            version INTEGER PRIMARY KEY, evaluation BLOB NOT NULL)",
        None,
    )?;
    Ok(())
}

impl TaskObject {
    /// A round asked what it is opened with.
    pub(super) fn count_opened(&self, round: RoundId) -> Result<(), EdgeError> {
        let mut counted = self.counted()?;
        if counted.opened != Some(round) {
            counted.opened = Some(round);
            counted.totals.opened += 1;
            self.store().put(TOTALS, &wire::encode(&counted))?;
        }
        Ok(())
    }

    /// A round is over.
    pub(super) fn count(&self, end: RoundEnd, round: &RoundFigures) -> Result<(), EdgeError> {
        let mut counted = self.counted()?;
        counted.totals.add(end, round);
        self.store().put(TOTALS, &wire::encode(&counted))
    }

    pub(super) fn figures(&self) -> Result<TaskFigures, EdgeError> {
        let progress = self.progress()?;
        let config = self.config()?;
        Ok(TaskFigures {
            name: config.name,
            state: progress.state,
            version: progress.version,
            rounds_left: progress.rounds_left,
            cohort_size: config.cohort.cohort_size,
            min_cohort: config.cohort.min_cohort,
            totals: self.counted()?.totals,
        })
    }

    pub(super) fn report(&self) -> Result<TaskReport, EdgeError> {
        let status = self.status()?;
        Ok(TaskReport {
            figures: self.figures()?,
            adapter: status.adapter,
            round: status.round,
            history: status.history,
            evaluations: self.evaluations()?,
        })
    }

    /// Takes an evaluation in place of an earlier one of its version.
    pub(super) fn evaluated(&self, evaluation: Evaluation) -> Result<Response, EdgeError> {
        evaluation.check(self.progress()?.version)?;
        self.store().sql().exec(
            "INSERT OR REPLACE INTO evaluation (version, evaluation) VALUES (?, ?)",
            vec![
                SqlStorageValue::Integer(evaluation.version.0.into()),
                SqlStorageValue::Blob(wire::encode(&evaluation)),
            ],
        )?;
        Ok(Response::empty()?)
    }

    fn evaluations(&self) -> Result<Vec<Evaluation>, EdgeError> {
        let rows = self.store().sql().exec(
            "SELECT evaluation FROM (
                SELECT version, evaluation FROM evaluation ORDER BY version DESC LIMIT ?)
             ORDER BY version",
            vec![SqlStorageValue::Integer(REPORTED_EVALUATIONS as i64)],
        )?;
        rows.raw()
            .map(|row| match row?.as_slice() {
                [SqlStorageValue::Blob(evaluation)] => stored(evaluation),
                _ => Err(EdgeError::Fault("an evaluation has another type".into())),
            })
            .collect()
    }

    fn counted(&self) -> Result<Counted, EdgeError> {
        self.store()
            .value(TOTALS)?
            .map_or_else(|| Ok(Counted::default()), |bytes| stored(&bytes))
    }
}

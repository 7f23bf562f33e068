//! From a sum to the next version, by the steps and with the retries of `round_object`'s closing;
//! nobody is told, as clients of two aggregators have left and look at the task.

use choir_shared::control::RoundSummary;
use choir_shared::messages::AbortReason;

use super::live::{self, Ended, Ending, Stage};
use super::{ReportObject, now};
use crate::error::EdgeError;
use crate::internal::{self, Report};
use crate::limits::ENDED_KEPT_MS;
use crate::publish::{self, failures_allowed};

impl ReportObject {
    /// Publishes and reports a round that is over. Where a step fails, the alarm tries once more.
    pub(super) async fn close(&self) -> Result<(), EdgeError> {
        let Some(ending) = self.ending()? else {
            return Ok(());
        };
        if self.busy.replace(true) {
            return self.retry(ending.failures).await;
        }
        let round = ending.status.round;
        let closed = self.finish(ending).await;
        self.busy.set(false);
        let Err(error) = closed else { return Ok(()) };
        worker::console_error!("round {round} is not closed yet: {error}");
        let failures = self.ending()?.map_or(0, |ending| ending.failures);
        self.retry(failures).await
    }

    fn ending(&self) -> Result<Option<Ending>, EdgeError> {
        self.read(|live| match &live.stage {
            Stage::Closing(ending) => Some(ending.as_ref().clone()),
            _ => None,
        })
    }

    async fn finish(&self, mut ending: Ending) -> Result<(), EdgeError> {
        let report = match self.result(&ending).await {
            Ok(report) => report,
            Err(error) => {
                ending.failures = ending.failures.saturating_add(1);
                let last = ending.failures >= failures_allowed(&error);
                if last {
                    worker::console_error!("round {} is given up: {error}", ending.status.round);
                    ending.give_up(AbortReason::NotPublished);
                }
                self.change(|live, store| live.still(store, &ending))?;
                if !last {
                    return Err(error);
                }
                aborted(&ending)
            }
        };
        let stub = internal::task(&self.env, ending.status.task)?;
        internal::ask::<()>(&stub, internal::REPORT, &report).await?;
        let until = now().after(ENDED_KEPT_MS);
        let status = ending.status;
        self.change(|live, store| live.finish(store, Ended { status, until }))?;
        self.set_alarm(until).await
    }

    /// What the task is told; where there is a sum, the version that it makes is stored before.
    async fn result(&self, ending: &Ending) -> Result<Report, EdgeError> {
        let Some(receipt) = &ending.receipt else {
            return Ok(aborted(ending));
        };
        let results = live::results(&self.store())?;
        let adapter = publish::version(&self.env, ending.adapter, receipt, &results).await?;
        let summary = RoundSummary {
            round: receipt.round,
            version_before: ending.status.version,
            clients: receipt.clients,
            survivors: receipt.survivors,
            dropped: receipt.clients - receipt.survivors,
            sum: receipt.sum,
            adapter,
            closed_at: ending.at,
            bytes_up: ending.figures.bytes_up,
            bytes_down: ending.figures.bytes_down,
        };
        Ok(Report::Closed(summary, ending.figures.clone()))
    }
}

/// How the task of a round without a result is told.
fn aborted(ending: &Ending) -> Report {
    Report::Aborted {
        round: ending.status.round,
        // Only a round that never was has no reason; then the operator's stop is the only one left.
        reason: ending.status.abort_reason.unwrap_or(AbortReason::Stopped),
        figures: ending.figures.clone(),
    }
}

//! From a sum to the next version.
//!
//! What is to be done is stored before the first step, with an alarm behind it, and every step can
//! be repeated: objects are named by their content, and a task takes one report of a round. So an
//! isolate may die anywhere in between; the alarm begins anew.
//!
//! Where the next version cannot be made or not be stored, that is tried again a bounded number of
//! times; then the round ends without a result, and its task stops. A report is repeated until the
//! task answers: without an answer nobody knows whether it was taken.

use choir_shared::control::RoundSummary;
use choir_shared::ids::Timestamp;
use choir_shared::messages::{AbortReason, AggregatorMessage, Receipt};
use choir_shared::wire;

use super::live::{self, Ended, Ending, Stage};
use super::{RoundObject, now};
use crate::error::EdgeError;
use crate::internal::{self, Report};
use crate::limits::{ENDED_KEPT_MS, closing_retry_ms};
use crate::publish::{self, failures_allowed};

impl RoundObject {
    /// Publishes and reports a round that is over, then says so to its clients. Where a step fails,
    /// the alarm tries once more.
    pub(super) async fn close(&self) -> Result<(), EdgeError> {
        let Some(ending) = self.ending()? else {
            return Ok(());
        };
        if self.closing.replace(true) {
            // Under way in another event; should it fail with its isolate, an alarm is left.
            let later = now().after(closing_retry_ms(ending.failures));
            return self.set_alarm(later).await;
        }
        let round = ending.status.round;
        let closed = self.finish(ending).await;
        self.closing.set(false);
        let Err(error) = closed else { return Ok(()) };
        worker::console_error!("round {round} is not closed yet: {error}");
        let failures = self.ending()?.map_or(0, |ending| ending.failures);
        self.set_alarm(now().after(closing_retry_ms(failures)))
            .await
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
                    ending.give_up();
                }
                self.still(&ending)?;
                if !last {
                    return Err(error);
                }
                aborted(&ending)
            }
        };
        let stub = internal::task(&self.env, ending.status.task)?;
        internal::ask::<()>(&stub, internal::REPORT, &report).await?;
        let until = now().after(ENDED_KEPT_MS);
        self.say_farewell(ending, until)?;
        self.set_alarm(until).await
    }

    /// Stores what has changed of what is still to be done.
    fn still(&self, ending: &Ending) -> Result<(), EdgeError> {
        match self.live.borrow_mut().as_mut() {
            Some(live) => live.still(&self.store(), ending),
            None => Err(EdgeError::UnknownRound),
        }
    }

    /// What the task is told; where there is a sum, the version that it makes is stored before.
    async fn result(&self, ending: &Ending) -> Result<Report, EdgeError> {
        match &ending.farewell {
            AggregatorMessage::Done { receipt } => {
                let summary = self.publish_version(ending, receipt).await?;
                Ok(Report::Closed(summary, ending.figures.clone()))
            }
            _ => Ok(aborted(ending)),
        }
    }

    /// Stores the sum, and the old adapter plus the mean.
    async fn publish_version(
        &self,
        ending: &Ending,
        receipt: &Receipt,
    ) -> Result<RoundSummary, EdgeError> {
        let results = live::results(&self.store())?;
        let adapter = publish::version(&self.env, ending.adapter, receipt, &results).await?;
        Ok(RoundSummary {
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
        })
    }

    /// Forgets all but how the round ended, tells every client, and closes their sockets.
    fn say_farewell(&self, ending: Ending, until: Timestamp) -> Result<(), EdgeError> {
        let frame = wire::encode(&ending.farewell);
        let ended = Ended {
            status: ending.status,
            farewell: ending.farewell,
            until,
        };
        if let Some(live) = self.live.borrow_mut().as_mut() {
            live.finish(&self.store(), ended)?;
        }
        for socket in self.state.get_websockets() {
            // A socket that is gone has nothing to be told.
            let _ = socket.send_with_bytes(&frame);
            let _ = socket.close(Some(1000), Some("the round is over"));
        }
        Ok(())
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

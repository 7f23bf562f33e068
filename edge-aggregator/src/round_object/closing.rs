//! From a sum to the next version.
//!
//! What is to be done is stored before the first step, with an alarm behind it, and every step can
//! be repeated: objects are named by their content, and a task takes one report of a round. So an
//! isolate may die anywhere in between; the alarm begins anew.

use choir_shared::control::RoundSummary;
use choir_shared::fixed_point;
use choir_shared::ids::{Digest, Timestamp};
use choir_shared::messages::{AggregatorMessage, Receipt};
use choir_shared::wire;

use super::live::{self, Ended, Ending, Stage};
use super::{RoundObject, now};
use crate::error::EdgeError;
use crate::internal::{self, Report};
use crate::limits::{CLOSING_RETRY_MS, ENDED_KEPT_MS, UPLOAD_MAX_BYTES};
use crate::objects;
use crate::store::words_to_bytes;

impl RoundObject {
    /// Publishes and reports a round that is over, then says so to its clients. Where a step fails,
    /// the alarm tries once more.
    pub(super) async fn close(&self) -> Result<(), EdgeError> {
        let ending = self.read(|live| match &live.stage {
            Stage::Closing(ending) => Some(ending.as_ref().clone()),
            _ => None,
        })?;
        let Some(ending) = ending else { return Ok(()) };
        if self.closing.replace(true) {
            // Under way in another event; should it fail with its isolate, an alarm is left.
            return self.set_alarm(now().after(CLOSING_RETRY_MS)).await;
        }
        let published = self.publish(&ending).await;
        self.closing.set(false);
        if let Err(error) = published {
            worker::console_error!("round {} is not closed yet: {error}", ending.status.round);
            return self.set_alarm(now().after(CLOSING_RETRY_MS)).await;
        }
        let until = now().after(ENDED_KEPT_MS);
        self.say_farewell(ending, until)?;
        self.set_alarm(until).await
    }

    async fn publish(&self, ending: &Ending) -> Result<(), EdgeError> {
        let report = match &ending.farewell {
            AggregatorMessage::Done { receipt } => {
                Report::Closed(self.publish_version(ending, receipt).await?)
            }
            _ => Report::Aborted(ending.status.round),
        };
        let stub = internal::task(&self.env, ending.status.task)?;
        internal::ask::<()>(&stub, internal::REPORT, &report).await
    }

    /// Stores the sum, and the old adapter plus the mean.
    async fn publish_version(
        &self,
        ending: &Ending,
        receipt: &Receipt,
    ) -> Result<RoundSummary, EdgeError> {
        let (sum, mean) = live::results(&self.store())?;
        let old = objects::read(&self.env, ending.adapter, UPLOAD_MAX_BYTES).await?;
        let new = next_adapter(&old, &mean).ok_or_else(|| {
            EdgeError::Fault("the adapter has another length than the mean".into())
        })?;
        let adapter = Digest::of(&new);
        objects::write(&self.env, receipt.sum, words_to_bytes(&sum)).await?;
        objects::write(&self.env, adapter, new).await?;
        Ok(RoundSummary {
            round: receipt.round,
            version_before: ending.status.version,
            clients: receipt.clients,
            survivors: receipt.survivors,
            dropped: receipt.clients - receipt.survivors,
            sum: receipt.sum,
            adapter,
            closed_at: ending.at,
            bytes_up: ending.traffic.up,
            bytes_down: ending.traffic.down,
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

/// The object of the version that `mean` makes of the one in `old`; none where their lengths differ.
fn next_adapter(old: &[u8], mean: &[f32]) -> Option<Vec<u8>> {
    let mut adapter = fixed_point::adapter_from_bytes(old)?;
    if adapter.len() != mean.len() {
        return None;
    }
    fixed_point::apply_mean(&mut adapter, mean);
    Some(fixed_point::adapter_bytes(&adapter))
}

#[cfg(test)]
mod tests {
    use super::next_adapter;

    fn bytes(values: &[f32]) -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    }

    #[test]
    fn the_new_adapter_is_the_old_plus_the_mean() {
        let new = next_adapter(&bytes(&[1.0, -2.0, 0.5]), &[0.25, 2.0, -0.5]);
        assert_eq!(new, Some(bytes(&[1.25, 0.0, 0.0])));
    }

    #[test]
    fn an_adapter_of_another_length_makes_none() {
        assert_eq!(next_adapter(&bytes(&[1.0]), &[1.0, 2.0]), None);
        assert_eq!(next_adapter(&[0; 5], &[1.0]), None);
    }
}

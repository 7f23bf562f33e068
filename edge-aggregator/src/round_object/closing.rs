//! The end of a round: the steps of `ending`, then every client is told.

use choir_shared::wire;

use super::RoundObject;
use super::live::Stage;
use crate::clock::{now, set_alarm};
use crate::ending::Ending;
use crate::error::EdgeError;
use crate::limits::{ENDED_KEPT_MS, closing_retry_ms};

impl RoundObject {
    /// Publishes and reports a round that is over, then says so to its clients. Where a step fails,
    /// the alarm tries once more.
    pub(super) async fn close(&self) -> Result<(), EdgeError> {
        let Some(mut ending) = self.read(|live| live.stage.ending())? else {
            return Ok(());
        };
        if self.closing.replace(true) {
            // Under way in another event; should it fail with its isolate, an alarm is left.
            let later = now().after(closing_retry_ms(ending.failures));
            return set_alarm(&self.state, later).await;
        }
        let round = ending.status.round;
        let closed = self.finish(&mut ending).await;
        self.closing.set(false);
        let Err(error) = closed else { return Ok(()) };
        worker::console_error!("round {round} is not closed yet: {error}");
        let later = now().after(closing_retry_ms(ending.failures));
        if let Some(live) = self.live.borrow_mut().as_mut() {
            live.stage.still(ending);
        }
        set_alarm(&self.state, later).await
    }

    async fn finish(&self, ending: &mut Ending) -> Result<(), EdgeError> {
        ending.settle(&self.env, &self.store()).await?;
        let until = now().after(ENDED_KEPT_MS);
        let ended = ending.finish(&self.store(), until)?;
        let frame = wire::encode(&ended.farewell());
        if let Some(live) = self.live.borrow_mut().as_mut() {
            live.stage = Stage::Ended(Box::new(ended));
        }
        for socket in self.state.get_websockets() {
            // A socket that is gone has nothing to be told.
            let _ = socket.send_with_bytes(&frame);
            let _ = socket.close(Some(1000), Some("the round is over"));
        }
        set_alarm(&self.state, until).await
    }
}

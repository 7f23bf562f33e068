//! The end of a round: the steps of `ending`. Nobody is told, as clients of two aggregators have left
//! and look at the task.

use super::ReportObject;
use super::live::Stage;
use crate::clock::{now, set_alarm};
use crate::ending::Ending;
use crate::error::EdgeError;
use crate::limits::ENDED_KEPT_MS;

impl ReportObject {
    /// Publishes and reports a round that is over. Where a step fails, the alarm tries once more.
    pub(super) async fn close(&self) -> Result<(), EdgeError> {
        let Some(mut ending) = self.read(|live| live.stage.ending())? else {
            return Ok(());
        };
        if self.busy.replace(true) {
            return self.retry(ending.failures).await;
        }
        let round = ending.status.round;
        let closed = self.finish(&mut ending).await;
        self.busy.set(false);
        let Err(error) = closed else { return Ok(()) };
        worker::console_error!("round {round} is not closed yet: {error}");
        let failures = ending.failures;
        if let Some(live) = self.live.borrow_mut().as_mut() {
            live.stage.still(ending);
        }
        self.retry(failures).await
    }

    async fn finish(&self, ending: &mut Ending) -> Result<(), EdgeError> {
        ending.settle(&self.env, &self.store()).await?;
        let until = now().after(ENDED_KEPT_MS);
        let ended = ending.finish(&self.store(), until)?;
        if let Some(live) = self.live.borrow_mut().as_mut() {
            live.stage = Stage::Ended(Box::new(ended));
        }
        set_alarm(&self.state, until).await
    }
}

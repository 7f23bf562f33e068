//! Uploads that come close together are stored once, together (group commit).
//!
//! An upload changes the whole sum: 400 kB of rows for 100,000 coordinates, which is more work than
//! adding it. So one that nothing follows from waits for the others of the next
//! [`UPLOAD_BATCH_MS`]; its client is answered when the sum that holds it is on disk, as before. Any
//! event that is stored at once stores what waits with it.

use core::cell::Cell;
use core::time::Duration;
use std::rc::Rc;

use worker::Delay;

use super::RoundObject;
use crate::error::EdgeError;
use crate::limits::UPLOAD_BATCH_MS;

/// Uploads that wait to be stored. Every one of them holds the same.
#[derive(Clone, Default)]
pub(super) struct Batch(Rc<Cell<bool>>);

impl Batch {
    /// It is stored.
    pub(super) fn settle(&self) {
        self.0.set(true);
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    fn is_settled(&self) -> bool {
        self.0.get()
    }
}

impl RoundObject {
    /// Waits until a batch is stored: by another event, or by the first of it that is due.
    ///
    /// # Errors
    /// [`EdgeError::Fault`] where storage fails: then nobody of the batch is in the sum.
    pub(super) async fn stored(&self, batch: &Batch) -> Result<(), EdgeError> {
        Delay::from(Duration::from_millis(UPLOAD_BATCH_MS)).await;
        if batch.is_settled() {
            return Ok(());
        }
        let mut slot = self.live.borrow_mut();
        let Some(live) = slot.as_mut().filter(|live| live.holds(batch)) else {
            return Err(EdgeError::Fault("storage lost this upload".into()));
        };
        let saved = live.save(&self.store());
        if saved.is_err() {
            // Memory is ahead of storage now; what storage holds is what is true.
            *slot = None;
        }
        saved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_settled_for_everyone_in_it_and_for_nobody_else() {
        let (batch, other) = (Batch::default(), Batch::default());
        let waiting = batch.clone();
        assert!(waiting.is(&batch) && !waiting.is(&other));
        batch.settle();
        assert!(waiting.is_settled());
        assert!(!other.is_settled());
    }
}

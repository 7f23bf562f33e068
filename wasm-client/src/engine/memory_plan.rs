//! What a training takes on the device, known before it and before its model is there.

use super::{Engine, EngineError};

/// Bytes of device memory that a step takes, counted in a rehearsal by the rules by which the step
/// itself gets them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryPlan {
    /// All bytes held, at the highest: what [`super::StepCounts::peak_bytes`] will say.
    pub peak_bytes: u64,
    /// Of them the frozen weights.
    pub frozen_bytes: u64,
    /// Of them the adapter, its gradient and the optimizer's moments.
    pub adapter_bytes: u64,
    /// Of them everything else: what the gradients need of the forward pass, scratch, tables.
    pub activation_bytes: u64,
}

impl MemoryPlan {
    /// Rehearses a step on an engine that can, and yields what the step will take. Batches that have
    /// fewer rows take no more.
    ///
    /// # Errors
    /// Those of the rehearsal, [`EngineError::TooLarge`] among them where one tensor is larger than
    /// the device grants.
    pub fn of<E: Engine>(
        engine: &mut E,
        rehearse: impl FnOnce(&mut E) -> Result<(), EngineError>,
    ) -> Result<Option<Self>, EngineError> {
        if !engine.begin_rehearsal() {
            return Ok(None);
        }
        let rehearsed = rehearse(engine);
        let plan = engine.end_rehearsal();
        rehearsed.map(|()| Some(plan))
    }

    /// An error where it takes more than so many bytes.
    ///
    /// # Errors
    /// [`EngineError::TooLarge`] with both numbers.
    pub fn within(self, granted: u64) -> Result<Self, EngineError> {
        if self.peak_bytes <= granted {
            return Ok(self);
        }
        Err(EngineError::TooLarge {
            what: "the training".to_owned(),
            bytes: self.peak_bytes,
            limit: granted,
        })
    }
}

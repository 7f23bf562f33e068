//! A training that stopped in one place goes on in another, on this or any other engine.

use super::{TrainError, Trainer};
use crate::engine::{Engine, EngineError, OptimizerState};

impl<E: Engine> Trainer<E> {
    /// What the optimizer remembers, for [`Trainer::resume`]; with the adapter, all that training
    /// has made so far.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn optimizer_state(&mut self) -> Result<OptimizerState, TrainError> {
        Ok(self.engine.read_optimizer().await?)
    }

    /// Goes on behind the steps that were taken elsewhere on the same examples in the same order:
    /// set those, with their seed, just before.
    ///
    /// # Errors
    /// [`TrainError::TooEarly`] without examples, [`EngineError::OutOfRange`] for more steps than
    /// the task has, [`EngineError::Shape`] for an adapter or a state of another length.
    pub fn resume(&mut self, adapter: &[f32], state: &OptimizerState) -> Result<(), TrainError> {
        if self.examples.is_empty() {
            return Err(TrainError::TooEarly("set the examples"));
        }
        let limit = usize::from(self.task.training.local_steps) + 1;
        let value = state.steps as usize;
        if value >= limit {
            let what = "step to go on from";
            return Err(EngineError::OutOfRange { what, value, limit }.into());
        }
        self.set_adapter(adapter)?;
        self.engine.load_optimizer(state)?;
        // Batches that were trained on are drawn again, so that the next one is the next one.
        let batch_size = usize::from(self.task.training.batch_size);
        for _ in 0..state.steps {
            self.shuffle.draw(batch_size);
        }
        self.steps = state.steps;
        Ok(())
    }
}

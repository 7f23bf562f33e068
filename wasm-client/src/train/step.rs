//! One step of local training.

use super::{Stage, TrainError, Trainer};
use crate::engine::{AdamW, Batch, Engine, EngineError};
use crate::model::Model;

/// What a step reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// From 0, since the adapter was loaded.
    pub step: u32,
    /// Mean over the batch, before the update.
    pub loss: f32,
}

impl<E: Engine> Trainer<E> {
    /// Trains on the next batch of the shuffled examples.
    ///
    /// # Errors
    /// [`EngineError::NotFinite`] if the loss is no finite number: the adapter is of no use then.
    pub async fn step(&mut self) -> Result<StepReport, TrainError> {
        if self.examples.is_empty() {
            return Err(TrainError::TooEarly("set the examples"));
        }
        if !self.has_adapter {
            return Err(TrainError::TooEarly("set the adapter"));
        }
        let optimizer = self.optimizer();
        let Stage::Ready(model) = &self.stage else {
            return Err(TrainError::TooEarly("finish the weights"));
        };
        let indices = self
            .shuffle
            .draw(usize::from(self.task.training.batch_size));
        let batch = self
            .examples
            .batch(&indices, model.adapter().num_virtual_tokens());
        let loss = train_step(&mut self.engine, model, &batch, &optimizer).await?;
        let step = self.steps;
        if !loss.is_finite() {
            return Err(EngineError::NotFinite { step }.into());
        }
        self.steps += 1;
        Ok(StepReport { step, loss })
    }
}

/// Forward, backward, update; yields the loss before the update.
///
/// # Errors
/// Those of the engine.
pub async fn train_step<E: Engine>(
    engine: &mut E,
    model: &Model<E::Tensor>,
    batch: &Batch,
    optimizer: &AdamW,
) -> Result<f32, EngineError> {
    engine.begin(batch, true)?;
    let logits = model.logits(engine)?;
    engine.cross_entropy(&logits)?;
    drop(logits);
    engine.backward()?;
    engine.optimizer_step(optimizer)?;
    engine.read_loss().await
}

//! One step of local training, and its gradient alone.

use super::batch::Examples;
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

/// What a batch says about the adapter.
#[derive(Clone, Debug, PartialEq)]
pub struct LossAndGradient {
    /// Mean over the batch.
    pub loss: f32,
    /// Of the loss by every part of the adapter, in its flat order.
    pub gradient: Vec<f32>,
}

impl<E: Engine> Trainer<E> {
    /// Trains on the next batch of the shuffled examples.
    ///
    /// # Errors
    /// [`EngineError::NotFinite`] if the loss is no finite number: the adapter is of no use then.
    pub async fn step(&mut self) -> Result<StepReport, TrainError> {
        let mut reports = self.steps(1).await?;
        reports.pop().ok_or(TrainError::TooEarly("ask for a step"))
    }

    /// Trains on so many batches, and waits for the device once, for all their losses.
    ///
    /// # Errors
    /// As [`Self::step`]; names the first step whose loss is no finite number.
    pub async fn steps(&mut self, count: u32) -> Result<Vec<StepReport>, TrainError> {
        let first = self.steps;
        let sent = (0..count).try_for_each(|_| self.send_next());
        // Read even where a later step could not be sent: no loss is left over for another call.
        let losses = self.engine.read_losses().await;
        sent?;
        let losses = losses?;
        let mut reports = Vec::with_capacity(losses.len());
        for (step, loss) in (first..).zip(losses) {
            if !loss.is_finite() {
                self.steps = step;
                return Err(EngineError::NotFinite { step }.into());
            }
            reports.push(StepReport { step, loss });
        }
        Ok(reports)
    }

    /// Sends off a step on the next batch.
    fn send_next(&mut self) -> Result<(), TrainError> {
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
        send_step(&mut self.engine, model, &batch, &optimizer)?;
        self.steps += 1;
        Ok(())
    }

    /// Loss and gradient on all of these examples as one batch; the adapter stays as it is.
    ///
    /// # Errors
    /// [`EngineError::NotFinite`] if the loss is no finite number, and those of the engine.
    pub async fn gradient(&mut self, examples: &Examples) -> Result<LossAndGradient, TrainError> {
        if examples.is_empty() {
            return Err(TrainError::TooEarly("give examples"));
        }
        if !self.has_adapter {
            return Err(TrainError::TooEarly("set the adapter"));
        }
        let Stage::Ready(model) = &self.stage else {
            return Err(TrainError::TooEarly("finish the weights"));
        };
        let indices: Vec<usize> = (0..examples.len()).collect();
        let batch = examples.batch(&indices, model.adapter().num_virtual_tokens());
        differentiate(&mut self.engine, model, &batch)?;
        let loss = self.engine.read_loss().await?;
        if !loss.is_finite() {
            return Err(EngineError::NotFinite { step: self.steps }.into());
        }
        let gradient = self.engine.read_gradient().await?;
        Ok(LossAndGradient { loss, gradient })
    }
}

/// Forward, backward, update: queued and sent off, its loss to be read later.
///
/// # Errors
/// Those of the engine.
pub fn send_step<E: Engine>(
    engine: &mut E,
    model: &Model<E::Tensor>,
    batch: &Batch,
    optimizer: &AdamW,
) -> Result<(), EngineError> {
    differentiate(engine, model, batch)?;
    engine.optimizer_step(optimizer)?;
    engine.end_step()
}

/// Forward and backward: loss and gradient are in the engine then.
pub(super) fn differentiate<E: Engine>(
    engine: &mut E,
    model: &Model<E::Tensor>,
    batch: &Batch,
) -> Result<(), EngineError> {
    engine.begin(batch, true)?;
    let logits = model.logits(engine)?;
    engine.cross_entropy(&logits)?;
    drop(logits);
    engine.backward()
}

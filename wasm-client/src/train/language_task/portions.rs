//! A language task's batches in portions, as [`crate::train::portions`] has them. What counts in the
//! mean of a batch are its scored tokens.

use super::LanguageTaskTrainer;
use crate::engine::decoder::DecoderEngine;
use crate::engine::summed_gradient::SummedGradient;
use crate::language::dataset::Row;
use crate::train::TrainError;
use crate::train::portions::{Portion, deal};
use crate::train::step::LossAndGradient;

impl<E: DecoderEngine> LanguageTaskTrainer<E> {
    /// The next batch of the shuffled rows in at most so many portions, for [`Self::gradient`];
    /// [`Self::apply_gradient`] ends the step. One portion where the adapter has dropout: what is left
    /// out of a row depends on its place in the batch.
    ///
    /// # Errors
    /// [`TrainError::TooEarly`] without rows.
    pub fn next_portions(&mut self, most: usize) -> Result<Vec<Portion<Vec<Row>>>, TrainError> {
        if self.rows.is_empty() {
            return Err(TrainError::TooEarly("set the rows"));
        }
        let prompt = self.adapter.num_virtual_tokens() as usize;
        let size = usize::from(self.task.training.batch_size);
        let drawn = self.shuffle.draw(size);
        let rows: Vec<&Row> = drawn.iter().map(|&place| &self.rows[place]).collect();
        let lengths: Vec<usize> = rows.iter().map(|row| row.tokens.len() + prompt).collect();
        let all: usize = rows.iter().map(|row| row.scored()).sum();
        let most = if self.adapter.lora_dropout > 0.0 {
            1
        } else {
            most
        };
        let portions = deal(&lengths, most).into_iter().map(|places| {
            let examples: Vec<Row> = places.into_iter().map(|at| rows[at].clone()).collect();
            let scored: usize = examples.iter().map(Row::scored).sum();
            let weight = scored as f64 / all as f64;
            Portion { examples, weight }
        });
        Ok(portions.collect())
    }

    /// Mean loss of the scored tokens of all these rows as one batch, and its gradient; the adapter
    /// stays as it is.
    ///
    /// # Errors
    /// As [`Self::score`].
    pub async fn gradient(&mut self, rows: &[Row]) -> Result<LossAndGradient, TrainError> {
        if rows.iter().all(|row| row.scored() == 0) {
            return Err(TrainError::TooEarly("give rows"));
        }
        if !self.has_adapter {
            return Err(TrainError::TooEarly("set the adapter"));
        }
        self.check_rows(rows)?;
        let rows: Vec<&Row> = rows.iter().collect();
        let seed = self.seed.wrapping_add(u64::from(self.steps));
        let trainer = self.trainer()?;
        trainer.set_dropout_seed(seed);
        trainer.gradient(&rows).await
    }

    /// Takes the step by the gradient of the whole batch that was drawn last.
    ///
    /// # Errors
    /// [`crate::engine::EngineError::Shape`] where it is not as long as the adapter.
    pub fn apply_gradient(&mut self, gradient: &[f32]) -> Result<(), TrainError>
    where
        E: SummedGradient,
    {
        let optimizer = self.optimizer();
        let engine = self.trainer()?.engine_mut();
        engine.load_gradient(gradient)?;
        engine.optimizer_step(&optimizer)?;
        self.steps += 1;
        Ok(())
    }
}

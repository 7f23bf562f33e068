//! Training and scoring of a decoder on rows of tokens.

use super::TrainError;
use super::step::LossAndGradient;
use crate::engine::decoder::{DecoderEngine, NOT_SCORED};
use crate::engine::{AdamW, Batch, EngineError};
use crate::language::dataset::Row;
use crate::model::Decoder;
use crate::model::decoder::DecoderAdapter;

/// A decoder on its engine, and the optimizer of its adapter.
pub struct LanguageTrainer<E: DecoderEngine> {
    engine: E,
    decoder: Decoder<E::Tensor>,
    optimizer: AdamW,
    /// Of what the next step leaves out.
    dropout_seed: u64,
}

/// What a decoder says of some rows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// Sum of `-ln p` over the scored tokens.
    pub nats: f64,
    /// Scored tokens.
    pub tokens: usize,
}

impl Score {
    /// `-ln p` of a token in the mean; zero of none.
    pub fn mean(&self) -> f64 {
        self.nats / self.tokens.max(1) as f64
    }
}

impl<E: DecoderEngine> LanguageTrainer<E> {
    /// Trains what `decoder` has of an adapter, whose values the engine holds.
    pub fn new(engine: E, decoder: Decoder<E::Tensor>, optimizer: AdamW) -> Self {
        Self {
            engine,
            decoder,
            optimizer,
            dropout_seed: 0,
        }
    }

    /// The engine.
    pub fn engine(&self) -> &E {
        &self.engine
    }

    /// The engine.
    pub fn engine_mut(&mut self) -> &mut E {
        &mut self.engine
    }

    /// The decoder.
    pub fn decoder(&self) -> &Decoder<E::Tensor> {
        &self.decoder
    }

    /// Engine and decoder, for something else than training.
    pub fn parts(&mut self) -> (&mut E, &Decoder<E::Tensor>) {
        (&mut self.engine, &self.decoder)
    }

    /// Puts another adapter into the decoder; its values are to be set then.
    pub fn attach(&mut self, adapter: DecoderAdapter) {
        self.decoder.attach(adapter);
    }

    /// Engine and decoder, for what comes next.
    pub fn into_parts(self) -> (E, Decoder<E::Tensor>) {
        (self.engine, self.decoder)
    }

    /// Puts other values into the adapter; the optimizer starts anew.
    ///
    /// # Errors
    /// [`EngineError::Shape`] where their number is not the adapter's.
    pub fn set_adapter(&mut self, flat: &[f32]) -> Result<(), TrainError> {
        let expected = self.decoder.adapter().len;
        if flat.len() != expected {
            let (what, found) = ("adapter".to_owned(), flat.len());
            return Err(EngineError::Shape {
                what,
                expected,
                found,
            }
            .into());
        }
        Ok(self.engine.load_adapter(flat)?)
    }

    /// The adapter as it is now.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn adapter(&mut self) -> Result<Vec<f32>, TrainError> {
        Ok(self.engine.read_adapter().await?)
    }

    /// The settings of the next steps.
    pub fn set_optimizer(&mut self, optimizer: AdamW) {
        self.optimizer = optimizer;
    }

    /// Of what the next step leaves out, where the adapter has dropout; each step after it has the next.
    pub fn set_dropout_seed(&mut self, seed: u64) {
        self.dropout_seed = seed;
    }

    /// One step on these rows; yields their mean loss before its update.
    ///
    /// # Errors
    /// [`EngineError::NotFinite`] where the loss is no number, else those of the engine.
    pub async fn step(&mut self, rows: &[&Row]) -> Result<f32, TrainError> {
        self.record_step(rows)?;
        self.finish_step().await
    }

    /// What a step on these rows would be taken by; the adapter stays as it is.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub async fn gradient(&mut self, rows: &[&Row]) -> Result<LossAndGradient, TrainError> {
        self.record_step(rows)?;
        self.engine.backward()?;
        let loss = self.loss().await?;
        let gradient = self.engine.read_gradient().await?;
        Ok(LossAndGradient { loss, gradient })
    }

    /// One step on the sum of the rows' losses, those of each row times its weight; yields the sum.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub async fn weighted_step(
        &mut self,
        rows: &[&Row],
        weights: &[f32],
    ) -> Result<f32, TrainError> {
        self.weighted_gradient(rows, weights)?;
        self.engine.optimizer_step(&self.optimizer)?;
        self.loss().await
    }

    /// The gradient of that sum, which the engine keeps.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn weighted_gradient(&mut self, rows: &[&Row], weights: &[f32]) -> Result<(), TrainError> {
        let (batch, labels) = self.batch(rows);
        let prompt = batch.num_virtual_tokens as usize;
        let of_labels: Vec<f32> = rows
            .iter()
            .zip(weights)
            .flat_map(|(row, weight)| core::iter::repeat_n(*weight, prompt + row.tokens.len()))
            .collect();
        self.engine.begin(&batch, true)?;
        self.decoder
            .weighted_loss(&mut self.engine, &labels, &of_labels)?;
        Ok(self.engine.backward()?)
    }

    /// What the decoder says of all rows together, `at_once` of them in a batch.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn score(&mut self, rows: &[Row], at_once: usize) -> Result<Score, TrainError> {
        let mut score = Score::default();
        for rows in rows.chunks(at_once.max(1)) {
            let rows: Vec<&Row> = rows.iter().filter(|row| row.scored() > 0).collect();
            if rows.is_empty() {
                continue;
            }
            let (batch, labels) = self.batch(&rows);
            self.engine.begin(&batch, false)?;
            self.decoder.loss(&mut self.engine, &labels)?;
            let tokens: usize = rows.iter().map(|row| row.scored()).sum();
            score.nats += f64::from(self.loss().await?) * tokens as f64;
            score.tokens += tokens;
        }
        Ok(score)
    }

    /// The log-probability of each row's scored tokens together.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn log_probabilities(&mut self, rows: &[&Row]) -> Result<Vec<f64>, TrainError> {
        log_probabilities(&mut self.engine, &self.decoder, rows).await
    }

    /// The same by the reference: the decoder without its adapter, on the very same weights.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn reference_log_probabilities(
        &mut self,
        rows: &[&Row],
    ) -> Result<Vec<f64>, TrainError> {
        let mut reference = self.decoder.clone();
        reference.attach(DecoderAdapter::default());
        log_probabilities(&mut self.engine, &reference, rows).await
    }

    fn record_step(&mut self, rows: &[&Row]) -> Result<(), TrainError> {
        let (batch, labels) = self.batch(rows);
        self.engine.begin(&batch, true)?;
        self.decoder.drop_out(Some(self.dropout_seed));
        let recorded = self.decoder.loss(&mut self.engine, &labels);
        self.decoder.drop_out(None);
        self.dropout_seed = self.dropout_seed.wrapping_add(1);
        Ok(recorded?)
    }

    async fn finish_step(&mut self) -> Result<f32, TrainError> {
        self.engine.backward()?;
        self.engine.optimizer_step(&self.optimizer)?;
        self.loss().await
    }

    async fn loss(&mut self) -> Result<f32, TrainError> {
        loss(&mut self.engine).await
    }

    fn batch(&self, rows: &[&Row]) -> (Batch, Vec<u32>) {
        batch(&self.decoder, rows)
    }
}

async fn log_probabilities<E: DecoderEngine>(
    engine: &mut E,
    decoder: &Decoder<E::Tensor>,
    rows: &[&Row],
) -> Result<Vec<f64>, TrainError> {
    let mut sums = Vec::with_capacity(rows.len());
    for row in rows {
        let (batch, labels) = batch(decoder, &[row]);
        engine.begin(&batch, false)?;
        decoder.loss(engine, &labels)?;
        sums.push(-f64::from(loss(engine).await?) * row.scored() as f64);
    }
    Ok(sums)
}

async fn loss<E: DecoderEngine>(engine: &mut E) -> Result<f32, TrainError> {
    let loss = engine.read_loss().await?;
    if loss.is_finite() {
        Ok(loss)
    } else {
        Err(EngineError::NotFinite { step: 0 }.into())
    }
}

/// The rows as one batch, and the labels of its rows, virtual tokens not scored.
fn batch<T: Clone>(decoder: &Decoder<T>, rows: &[&Row]) -> (Batch, Vec<u32>) {
    let prompt = decoder.adapter().num_virtual_tokens();
    let mut batch = Batch {
        token_starts: vec![0],
        num_virtual_tokens: prompt,
        ..Batch::default()
    };
    let mut labels = Vec::new();
    for row in rows {
        batch.tokens.extend(&row.tokens);
        batch.token_starts.push(batch.tokens.len() as u32);
        labels.extend(core::iter::repeat_n(NOT_SCORED, prompt as usize));
        labels.extend(&row.labels);
    }
    (batch, labels)
}

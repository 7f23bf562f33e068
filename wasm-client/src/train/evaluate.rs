//! What is measured without training: loss and accuracy, probabilities, class centroids.

use super::batch::Examples;
use super::{Stage, TrainError, Trainer};
use crate::engine::{Batch, Engine, EngineError};

/// Rows of one forward pass: enough to keep the products busy, little memory.
const ROWS: usize = 1024;

/// How well the model does on labelled examples.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean of `-log p(label)`.
    pub loss: f32,
    /// Share of examples whose likeliest class is the label.
    pub accuracy: f32,
    /// The likeliest class of each example.
    pub predictions: Vec<u32>,
}

/// What one forward pass yields.
#[derive(Clone, Copy, PartialEq)]
enum Output {
    Pooled,
    Logits,
}

impl<E: Engine> Trainer<E> {
    /// Loss, accuracy and predictions on labelled examples.
    ///
    /// # Errors
    /// [`EngineError::OutOfRange`] for a label that the model has no class for,
    /// [`EngineError::NotFinite`] if the loss is no finite number.
    pub async fn evaluate(&mut self, examples: &Examples) -> Result<Evaluation, TrainError> {
        let probabilities = self.classify(examples).await?;
        let classes = self.model()?.classes();
        let mut loss = 0.0;
        let mut right = 0usize;
        let mut predictions = Vec::with_capacity(examples.len());
        for (row, &label) in probabilities.chunks_exact(classes).zip(examples.labels()) {
            let value = label as usize;
            let Some(probability) = row.get(value) else {
                let (what, limit) = ("label", classes);
                return Err(EngineError::OutOfRange { what, value, limit }.into());
            };
            loss -= f64::from(probability.max(f32::MIN_POSITIVE).ln());
            let prediction = likeliest(row);
            right += usize::from(prediction == label);
            predictions.push(prediction);
        }
        let count = predictions.len().max(1) as f64;
        let loss = (loss / count) as f32;
        if !loss.is_finite() || probabilities.iter().any(|p| !p.is_finite()) {
            return Err(EngineError::NotFinite { step: self.steps }.into());
        }
        Ok(Evaluation {
            loss,
            accuracy: (right as f64 / count) as f32,
            predictions,
        })
    }

    /// Class probabilities, `[examples, classes]`.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn classify(&mut self, examples: &Examples) -> Result<Vec<f32>, TrainError> {
        let classes = self.model()?.classes().max(1);
        let mut logits = self.forward_all(examples, Output::Logits).await?;
        for row in logits.chunks_exact_mut(classes) {
            softmax(row);
        }
        Ok(logits)
    }

    /// Mean-pooled embeddings, `[examples, dim]`.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn pooled(&mut self, examples: &Examples) -> Result<Vec<f32>, TrainError> {
        self.forward_all(examples, Output::Pooled).await
    }

    /// The payload of a centroids task for the examples set: for each class the sum of its
    /// unit-length pooled embeddings over the number of examples, `[labels, dim]`, then each
    /// class's share of the examples, `[labels]`.
    ///
    /// # Errors
    /// [`TrainError::TooEarly`] without examples, and those of the engine.
    pub async fn centroids(&mut self) -> Result<Vec<f32>, TrainError> {
        let examples = core::mem::take(&mut self.examples);
        let pooled = self.pooled(&examples).await;
        let labels = self.task.labels.len();
        let payload = pooled.and_then(|pooled| class_sums(&pooled, &examples, labels));
        self.examples = examples;
        payload
    }

    async fn forward_all(
        &mut self,
        examples: &Examples,
        output: Output,
    ) -> Result<Vec<f32>, TrainError> {
        let Stage::Ready(model) = &self.stage else {
            return Err(TrainError::TooEarly("finish the weights"));
        };
        let mut values = Vec::new();
        for run in examples.runs(ROWS) {
            let indices: Vec<usize> = run.collect();
            let batch = examples.batch(&indices, model.adapter().num_virtual_tokens());
            self.engine.begin(
                &Batch {
                    labels: Vec::new(),
                    ..batch
                },
                false,
            )?;
            let tensor = match output {
                Output::Pooled => model.pooled(&mut self.engine)?,
                Output::Logits => model.logits(&mut self.engine)?,
            };
            values.extend(self.engine.read(&tensor).await?);
        }
        Ok(values)
    }
}

fn class_sums(pooled: &[f32], examples: &Examples, labels: usize) -> Result<Vec<f32>, TrainError> {
    let count = examples.labels().len();
    if count == 0 {
        return Err(TrainError::TooEarly("set the examples"));
    }
    let dim = pooled.len() / count;
    let mut payload = vec![0.0; labels * (dim + 1)];
    let (sums, counts) = payload.split_at_mut(labels * dim);
    for (embedding, &label) in pooled.chunks_exact(dim).zip(examples.labels()) {
        let value = label as usize;
        if value >= labels {
            return Err(EngineError::OutOfRange {
                what: "label",
                value,
                limit: labels,
            }
            .into());
        }
        let norm = embedding
            .iter()
            .map(|v| v * v)
            .sum::<f32>()
            .sqrt()
            .max(f32::MIN_POSITIVE);
        let factor = 1.0 / (norm * count as f32);
        for (sum, v) in sums[value * dim..][..dim].iter_mut().zip(embedding) {
            *sum += v * factor;
        }
        counts[value] += 1.0 / count as f32;
    }
    Ok(payload)
}

fn softmax(row: &mut [f32]) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut total = 0.0;
    for value in row.iter_mut() {
        *value = (*value - largest).exp();
        total += *value;
    }
    row.iter_mut().for_each(|value| *value /= total);
}

/// The index of the largest value, the first of equals.
fn likeliest(row: &[f32]) -> u32 {
    let mut best = 0;
    for (index, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = index;
        }
    }
    best as u32
}

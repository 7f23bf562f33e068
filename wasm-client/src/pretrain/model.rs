//! A decoder all of whose weights are trained: each tensor is a part of one flat vector, as the
//! adapter's parameters are, so that engine *burn* takes their gradients and moves them by AdamW.

use std::collections::BTreeMap;

use crate::engine::burn::BurnEngine;
use crate::engine::decoder::NOT_SCORED;
use crate::engine::{AdamW, Batch, Engine, EngineError, OptimizerState, Parameter};
use crate::language::dataset::Row;
use crate::language::draws::Draws;
use crate::model::Decoder;
use crate::model::decoder::{DecoderAdapter, DecoderShape, DecoderTarget, DecoderTensor};
use crate::train::language::Score;

/// Standard deviation of the first weights (Radford et al. 2019, section 2.3).
const DEVIATION: f64 = 0.02;

/// The decoder on burn's CPU backend.
pub(crate) struct WholeModel {
    shape: DecoderShape,
    engine: BurnEngine,
    places: BTreeMap<DecoderTensor, Parameter>,
}

impl WholeModel {
    /// A model with these weights, in the order of [`DecoderTensor::all`].
    pub(crate) fn new(shape: DecoderShape, weights: &[f32]) -> Result<Self, EngineError> {
        let mut engine = BurnEngine::flex();
        engine.load_adapter(weights)?;
        Ok(Self {
            places: places(&shape),
            shape,
            engine,
        })
    }

    /// Puts other weights in place; the optimizer begins anew.
    pub(crate) fn load(&mut self, weights: &[f32]) -> Result<(), EngineError> {
        self.engine.load_adapter(weights)
    }

    /// Puts weights and an optimizer's state in place, to go on from them.
    pub(crate) fn resume(
        &mut self,
        weights: &[f32],
        optimizer: &OptimizerState,
    ) -> Result<(), EngineError> {
        self.engine.load_adapter(weights)?;
        self.engine.load_optimizer(optimizer)
    }

    /// The optimizer's state.
    pub(crate) fn optimizer(&mut self) -> Result<OptimizerState, EngineError> {
        pollster::block_on(self.engine.read_optimizer())
    }

    /// The weights.
    pub(crate) fn weights(&mut self) -> Result<Vec<f32>, EngineError> {
        pollster::block_on(self.engine.read_adapter())
    }

    /// One step on these rows; yields their mean loss before it.
    pub(crate) fn train(&mut self, rows: &[&Row], optimizer: &AdamW) -> Result<f32, EngineError> {
        self.forward(rows, true)?;
        self.engine.backward()?;
        self.engine.optimizer_step(optimizer)?;
        self.engine.end_step()?;
        self.loss()
    }

    /// The loss of rows that it does not learn from.
    pub(crate) fn score(&mut self, rows: &[&Row]) -> Result<Score, EngineError> {
        self.forward(rows, false)?;
        self.engine.end_step()?;
        let tokens = rows.iter().map(|row| row.scored()).sum();
        Ok(Score {
            nats: f64::from(self.loss()?) * tokens as f64,
            tokens,
        })
    }

    fn loss(&mut self) -> Result<f32, EngineError> {
        let losses = pollster::block_on(self.engine.read_losses())?;
        losses.last().copied().ok_or_else(|| EngineError::Shape {
            what: "losses".to_owned(),
            expected: 1,
            found: 0,
        })
    }

    fn forward(&mut self, rows: &[&Row], training: bool) -> Result<(), EngineError> {
        let (batch, labels) = batch(rows);
        self.engine.begin(&batch, training)?;
        let (engine, places) = (&mut self.engine, &self.places);
        let decoder = Decoder::build(self.shape, DecoderAdapter::default(), |tensor| {
            engine.trained(&places[&tensor])
        })?;
        decoder.loss(&mut self.engine, &labels)
    }
}

/// The rows as a batch, and their labels.
fn batch(rows: &[&Row]) -> (Batch, Vec<u32>) {
    let mut batch = Batch {
        token_starts: vec![0],
        ..Batch::default()
    };
    let mut labels = Vec::new();
    for row in rows.iter().filter(|row| !row.tokens.is_empty()) {
        batch.tokens.extend(&row.tokens);
        batch.token_starts.push(batch.tokens.len() as u32);
        labels.extend(&row.labels);
    }
    debug_assert!(labels.iter().any(|label| *label != NOT_SCORED));
    (batch, labels)
}

/// Where each tensor lies in the flat vector.
pub(crate) fn places(shape: &DecoderShape) -> BTreeMap<DecoderTensor, Parameter> {
    let mut start = 0;
    let place = |tensor: DecoderTensor| {
        let shape @ [rows, columns] = tensor.shape(shape);
        let range = start..start + rows * columns;
        start = range.end;
        (tensor, Parameter { range, shape })
    };
    DecoderTensor::all(shape).into_iter().map(place).collect()
}

/// Weights to begin with: gains one, matrices uniform with [`DEVIATION`], those that end a branch of
/// the residual stream smaller by the root of the number of branches.
pub(crate) fn initial(shape: &DecoderShape, seed: u64) -> Vec<f32> {
    let mut draws = Draws::new("choir/pretrain", seed);
    let mut weights = Vec::new();
    for tensor in DecoderTensor::all(shape) {
        let [rows, columns] = tensor.shape(shape);
        let deviation = match tensor {
            DecoderTensor::NormGain(_)
            | DecoderTensor::QueryNorm(_)
            | DecoderTensor::KeyNorm(_) => {
                weights.resize(weights.len() + columns, 1.0);
                continue;
            }
            DecoderTensor::Weight(_, DecoderTarget::O | DecoderTarget::Down) => {
                DEVIATION / f64::from(2 * shape.layers).sqrt()
            }
            _ => DEVIATION,
        };
        let bound = deviation * 3f64.sqrt();
        let values = (0..rows * columns).map(|_| ((2.0 * draws.unit() - 1.0) * bound) as f32);
        weights.extend(values);
    }
    weights
}

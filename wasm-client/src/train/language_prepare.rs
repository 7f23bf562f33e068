//! Getting an engine ready for a language task before its decoder is there, as [`super::prepare`] does
//! for an encoder.

use choir_shared::task::TaskConfig;

use crate::engine::decoder::DecoderEngine;
use crate::engine::quantised::WeightPrecision;
use crate::engine::{AdamW, Batch, EngineError, Preparation};
use crate::model::Decoder;
use crate::model::decoder::{DecoderAdapter, DecoderShape};

/// Two blocks have every kernel that more have; the lowest one alone lacks some gradients.
const BLOCKS: u32 = 2;

/// A step of a decoder to be rehearsed.
pub(super) struct Scene<'a> {
    shape: DecoderShape,
    /// What of it is trained.
    adapter: &'a DecoderAdapter,
    optimizer: AdamW,
    /// Rows of a step.
    rows: usize,
    /// Tokens of the longest row.
    length: usize,
}

impl<'a> Scene<'a> {
    /// A step of this task on its longest rows.
    pub(super) fn new(task: &TaskConfig, shape: DecoderShape, adapter: &'a DecoderAdapter) -> Self {
        Self {
            shape,
            adapter,
            optimizer: AdamW::from(task.training.optimizer),
            rows: task.training.batch_size.into(),
            length: task.max_length.into(),
        }
    }

    /// Makes the kernels ready.
    ///
    /// # Errors
    /// Those of the engine.
    pub(super) fn prepare<E: DecoderEngine>(
        &self,
        engine: &mut E,
    ) -> Result<Preparation, EngineError> {
        let small = Self {
            shape: DecoderShape {
                layers: self.shape.layers.min(BLOCKS),
                ..self.shape
            },
            // A product with one row has a kernel of its own, which a step does not need.
            rows: 2,
            length: 2,
            ..*self
        };
        Preparation::begin(engine, |engine| small.play(engine))
    }

    /// Rehearses the step.
    ///
    /// # Errors
    /// Those of the engine.
    pub(super) fn play<E: DecoderEngine>(&self, engine: &mut E) -> Result<(), EngineError> {
        engine.load_adapter(&vec![0.0; self.adapter.len])?;
        let mut decoder = Decoder::build(self.shape, self.adapter.clone(), |tensor| {
            engine.placeholder(WeightPrecision::F32, tensor.shape(&self.shape))
        })?;
        let num_virtual_tokens = self.adapter.num_virtual_tokens();
        let batch = Batch {
            tokens: vec![0; self.rows * self.length],
            token_starts: (0..=self.rows)
                .map(|row| (row * self.length) as u32)
                .collect(),
            labels: Vec::new(),
            num_virtual_tokens,
            past: 0,
        };
        let labels = self.rows * (self.length + num_virtual_tokens as usize);
        engine.begin(&batch, true)?;
        decoder.drop_out(Some(0));
        decoder.loss(engine, &vec![0; labels])?;
        engine.backward()?;
        engine.optimizer_step(&self.optimizer)?;
        engine.end_step()
    }
}

//! Getting an engine ready for a language task before its decoder is there, as [`super::prepare`] does
//! for an encoder.

use crate::engine::decoder::DecoderEngine;
use crate::engine::quantised::WeightPrecision;
use crate::engine::{AdamW, Batch, EngineError, MemoryPlan, Preparation};
use crate::model::Decoder;
use crate::model::decoder::{DecoderAdapter, DecoderShape};

use super::TrainError;
use super::prepare::TrainingPlan;

/// Two blocks have every kernel that more have; the lowest one alone lacks some gradients.
const BLOCKS: u32 = 2;

/// A step of a decoder to be rehearsed.
pub(super) struct Scene<'a> {
    pub(super) shape: DecoderShape,
    /// What of it is trained.
    pub(super) adapter: &'a DecoderAdapter,
    pub(super) optimizer: AdamW,
    /// Rows of a step.
    pub(super) rows: usize,
    /// Tokens of the longest row.
    pub(super) length: usize,
}

impl Scene<'_> {
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

    /// Plans the memory of a step on the longest rows. Where it takes more than `granted` bytes, some of
    /// the activations are to be made again from here on.
    ///
    /// # Errors
    /// [`EngineError::TooLarge`] where it takes more even so, or where one tensor alone is larger than the
    /// device grants.
    pub(super) fn plan<E: DecoderEngine>(
        &self,
        engine: &mut E,
        granted: Option<u64>,
    ) -> Result<Option<TrainingPlan>, TrainError> {
        let granted = granted.unwrap_or(u64::MAX);
        let Some(memory) = MemoryPlan::of(engine, |engine| self.play(engine))? else {
            return Ok(None);
        };
        if memory.peak_bytes <= granted {
            let recomputes = false;
            return Ok(Some(TrainingPlan { memory, recomputes }));
        }
        engine.set_recomputation(true);
        let memory = MemoryPlan::of(engine, |engine| self.play(engine))?.unwrap_or_default();
        Ok(Some(TrainingPlan {
            memory: memory.within(granted)?,
            recomputes: true,
        }))
    }

    fn play<E: DecoderEngine>(&self, engine: &mut E) -> Result<(), EngineError> {
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

//! The operations of adapters on burn tensors.

use burn::tensor::{Tensor, TensorData};

use super::padding::embedding_sources;
use super::{BurnEngine, EngineError, Parameter, expect, indices};
use crate::engine::Weight;
use crate::engine::adapter::AdapterEngine;
use crate::engine::dropout::Dropout;

impl BurnEngine {
    /// A layer's weight or bias, frozen or trained.
    pub(super) fn weight(&mut self, weight: &Weight<Tensor<2>>) -> Result<Tensor<2>, EngineError> {
        match weight {
            Weight::Frozen(values) => Ok(values.clone()),
            Weight::Trained(parameter) => self.parameter(parameter),
        }
    }

    /// Frozen values and what is trained of them, added up.
    pub(super) fn with_trained(
        &mut self,
        frozen: &Tensor<2>,
        trained: Option<&Parameter>,
    ) -> Result<Tensor<2>, EngineError> {
        Ok(match trained {
            Some(trained) => frozen.clone() + self.parameter(trained)?,
            None => frozen.clone(),
        })
    }
}

impl BurnEngine {
    /// Rows of tokens, with each sequence's virtual tokens before its own: the prompt's rows, zero
    /// without one.
    pub(super) fn with_prompt(
        &mut self,
        tokens: Tensor<2>,
        prompt: Option<&Parameter>,
    ) -> Result<Tensor<2>, EngineError> {
        let batch = &self.step()?.batch;
        let (count, dim) = (batch.num_virtual_tokens as usize, tokens.dims()[1]);
        let sources = indices(&embedding_sources(batch), &self.device);
        let rows = match prompt {
            Some(prompt) => {
                expect("soft prompt", count * dim, prompt.range.len())?;
                self.parameter(prompt)?
            }
            None if count == 0 => return Ok(tokens),
            None => Tensor::zeros([count, dim], &self.device),
        };
        Ok(Tensor::cat(vec![rows, tokens], 0).select(0, sources))
    }

    /// Where the rows of `x` come from once those of virtual tokens stand before them, by which rows
    /// take their place.
    fn in_place_of_virtual(&self, rows: Tensor<2>, x: Tensor<2>) -> Result<Tensor<2>, EngineError> {
        let batch = &self.step()?.batch;
        let prompt = batch.num_virtual_tokens;
        expect("virtual rows", prompt as usize, rows.dims()[0])?;
        let starts = batch.row_starts();
        let sequence = |ends: &[u32]| (0..prompt).chain(2 * prompt + ends[0]..prompt + ends[1]);
        let sources: Vec<u32> = starts.windows(2).flat_map(sequence).collect();
        Ok(Tensor::cat(vec![rows, x], 0).select(0, indices(&sources, &self.device)))
    }
}

impl AdapterEngine for BurnEngine {
    fn dropout(&mut self, x: &Tensor<2>, dropout: Dropout) -> Result<Tensor<2>, EngineError> {
        let shape = x.dims();
        let places = 0..(shape[0] * shape[1]) as u32;
        let factors: Vec<f32> = places.map(|place| dropout.factor_at(place)).collect();
        Ok(x.clone() * Tensor::from_data(TensorData::new(factors, shape), &self.device))
    }

    fn trained_rows(&mut self, rows: &Parameter) -> Result<Tensor<2>, EngineError> {
        self.parameter(rows)
    }

    fn replace_virtual_rows(
        &mut self,
        x: Tensor<2>,
        rows: &Parameter,
    ) -> Result<Tensor<2>, EngineError> {
        let rows = self.parameter(rows)?;
        self.in_place_of_virtual(rows, x)
    }

    fn add_virtual_rows(
        &mut self,
        x: Tensor<2>,
        rows: &Tensor<2>,
    ) -> Result<Tensor<2>, EngineError> {
        let zeros = Tensor::zeros(x.dims(), &self.device);
        Ok(self.in_place_of_virtual(rows.clone(), zeros)? + x)
    }

    fn add(&mut self, x: Tensor<2>, y: &Tensor<2>) -> Result<Tensor<2>, EngineError> {
        expect("rows to be added", x.dims()[0], y.dims()[0])?;
        expect("columns to be added", x.dims()[1], y.dims()[1])?;
        Ok(x + y.clone())
    }
}

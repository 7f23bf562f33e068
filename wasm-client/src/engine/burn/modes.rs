//! The operations of adapters on burn tensors.

use burn::tensor::Tensor;

use super::{BurnEngine, EngineError, Parameter, expect};
use crate::engine::adapter::AdapterEngine;

impl BurnEngine {
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

impl AdapterEngine for BurnEngine {
    fn add(&mut self, x: Tensor<2>, y: &Tensor<2>) -> Result<Tensor<2>, EngineError> {
        expect("rows to be added", x.dims()[0], y.dims()[0])?;
        expect("columns to be added", x.dims()[1], y.dims()[1])?;
        Ok(x + y.clone())
    }
}

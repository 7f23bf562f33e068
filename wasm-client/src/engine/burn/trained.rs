//! Models all of whose weights are trained.

use burn::tensor::Tensor;

use super::{BurnEngine, EngineError, Parameter};

impl BurnEngine {
    /// A tensor of such a model: a part of the flat vector that
    /// [`load_adapter`](crate::engine::Engine::load_adapter) took, in the batch begun.
    ///
    /// # Errors
    /// [`EngineError::Shape`] where it is no part of it, or no batch was begun.
    pub fn trained(&mut self, parameter: &Parameter) -> Result<Tensor<2>, EngineError> {
        self.parameter(parameter)
    }
}

//! The prompt encoder of P-tuning (Liu et al. 2021, *GPT understands, too*, section 3.2): what makes the
//! embeddings of virtual tokens. Sequences share it, so that it runs once a batch.

use super::block::trained_layer;
use crate::engine::adapter::AdapterEngine;
use crate::engine::{Activation, EngineError, Parameter};

/// `gelu(E·V + v)·W + w`.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptEncoder {
    /// E, `[num_virtual_tokens, width]`.
    pub embeddings: Parameter,
    /// V, `[width, width]`.
    pub hidden: Parameter,
    /// v, `[1, width]`.
    pub hidden_bias: Parameter,
    /// W, `[width, dim]`.
    pub output: Parameter,
    /// w, `[1, dim]`.
    pub output_bias: Parameter,
}

impl PromptEncoder {
    /// Its parts in the flat vector's order.
    pub fn parts(&self) -> [&Parameter; 5] {
        [
            &self.embeddings,
            &self.hidden,
            &self.hidden_bias,
            &self.output,
            &self.output_bias,
        ]
    }

    /// `[num_virtual_tokens, dim]`.
    pub(super) fn rows<E: AdapterEngine>(&self, engine: &mut E) -> Result<E::Tensor, EngineError> {
        let x = engine.trained_rows(&self.embeddings)?;
        let x = engine.linear(&x, &trained_layer(&self.hidden, &self.hidden_bias))?;
        let x = engine.activation(&x, Activation::Gelu)?;
        engine.linear(&x, &trained_layer(&self.output, &self.output_bias))
    }
}

//! What of a decoder is trained, as views of one flat vector.

use std::collections::BTreeMap;

use super::tensors::{DecoderShape, DecoderTarget};
use crate::engine::{LoraFactors, Parameter};

/// Which layers have low-rank updates, and how large they are (Hu et al. 2021).
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderLora {
    /// Columns of A, rows of B.
    pub rank: usize,
    /// Scale times rank.
    pub alpha: f32,
    /// The linear layers, each at most once.
    pub targets: Vec<DecoderTarget>,
}

/// The trained parts in the flat vector's order: for each block and each target A then B, and last
/// the soft prompt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DecoderAdapter {
    /// LoRA factors by block and linear layer.
    pub lora: BTreeMap<(u32, DecoderTarget), LoraFactors>,
    /// `[num_virtual_tokens, dim]`.
    pub prompt: Option<Parameter>,
    /// Values of the flat vector.
    pub len: usize,
}

impl DecoderAdapter {
    /// The views for a decoder of this shape; no prompt where there are no virtual tokens.
    pub fn new(shape: &DecoderShape, lora: &DecoderLora, num_virtual_tokens: usize) -> Self {
        let mut adapter = Self::default();
        let scale = lora.alpha / lora.rank as f32;
        for layer in 0..shape.layers {
            for &target in &lora.targets {
                let [inputs, outputs] = target.shape(shape);
                let factors = LoraFactors {
                    a: adapter.append([inputs, lora.rank]),
                    b: adapter.append([lora.rank, outputs]),
                    scale,
                };
                adapter.lora.insert((layer, target), factors);
            }
        }
        if num_virtual_tokens > 0 {
            adapter.prompt = Some(adapter.append([num_virtual_tokens, shape.dim]));
        }
        adapter
    }

    /// Rows of the soft prompt; 0 without one.
    pub fn num_virtual_tokens(&self) -> u32 {
        self.prompt
            .as_ref()
            .map_or(0, |prompt| prompt.shape[0] as u32)
    }

    fn append(&mut self, shape: [usize; 2]) -> Parameter {
        let start = self.len;
        self.len += shape[0] * shape[1];
        Parameter {
            range: start..self.len,
            shape,
        }
    }
}

//! What a recording engine needs from its device for decoders, beside
//! [`Kernels`](super::Kernels).

use super::adapter::AdapterKernels;
use crate::engine::decoder::LanguageHead;
use crate::engine::{EngineError, Parameter};

/// Norm of `x`, or of `x + residual`: root-mean-square, or with a bias a layer norm.
pub struct StreamNormCall<'a, B> {
    /// `[rows, dim]`.
    pub x: &'a B,
    /// What is added before the norm.
    pub residual: Option<Residual<'a, B>>,
    /// `[1, dim]`.
    pub gain: &'a B,
    /// `[1, dim]`, of a layer norm.
    pub bias: Option<&'a B>,
    /// Added to the mean of the squares.
    pub eps: f32,
    /// `1/√(mean of the squares + eps)`, `[rows]`: written, kept for the gradient.
    pub rstd: &'a B,
    /// `[rows, dim]`: written.
    pub y: &'a B,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub dim: usize,
}

/// The residual stream before and after an addition, `[rows, dim]` each.
pub struct Residual<'a, B> {
    /// Before.
    pub before: &'a B,
    /// `x + before`: written.
    pub sum: &'a B,
}

/// Gradient of what was normalized: `rstd·(g - n·mean(g·n))` with `g = d_y·gain`, `n = x·rstd`; in a
/// layer norm with `n = (x - mean(x))·rstd`, and less `rstd·mean(g)`.
pub struct StreamNormGradient<'a, B> {
    /// `[rows, dim]`.
    pub d_y: &'a B,
    /// What was normalized: the input, or its sum with the residual, `[rows, dim]`.
    pub x: &'a B,
    /// From the forward pass.
    pub rstd: &'a B,
    /// `[1, dim]`.
    pub gain: &'a B,
    /// `[rows, dim]`.
    pub d_x: &'a B,
    /// The norm is a layer norm.
    pub centred: bool,
    /// Add to `d_x`, which then holds the gradient along the residual stream.
    pub add: bool,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub dim: usize,
}

/// Rotary positions of the batch's rows, in place.
pub struct RotateCall<'a, B> {
    /// `[rows, columns]` and its columns, whole heads.
    pub first: (&'a B, usize),
    /// A second tensor for the same dispatch.
    pub second: Option<(&'a B, usize)>,
    /// [`crate::engine::decoder::Rotary::table`], for at least the positions of the batch.
    pub table: &'a B,
    /// Columns of one head.
    pub head_dim: usize,
    /// Turn by the negative angle: the gradient.
    pub backward: bool,
    /// Rows.
    pub rows: usize,
}

/// `y = silu(gate)·up` over `len` values.
pub struct SwigluCall<'a, B> {
    /// Values.
    pub gate: &'a B,
    /// Values.
    pub up: &'a B,
    /// Values: written.
    pub y: &'a B,
    /// How many.
    pub len: usize,
}

/// Its gradients, over `len` values.
pub struct SwigluGradient<'a, B> {
    /// Values.
    pub gate: &'a B,
    /// Values.
    pub up: &'a B,
    /// Gradient of the output.
    pub d_y: &'a B,
    /// Written.
    pub d_gate: &'a B,
    /// Written.
    pub d_up: &'a B,
    /// How many.
    pub len: usize,
}

/// Loss of the next token, in chunks of rows, and its gradient by the hidden states.
pub struct LanguageLossCall<'a, B> {
    /// `[rows, dim]`.
    pub hidden: &'a B,
    /// The frozen projection.
    pub head: LanguageHead<&'a B>,
    /// One per row, or [`crate::engine::decoder::NOT_SCORED`]; at least one is scored.
    pub labels: &'a [u32],
    /// What each row's loss is multiplied by, one per row; without it they make a mean.
    pub weights: Option<&'a [f32]>,
    /// `[rows, dim]`: written, if the gradient is wanted.
    pub d_hidden: Option<&'a B>,
    /// Columns of `hidden`.
    pub dim: usize,
    /// Columns of the logits.
    pub vocabulary: usize,
}

#[cfg(any(feature = "wgsl", feature = "cpu"))]
impl<B> LanguageLossCall<'_, B> {
    /// What each scored row's loss is multiplied by.
    pub(crate) fn row_weights(&self) -> Vec<f32> {
        match self.weights {
            Some(weights) => weights.to_vec(),
            None => {
                let scored = self.labels.iter().filter(|label| scored(**label)).count();
                vec![1.0 / scored.max(1) as f32; self.labels.len()]
            }
        }
    }

    /// Rows of a chunk, a multiple of `unit`: at least two chunks where there are rows for two,
    /// more where a chunk's logits would be many.
    pub(crate) fn chunk_rows(&self, unit: usize) -> usize {
        let rows = self.labels.len();
        let chunks = (rows * self.vocabulary).div_ceil(CHUNK_VALUES).max(2);
        rows.div_ceil(chunks).next_multiple_of(unit.max(1))
    }
}

/// Logits of one chunk at most, where a chunk has more rows than it must: 8 MiB.
#[cfg(any(feature = "wgsl", feature = "cpu"))]
const CHUNK_VALUES: usize = 1 << 21;

/// True if a row with this label is scored.
pub(crate) fn scored(label: u32) -> bool {
    label != crate::engine::decoder::NOT_SCORED
}

/// The device's kernels for decoders.
pub trait DecoderKernels: AdapterKernels {
    /// `out[row] = word[token] or prompt[i]`, `[rows, dim]`.
    fn embed_tokens(
        &mut self,
        word: &Self::Buffer,
        prompt: Option<&Parameter>,
        out: &Self::Buffer,
        dim: usize,
    ) -> Result<(), EngineError>;
    /// Forward of a norm beside the residual stream.
    fn stream_norm(&mut self, call: StreamNormCall<'_, Self::Buffer>) -> Result<(), EngineError>;
    /// Gradient of what it normalized.
    fn stream_norm_gradient(
        &mut self,
        call: StreamNormGradient<'_, Self::Buffer>,
    ) -> Result<(), EngineError>;
    /// Rotary positions, or their gradient.
    fn rotate(&mut self, call: RotateCall<'_, Self::Buffer>) -> Result<(), EngineError>;
    /// Forward of the gated unit.
    fn swiglu(&mut self, call: SwigluCall<'_, Self::Buffer>) -> Result<(), EngineError>;
    /// Its gradients.
    fn swiglu_gradient(
        &mut self,
        call: SwigluGradient<'_, Self::Buffer>,
    ) -> Result<(), EngineError>;
    /// The loss that the next `read_loss` reads, and its gradient.
    fn language_loss(
        &mut self,
        call: LanguageLossCall<'_, Self::Buffer>,
    ) -> Result<(), EngineError>;
}

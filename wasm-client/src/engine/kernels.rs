//! What an engine that records ([`super::record`]) needs from its device: one call per fused
//! kernel, forward and backward.
//!
//! A buffer holds at least the values that its use names; row counts come with each call. Every
//! backward call that yields the gradient of an activation says whether it *adds* to what is there.
//! Gradients of the adapter go to the kernels' own flat gradient buffer, at the parameter's range,
//! and are written (not added) once per step.

pub mod adapter;
pub mod decoder;
pub mod generation;

use super::quantised::{QuantisedMatrix, WeightPrecision};
use super::{
    Activation, AdamW, AttentionMask, Batch, DeviceInfo, EngineError, LinearLayer, LoraFactors,
    MemoryPlan, OptimizerState, Parameter, Preparation, StepCounts, Weight,
};

/// `y = x·W + b + scale·(x·A)·B`.
pub struct LinearCall<'a, B> {
    /// `[rows, in]`.
    pub x: &'a B,
    /// The weights.
    pub layer: &'a LinearLayer<B>,
    /// `x·A`, `[rows, rank]`, from [`Kernels::low_rank`]. Present if `layer.lora` is.
    pub low_rank: Option<&'a B>,
    /// `[rows, out]`: written.
    pub y: &'a B,
    /// Rows of `x` and `y`.
    pub rows: usize,
}

/// `d_x (+)= d_y·Wᵀ + (scale·d_y·Bᵀ)·Aᵀ`.
pub struct LinearInputGradient<'a, B> {
    /// `[rows, out]`.
    pub d_y: &'a B,
    /// The weights.
    pub layer: &'a LinearLayer<B>,
    /// `scale·d_y·Bᵀ`, `[rows, rank]`, from [`Kernels::low_rank`]. Present if `layer.lora` is.
    pub d_low_rank: Option<&'a B>,
    /// `[rows, in]`.
    pub d_x: &'a B,
    /// Add to `d_x` instead of writing it.
    pub add: bool,
    /// Rows.
    pub rows: usize,
}

/// One of the products that lead into the few columns of a low-rank part.
pub struct LowRankCall<'a, B> {
    /// The factors.
    pub lora: &'a LoraFactors,
    /// Forward the layer's input `[rows, in]`, backward its output's gradient `[rows, out]`.
    pub x: &'a B,
    /// `[rows, rank]`: written.
    pub low_rank: &'a B,
}

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LowRankWay {
    /// `low_rank = x·A`.
    Forward,
    /// `low_rank = scale·x·Bᵀ`.
    Backward,
}

/// `dA = xᵀ·d_low_rank`, `dB = scale·low_rankᵀ·d_y`.
pub struct LoraGradient<'a, B> {
    /// `[rows, in]`.
    pub x: &'a B,
    /// `[rows, out]`.
    pub d_y: &'a B,
    /// The factors; their ranges are where the gradients go.
    pub lora: &'a LoraFactors,
    /// `x·A` of the forward pass, `[rows, rank]`.
    pub low_rank: &'a B,
    /// `scale·d_y·Bᵀ`, `[rows, rank]`.
    pub d_low_rank: &'a B,
    /// Rows.
    pub rows: usize,
}

/// `dW = xᵀ·d_y` and `db = Σ_rows d_y`, of trained weights.
pub struct WeightGradient<'a, B> {
    /// `[rows, in]`.
    pub x: &'a B,
    /// `[rows, out]`.
    pub d_y: &'a B,
    /// Where dW goes, if the weight is trained.
    pub weight: Option<&'a Parameter>,
    /// Where db goes, if the bias is trained.
    pub bias: Option<&'a Parameter>,
    /// `[in, out]`.
    pub shape: [usize; 2],
    /// Rows.
    pub rows: usize,
}

/// Layer norm of `x + residual`.
pub struct NormCall<'a, B> {
    /// `[rows, dim]`.
    pub x: &'a B,
    /// `[rows, dim]`.
    pub residual: Option<&'a B>,
    /// `[1, dim]`.
    pub gain: &'a B,
    /// `[1, dim]`.
    pub bias: &'a B,
    /// Added to the variance.
    pub eps: f32,
    /// `(x + residual - mean)·rstd`, `[rows, dim]`: written, kept for the gradient.
    pub normalized: &'a B,
    /// `1/√(variance + eps)`, `[rows]`: written, kept for the gradient.
    pub rstd: &'a B,
    /// `[rows, dim]`: written.
    pub y: &'a B,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub dim: usize,
}

/// Gradient of the norm's input (the same for `x` and `residual`).
pub struct NormGradient<'a, B> {
    /// `[rows, dim]`.
    pub d_y: &'a B,
    /// From the forward pass.
    pub normalized: &'a B,
    /// From the forward pass.
    pub rstd: &'a B,
    /// `[1, dim]`.
    pub gain: &'a B,
    /// `[rows, dim]`.
    pub d_x: &'a B,
    /// Add to `d_x` instead of writing it.
    pub add: bool,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub dim: usize,
}

/// Softmax attention within each sequence of the batch given to [`Kernels::begin`].
///
/// `heads / kv_heads` heads of queries in a row share one of keys and values (grouped-query
/// attention, Ainslie et al. 2023).
pub struct AttentionCall<'a, B> {
    /// `[rows, heads·head_dim]`.
    pub q: &'a B,
    /// `[rows, kv_heads·head_dim]`.
    pub k: &'a B,
    /// As `k`.
    pub v: &'a B,
    /// `[rows, heads·head_dim]`: written.
    pub out: &'a B,
    /// Two values per row and head, `[rows, heads, 2]`, kept for the gradient: the log of the sum
    /// of exponentials of the row's scaled scores, written forward, and `Σ d_out·out`, which the
    /// gradient writes for itself.
    pub statistics: &'a B,
    /// Heads of the queries.
    pub heads: usize,
    /// Heads of the keys and values; divides `heads`.
    pub kv_heads: usize,
    /// Columns of one head.
    pub head_dim: usize,
    /// Which keys are seen.
    pub mask: AttentionMask,
    /// Rows.
    pub rows: usize,
}

/// Gradient of attention; writes `d_q`, `d_k`, `d_v`.
pub struct AttentionGradient<'a, B> {
    /// The forward call.
    pub forward: AttentionCall<'a, B>,
    /// `[rows, heads·head_dim]`.
    pub d_out: &'a B,
    /// `[rows, heads·head_dim]`: written.
    pub d_q: &'a B,
    /// `[rows, kv_heads·head_dim]`: written.
    pub d_k: &'a B,
    /// As `d_k`.
    pub d_v: &'a B,
}

/// The device's kernels.
#[allow(async_fn_in_trait)]
pub trait Kernels {
    /// f32 storage on the device; cheap to clone.
    type Buffer: Clone;

    /// What it runs on.
    fn device(&self) -> DeviceInfo;
    /// Frozen values.
    fn upload(&mut self, values: &[f32], shape: [usize; 2]) -> Result<Self::Buffer, EngineError>;
    /// A frozen matrix that the kernels dequantise where they use it: as the weight of a linear
    /// layer or as a word table.
    fn upload_quantised(&mut self, matrix: QuantisedMatrix) -> Result<Self::Buffer, EngineError>;
    /// As [`super::Engine::begin_rehearsal`]: calls are checked and noted, not carried out.
    fn begin_rehearsal(&mut self) -> bool {
        false
    }
    /// Ends the rehearsal; yields the memory that it would have taken.
    fn end_rehearsal(&mut self) -> MemoryPlan {
        MemoryPlan::default()
    }
    /// A frozen matrix of a rehearsal.
    fn placeholder(
        &mut self,
        precision: WeightPrecision,
        shape: [usize; 2],
    ) -> Result<Self::Buffer, EngineError> {
        let _ = precision;
        self.upload(&vec![0.0; shape[0] * shape[1]], shape)
    }
    /// As [`super::Engine::prepare`].
    fn prepare(&mut self) -> Preparation {
        Preparation::default()
    }
    /// Scratch for `rows × columns` values, not cleared. Rows may be rounded up by the kernels.
    fn allocate(&mut self, rows: usize, columns: usize) -> Result<Self::Buffer, EngineError>;
    /// Gives scratch back for the next `allocate`. Work already queued still reads it.
    fn release(&mut self, buffer: Self::Buffer);
    /// Frees what was given back; steps of another kind come next.
    fn forget_scratch(&mut self) {}
    /// The adapter's flat vector; moments and step count start at zero.
    fn load_adapter(&mut self, flat: &[f32]) -> Result<(), EngineError>;
    /// Uploads the batch's tokens, starts and labels; counts start at zero.
    fn begin(&mut self, batch: &Batch) -> Result<(), EngineError>;

    /// `out[row] = (word[token] or prompt[i]) + position[p] + token_type[0]`, `[rows, dim]`.
    fn embed(
        &mut self,
        tables: &super::EmbeddingTables<Self::Buffer>,
        prompt: Option<&Parameter>,
        out: &Self::Buffer,
        dim: usize,
    ) -> Result<(), EngineError>;
    /// `d_prompt[i] = Σ_sequences d_x[start + i]`, into the flat gradient.
    fn prompt_gradient(
        &mut self,
        d_x: &Self::Buffer,
        prompt: &Parameter,
    ) -> Result<(), EngineError>;
    /// Forward of a linear layer.
    fn linear(&mut self, call: LinearCall<'_, Self::Buffer>) -> Result<(), EngineError>;
    /// Gradient of its input.
    fn linear_input_gradient(
        &mut self,
        call: LinearInputGradient<'_, Self::Buffer>,
    ) -> Result<(), EngineError>;
    /// Products into low-rank parts, independent of each other: together where the device can.
    fn low_rank(
        &mut self,
        way: LowRankWay,
        calls: &[LowRankCall<'_, Self::Buffer>],
        rows: usize,
    ) -> Result<(), EngineError>;
    /// Gradients of its low-rank part.
    fn lora_gradient(&mut self, call: LoraGradient<'_, Self::Buffer>) -> Result<(), EngineError>;
    /// Gradients of its trained weight and bias.
    fn weight_gradient(
        &mut self,
        call: WeightGradient<'_, Self::Buffer>,
    ) -> Result<(), EngineError>;
    /// Forward of a norm.
    fn norm(&mut self, call: NormCall<'_, Self::Buffer>) -> Result<(), EngineError>;
    /// `y = normalized·gain + bias` of `[rows, dim]`, as the forward pass had it. The inputs are
    /// normalized, gain and bias.
    fn norm_output(
        &mut self,
        inputs: [&Self::Buffer; 3],
        y: &Self::Buffer,
        shape: [usize; 2],
    ) -> Result<(), EngineError>;
    /// Gradient of its input.
    fn norm_gradient(&mut self, call: NormGradient<'_, Self::Buffer>) -> Result<(), EngineError>;
    /// Forward of attention.
    fn attention(&mut self, call: AttentionCall<'_, Self::Buffer>) -> Result<(), EngineError>;
    /// Gradients of its inputs.
    fn attention_gradient(
        &mut self,
        call: AttentionGradient<'_, Self::Buffer>,
    ) -> Result<(), EngineError>;
    /// `y = f(x)` over `len` values.
    fn activation(
        &mut self,
        kind: Activation,
        x: &Self::Buffer,
        y: &Self::Buffer,
        len: usize,
    ) -> Result<(), EngineError>;
    /// `d_x = d_y·f'(x)` over `len` values; `d_x` and `d_y` may be the same buffer.
    fn activation_gradient(
        &mut self,
        kind: Activation,
        x: &Self::Buffer,
        d_y: &Self::Buffer,
        d_x: &Self::Buffer,
        len: usize,
    ) -> Result<(), EngineError>;
    /// Mean over each sequence's real tokens: `[rows, dim]` to `[batch, dim]`.
    fn mean_pool(
        &mut self,
        x: &Self::Buffer,
        out: &Self::Buffer,
        dim: usize,
    ) -> Result<(), EngineError>;
    /// Its gradient, zero for virtual tokens: `[batch, dim]` to `[rows, dim]`, written.
    fn mean_pool_gradient(
        &mut self,
        d_out: &Self::Buffer,
        d_x: &Self::Buffer,
        dim: usize,
    ) -> Result<(), EngineError>;
    /// The mean loss of the batch's labels and its gradient by the logits, `[batch, classes]`.
    fn cross_entropy(
        &mut self,
        logits: &Self::Buffer,
        d_logits: &Self::Buffer,
        classes: usize,
    ) -> Result<(), EngineError>;
    /// AdamW over the whole flat adapter; counts its own steps.
    fn optimizer_step(&mut self, optimizer: &AdamW) -> Result<(), EngineError>;

    /// Sends off what is queued and keeps the loss of the last `cross_entropy`.
    fn end_step(&mut self) -> Result<(), EngineError>;
    /// Reads the losses kept since they were last read, in order.
    async fn read_losses(&mut self) -> Result<Vec<f32>, EngineError>;
    /// Reads `len` values.
    async fn read(&mut self, buffer: &Self::Buffer, len: usize) -> Result<Vec<f32>, EngineError>;
    /// Reads the flat adapter.
    async fn read_adapter(&mut self) -> Result<Vec<f32>, EngineError>;
    /// Reads the flat gradient.
    async fn read_gradient(&mut self) -> Result<Vec<f32>, EngineError>;
    /// Reads the moments and the step count.
    async fn read_optimizer(&mut self) -> Result<OptimizerState, EngineError>;
    /// Writes the moments, as long as the adapter each, and the step count.
    fn load_optimizer(&mut self, state: &OptimizerState) -> Result<(), EngineError>;
    /// Counts since `begin`.
    fn counts(&self) -> StepCounts;
}

/// The trained parameter of a weight, if it is trained.
pub(crate) fn trained<T>(weight: &Weight<T>) -> Option<&Parameter> {
    match weight {
        Weight::Frozen(_) => None,
        Weight::Trained(parameter) => Some(parameter),
    }
}

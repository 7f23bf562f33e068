//! The operations a model is written in, and the engines that carry them out.
//!
//! A model calls forward operations only; [`Engine::backward`] belongs to the engine. Reading the
//! loss and the adapter is asynchronous, everything else is queued.
//!
//! **Rows are packed.** A batch of `batch` sequences is one tensor `[rows, dim]`, sequence after
//! sequence without padding, so padded positions are never computed. `Batch::starts` says where
//! each sequence begins.

use core::ops::Range;

pub use memory_plan::MemoryPlan;
pub use optimizer::{AdamW, OptimizerState};
pub use preparation::Preparation;
use quantised::{QuantisedMatrix, WeightPrecision};

pub mod adapter;
#[cfg(feature = "burn")]
pub mod burn;
pub mod checks;
#[cfg(feature = "cpu")]
pub mod cpu;
pub mod decoder;
pub mod dropout;
pub mod generation;
pub mod kernels;
mod memory_plan;
mod optimizer;
mod preparation;
pub mod quantised;
pub mod record;
pub mod summed_gradient;
#[cfg(feature = "wgsl")]
pub mod wgsl;

/// A batch of token sequences, packed without padding.
///
/// Sequence `b` has `num_virtual_tokens` rows of the soft prompt, then its own tokens. Token ids
/// hold the real tokens only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Real token ids of all sequences, one after the other.
    pub tokens: Vec<u32>,
    /// Where each sequence's tokens begin in `tokens`, and at the end their number: `[batch + 1]`.
    pub token_starts: Vec<u32>,
    /// One label per sequence: `[batch]`. Empty where nothing is scored.
    pub labels: Vec<u32>,
    /// Rows of the soft prompt before each sequence's tokens; 0 where there is none.
    pub num_virtual_tokens: u32,
    /// Position of each sequence's first row: how many rows went before it, in earlier batches.
    pub past: u32,
}

impl Batch {
    /// Number of sequences.
    pub fn len(&self) -> usize {
        self.token_starts.len().saturating_sub(1)
    }

    /// True where there is no sequence.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows of every `[rows, dim]` tensor of this batch, virtual tokens included.
    pub fn rows(&self) -> usize {
        self.tokens.len() + self.len() * self.num_virtual_tokens as usize
    }

    /// Where each sequence's rows begin, virtual tokens included: `[batch + 1]`.
    pub fn row_starts(&self) -> Vec<u32> {
        let virtual_tokens = self.num_virtual_tokens;
        self.token_starts
            .iter()
            .enumerate()
            .map(|(b, s)| s + b as u32 * virtual_tokens)
            .collect()
    }
}

/// A part of the adapter's flat vector seen as a matrix, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Where it lies in the flat vector.
    pub range: Range<usize>,
    /// `[rows, columns]`; a bias is `[1, columns]`.
    pub shape: [usize; 2],
}

/// A matrix or bias that is either frozen (part of the base model) or trained (part of the adapter).
#[derive(Clone, Debug)]
pub enum Weight<T> {
    /// Held by the engine, no gradient.
    Frozen(T),
    /// A view of the adapter's flat vector, with a gradient.
    Trained(Parameter),
}

/// A linear layer `y = x·W + b + scale·(x·A)·B`; weights are `[in, out]`, row-major.
#[derive(Clone, Debug)]
pub struct LinearLayer<T> {
    /// `[in, out]`.
    pub weight: Weight<T>,
    /// `[1, out]`.
    pub bias: Option<Weight<T>>,
    /// `[1, out]`: added to a bias that is frozen or absent.
    pub trained_bias: Option<Parameter>,
    /// The low-rank part, factored: the full delta never exists.
    pub lora: Option<LoraFactors>,
    /// `[in, out]`.
    pub shape: [usize; 2],
}

impl<T> LinearLayer<T> {
    /// A frozen matrix `[in, out]` and nothing more.
    pub fn frozen(weight: T, shape: [usize; 2]) -> Self {
        Self {
            weight: Weight::Frozen(weight),
            bias: None,
            trained_bias: None,
            lora: None,
            shape,
        }
    }
}

/// The trained factors of a LoRA layer (Hu et al. 2021, section 4.1).
#[derive(Clone, Debug, PartialEq)]
pub struct LoraFactors {
    /// `[in, rank]`.
    pub a: Parameter,
    /// `[rank, out]`.
    pub b: Parameter,
    /// `alpha / rank`.
    pub scale: f32,
}

/// Gain and bias of a layer norm, each `[1, dim]`.
#[derive(Clone, Debug)]
pub struct NormLayer<T> {
    /// `[1, dim]`.
    pub gain: T,
    /// `[1, dim]`.
    pub bias: T,
    /// Added to the variance.
    pub eps: f32,
}

/// The tables that turn token ids into rows.
#[derive(Clone, Debug)]
pub struct EmbeddingTables<T> {
    /// `[vocabulary, dim]`.
    pub word: T,
    /// `[positions, dim]`.
    pub position: T,
    /// `[types, dim]`; row 0 is used. Not every model has types.
    pub token_type: Option<T>,
}

/// Which keys a query may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionMask {
    /// All of its own sequence.
    Bidirectional,
    /// Those at its own position and before.
    Causal,
}

/// Pointwise non-linearities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `0.5·x·(1 + erf(x / √2))`, exact.
    Gelu,
    /// `0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))`, GPT-2's.
    GeluTanh,
    /// `x·sigmoid(x)`.
    Silu,
}

/// What an engine runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// `"webgpu"`, `"vulkan"` or `"cpu"`.
    pub kind: String,
    /// The adapter's own name.
    pub adapter: String,
}

/// Counts of one training step, for benches and tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepCounts {
    /// Compute dispatches (GPU) or kernel calls (CPU).
    pub dispatches: u32,
    /// Queue submissions.
    pub submits: u32,
    /// Waits for values from the device.
    pub readbacks: u32,
    /// Bytes of device memory held, at the highest.
    pub peak_bytes: u64,
}

/// What can go wrong in an engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No device of this kind, with the reason.
    #[error("no usable device: {0}")]
    NoDevice(String),
    /// The device went away in the middle of work.
    #[error("the device was lost: {0}")]
    DeviceLost(String),
    /// A tensor's shape does not fit the operation.
    #[error("{what}: expected {expected} values, found {found}")]
    Shape {
        /// The tensor.
        what: String,
        /// Values it should have.
        expected: usize,
        /// Values it has.
        found: usize,
    },
    /// A loss or gradient that is not a finite number.
    #[error("the loss is not a finite number after step {step}")]
    NotFinite {
        /// The step, from 0.
        step: u32,
    },
    /// A token id, label or length outside the model's tables.
    #[error("{what} {value} is outside 0..{limit}")]
    OutOfRange {
        /// What it is.
        what: &'static str,
        /// Its value.
        value: usize,
        /// The first value that is too large.
        limit: usize,
    },
    /// More memory than the device grants.
    #[error("{what} needs {bytes} bytes, the device grants {limit}")]
    TooLarge {
        /// The tensor.
        what: String,
        /// Bytes needed.
        bytes: u64,
        /// Bytes granted.
        limit: u64,
    },
}

/// The operations a model is written in. All tensors are f32, `[rows, columns]`, row-major.
///
/// Order of calls: `frozen` for each weight, `load_adapter`, then per step `begin`, the forward
/// operations, `cross_entropy`, `backward`, `optimizer_step`, `end_step`; after some steps
/// `read_losses`.
#[allow(async_fn_in_trait)]
pub trait Engine {
    /// A handle; cheap to clone. Valid until the next `begin`, frozen ones for ever.
    type Tensor: Clone;

    /// What it runs on.
    fn device(&self) -> DeviceInfo;
    /// Uploads a frozen tensor.
    fn frozen(&mut self, values: &[f32], shape: [usize; 2]) -> Result<Self::Tensor, EngineError>;
    /// Uploads a frozen matrix that is dequantised where it is used: as the weight of a linear layer
    /// or as a word table; nothing else takes it. Without kernels for that it is dequantised here.
    fn frozen_quantised(&mut self, matrix: QuantisedMatrix) -> Result<Self::Tensor, EngineError> {
        self.frozen(&matrix.dequantised(), matrix.shape())
    }
    /// Uploads a frozen tensor in this precision.
    fn frozen_in(
        &mut self,
        precision: WeightPrecision,
        values: &[f32],
        shape: [usize; 2],
    ) -> Result<Self::Tensor, EngineError> {
        match precision.integers() {
            None => self.frozen(values, shape),
            Some(integers) => self.frozen_quantised(QuantisedMatrix::new(values, shape, integers)?),
        }
    }
    /// Loads the adapter's flat vector; the optimizer's state starts anew.
    fn load_adapter(&mut self, flat: &[f32]) -> Result<(), EngineError>;
    /// Begins a rehearsal: until [`Self::end_rehearsal`] nothing is computed or sent off, the engine
    /// only notes which kernels a step needs, to make them ready with [`Self::prepare`] before there
    /// is a model. False where an engine has nothing to make ready; then nothing begins.
    fn begin_rehearsal(&mut self) -> bool {
        false
    }
    /// Ends the rehearsal; its tensors are of no further use. Yields the memory that it would have
    /// taken.
    fn end_rehearsal(&mut self) -> MemoryPlan {
        MemoryPlan::default()
    }
    /// A frozen tensor of a rehearsal: a shape without values.
    fn placeholder(
        &mut self,
        precision: WeightPrecision,
        shape: [usize; 2],
    ) -> Result<Self::Tensor, EngineError> {
        self.frozen_in(precision, &vec![0.0; shape[0] * shape[1]], shape)
    }
    /// Makes the kernels noted in rehearsals ready, beside whatever else the thread does.
    fn prepare(&mut self) -> Preparation {
        Preparation::default()
    }
    /// Makes some of what gradients need again in the backward pass instead of keeping it: less
    /// memory, more arithmetic, the same gradients. Off at first; not every engine can.
    fn set_recomputation(&mut self, on: bool) {
        let _ = on;
    }
    /// Starts a step: what the last one recorded is gone, its buffers are used again.
    fn begin(&mut self, batch: &Batch, training: bool) -> Result<(), EngineError>;

    /// `word[id] + position[p] + token_type[0]`, or the prompt's row, zero without one, in place of the
    /// word: `[rows, dim]`.
    fn embedding(
        &mut self,
        tables: &EmbeddingTables<Self::Tensor>,
        prompt: Option<&Parameter>,
        dim: usize,
    ) -> Result<Self::Tensor, EngineError>;
    /// `[rows, in]` to `[rows, out]`.
    fn linear(
        &mut self,
        x: &Self::Tensor,
        layer: &LinearLayer<Self::Tensor>,
    ) -> Result<Self::Tensor, EngineError>;
    /// Three layers of one input: an attention's queries, keys and values.
    fn projections(
        &mut self,
        x: &Self::Tensor,
        [q, k, v]: [&LinearLayer<Self::Tensor>; 3],
    ) -> Result<[Self::Tensor; 3], EngineError> {
        Ok([self.linear(x, q)?, self.linear(x, k)?, self.linear(x, v)?])
    }
    /// Layer norm of `x + residual`: `[rows, dim]`.
    fn norm(
        &mut self,
        x: &Self::Tensor,
        residual: Option<&Self::Tensor>,
        layer: &NormLayer<Self::Tensor>,
    ) -> Result<Self::Tensor, EngineError>;
    /// Softmax attention within each sequence, scores scaled by `1/√head_dim`: `[rows, heads·head_dim]`.
    /// Keys and values may have fewer heads, each for as many heads of queries in a row.
    fn attention(
        &mut self,
        q: &Self::Tensor,
        k: &Self::Tensor,
        v: &Self::Tensor,
        heads: usize,
        mask: AttentionMask,
    ) -> Result<Self::Tensor, EngineError>;
    /// Pointwise.
    fn activation(
        &mut self,
        x: &Self::Tensor,
        kind: Activation,
    ) -> Result<Self::Tensor, EngineError>;
    /// Mean over each sequence's real tokens: `[rows, dim]` to `[batch, dim]`.
    fn mean_pool(&mut self, x: &Self::Tensor) -> Result<Self::Tensor, EngineError>;
    /// Mean over the batch of `-log softmax(logits)[label]`: `[batch, classes]` to the loss.
    fn cross_entropy(&mut self, logits: &Self::Tensor) -> Result<(), EngineError>;

    /// The gradient of the loss by every part of the adapter, kept in the engine.
    fn backward(&mut self) -> Result<(), EngineError>;
    /// One step of AdamW over the flat adapter.
    fn optimizer_step(&mut self, optimizer: &AdamW) -> Result<(), EngineError>;

    /// Sends off what is queued and keeps the loss, to be read later.
    fn end_step(&mut self) -> Result<(), EngineError>;
    /// Reads the losses kept since they were last read, in order: one wait for the device, however
    /// many steps there were.
    async fn read_losses(&mut self) -> Result<Vec<f32>, EngineError>;
    /// Ends the step and reads its loss. Losses of earlier steps that were not read are dropped.
    async fn read_loss(&mut self) -> Result<f32, EngineError> {
        self.end_step()?;
        let losses = self.read_losses().await?;
        losses.last().copied().ok_or_else(|| EngineError::Shape {
            what: "losses to be read".to_owned(),
            expected: 1,
            found: 0,
        })
    }
    /// Reads a tensor.
    async fn read(&mut self, tensor: &Self::Tensor) -> Result<Vec<f32>, EngineError>;
    /// Reads the adapter.
    async fn read_adapter(&mut self) -> Result<Vec<f32>, EngineError>;
    /// Reads the flat gradient of the last `backward`.
    async fn read_gradient(&mut self) -> Result<Vec<f32>, EngineError>;
    /// Reads the optimizer's state.
    async fn read_optimizer(&mut self) -> Result<OptimizerState, EngineError>;
    /// Puts the optimizer where another one was; after `load_adapter`, of the same length.
    fn load_optimizer(&mut self, state: &OptimizerState) -> Result<(), EngineError>;
    /// Counts since `begin`.
    fn counts(&self) -> StepCounts;
}

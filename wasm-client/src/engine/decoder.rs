//! The operations of a pre-norm decoder (Llama: Touvron et al. 2023), beside those of
//! [`Engine`](super::Engine): root-mean-square norms on a residual stream, rotary positions, the gated MLP, and
//! the loss of the next token.

use super::adapter::AdapterEngine;
use super::{EngineError, Parameter};

/// The label of a row that is not scored.
pub const NOT_SCORED: u32 = u32::MAX;

/// A norm beside the residual stream: root-mean-square (Zhang and Sennrich 2019), or with a bias a
/// layer norm (Ba et al. 2016), which takes off each row's mean first.
#[derive(Clone, Debug)]
pub struct StreamNorm<T> {
    /// `[1, dim]`; or `[1, columns]` where columns divide `dim`: then each group of columns is
    /// normalized by itself, with the same gain (the heads' norm of Qwen3). No bias then.
    pub gain: T,
    /// `[1, dim]`, of a layer norm.
    pub bias: Option<T>,
    /// As `gain`: what is trained of it, added to what is frozen.
    pub trained_gain: Option<Parameter>,
    /// As `bias`, likewise.
    pub trained_bias: Option<Parameter>,
    /// Added to the mean of the squares.
    pub eps: f32,
}

/// Rotary positions (Su et al. 2021, RoPE) as Hugging Face's Llama has them ("rotate half"): of a
/// head's columns, `j` and `j + head_dim/2` turn by `position · base^(-2j/head_dim)`.
///
/// Angles are computed in f64, their cosine and sine rounded once. Positions count in each
/// sequence, virtual tokens included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rotary {
    /// Of the frequencies; 10,000 in the original.
    pub base: f32,
    /// What becomes of the frequencies in a longer context.
    pub scaling: RotaryScaling,
    /// Columns of one head, an even number.
    pub head_dim: usize,
}

impl Rotary {
    /// Cosines of the first positions' angles, then their sines:
    /// `[positions, 2, head_dim / 2]`.
    pub fn table(&self, positions: usize) -> Vec<f32> {
        let half = self.head_dim / 2;
        let frequency =
            |j: usize| f64::from(self.base).powf(-2.0 * j as f64 / self.head_dim as f64);
        let frequencies: Vec<f64> = (0..half)
            .map(|j| self.scaling.apply(frequency(j)))
            .collect();
        let mut table = Vec::with_capacity(positions * self.head_dim);
        for position in 0..positions {
            let angles = frequencies.iter().map(|f| position as f64 * f);
            table.extend(angles.clone().map(|angle| angle.cos() as f32));
            table.extend(angles.map(|angle| angle.sin() as f32));
        }
        table
    }
}

/// What becomes of rotary frequencies where a context is longer than the one first trained for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum RotaryScaling {
    /// Nothing.
    #[default]
    None,
    /// All positions closer together (Chen et al. 2023): frequencies divided.
    Linear {
        /// By this.
        factor: f32,
    },
    /// As Llama 3.1 has it (`llama3` in Hugging Face's `modeling_rope_utils.py`): long waves are
    /// divided, short ones stay, those between are mixed.
    Llama3 {
        /// Long waves are divided by this.
        factor: f32,
        /// Waves of more than `original_context / low_frequency_factor` positions are long.
        low_frequency_factor: f32,
        /// Waves of fewer than `original_context / high_frequency_factor` positions are short.
        high_frequency_factor: f32,
        /// Positions of the first training.
        original_context: f32,
    },
}

impl RotaryScaling {
    fn apply(self, frequency: f64) -> f64 {
        match self {
            Self::None => frequency,
            Self::Linear { factor } => frequency / f64::from(factor),
            Self::Llama3 {
                factor,
                low_frequency_factor,
                high_frequency_factor,
                original_context,
            } => {
                let [low, high] = [low_frequency_factor, high_frequency_factor].map(f64::from);
                let waves = f64::from(original_context) * frequency / core::f64::consts::TAU;
                let kept = ((waves - low) / (high - low)).clamp(0.0, 1.0);
                frequency * (kept + (1.0 - kept) / f64::from(factor))
            }
        }
    }
}

/// The frozen projection from hidden states to logits of the vocabulary.
#[derive(Clone, Debug)]
pub enum LanguageHead<T> {
    /// A matrix of its own, `[dim, vocabulary]`.
    Separate(T),
    /// The word embeddings, `[vocabulary, dim]`, used transposed.
    Tied(T),
}

/// What an engine does for decoders. Calls come between `begin` and `backward`, as those of
/// [`Engine`](super::Engine).
pub trait DecoderEngine: AdapterEngine {
    /// `word[id]`, or the prompt's row in place of it, zero without one: `[rows, dim]`.
    fn token_embedding(
        &mut self,
        word: &Self::Tensor,
        prompt: Option<&Parameter>,
    ) -> Result<Self::Tensor, EngineError>;
    /// `x / √(mean(x²) + eps) · gain` of each row, or its layer norm: `[rows, dim]`.
    fn stream_norm(
        &mut self,
        x: &Self::Tensor,
        layer: &StreamNorm<Self::Tensor>,
    ) -> Result<Self::Tensor, EngineError>;
    /// `x + residual`, and its norm: twice `[rows, dim]`.
    fn add_stream_norm(
        &mut self,
        x: &Self::Tensor,
        residual: &Self::Tensor,
        layer: &StreamNorm<Self::Tensor>,
    ) -> Result<(Self::Tensor, Self::Tensor), EngineError>;
    /// Turns queries and keys by their positions: `[rows, heads·head_dim]` each, any number of
    /// heads. Takes the handles, so that it can work in place.
    fn rotate(
        &mut self,
        q: Self::Tensor,
        k: Self::Tensor,
        rotary: &Rotary,
    ) -> Result<(Self::Tensor, Self::Tensor), EngineError>;
    /// `silu(gate)·up` (Shazeer 2020, SwiGLU), pointwise.
    fn swiglu(
        &mut self,
        gate: &Self::Tensor,
        up: &Self::Tensor,
    ) -> Result<Self::Tensor, EngineError>;
    /// Mean over the scored rows of `-log softmax(hidden·head)[label]`, one label per row or
    /// [`NOT_SCORED`]; with weights, one per row, the sum of them times these. The logits are made a part at a time and never kept; in a training step
    /// their gradient goes on to that of `hidden` at once.
    fn language_loss(
        &mut self,
        hidden: &Self::Tensor,
        head: &LanguageHead<Self::Tensor>,
        labels: &[u32],
        weights: Option<&[f32]>,
    ) -> Result<(), EngineError>;
}

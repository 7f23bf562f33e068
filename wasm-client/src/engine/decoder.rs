//! The operations of a pre-norm decoder (Llama: Touvron et al. 2023), beside those of
//! [`Engine`]: root-mean-square norms on a residual stream, rotary positions, the gated MLP, and
//! the loss of the next token.

use super::{Engine, EngineError, Parameter};

/// The label of a row that is not scored.
pub const NOT_SCORED: u32 = u32::MAX;

/// Gain of a root-mean-square norm (Zhang and Sennrich 2019).
#[derive(Clone, Debug)]
pub struct RmsNormLayer<T> {
    /// `[1, dim]`.
    pub gain: T,
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
        let frequencies: Vec<f64> = (0..half).map(frequency).collect();
        let mut table = Vec::with_capacity(positions * self.head_dim);
        for position in 0..positions {
            let angles = frequencies.iter().map(|f| position as f64 * f);
            table.extend(angles.clone().map(|angle| angle.cos() as f32));
            table.extend(angles.map(|angle| angle.sin() as f32));
        }
        table
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
/// [`Engine`].
pub trait DecoderEngine: Engine {
    /// `word[id]`, or the prompt's row in place of it: `[rows, dim]`.
    fn token_embedding(
        &mut self,
        word: &Self::Tensor,
        prompt: Option<&Parameter>,
    ) -> Result<Self::Tensor, EngineError>;
    /// `x / √(mean(x²) + eps) · gain` of each row: `[rows, dim]`.
    fn rms_norm(
        &mut self,
        x: &Self::Tensor,
        layer: &RmsNormLayer<Self::Tensor>,
    ) -> Result<Self::Tensor, EngineError>;
    /// `x + residual`, and its norm: twice `[rows, dim]`.
    fn add_rms_norm(
        &mut self,
        x: &Self::Tensor,
        residual: &Self::Tensor,
        layer: &RmsNormLayer<Self::Tensor>,
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
    /// [`NOT_SCORED`]. The logits are made a part at a time and never kept; in a training step
    /// their gradient goes on to that of `hidden` at once.
    fn language_loss(
        &mut self,
        hidden: &Self::Tensor,
        head: &LanguageHead<Self::Tensor>,
        labels: &[u32],
    ) -> Result<(), EngineError>;
}

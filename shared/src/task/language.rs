//! A language task: a decoder that goes on with texts, whose LoRA factors and soft prompt are trained
//! on the clients' own texts.
//!
//! The decoder is described by the sizes of [`EncoderShape`] and by what a [`DecoderConfig`] adds to
//! them. Read are decoders of Llama's kind (Touvron et al. 2023), with the biases of Qwen2 or the
//! norms of Qwen3; GPT-2's blocks are not yet among the styles.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::check::{ensure, positive};
use super::{EncoderShape, SoftPromptConfig, TaskError};

/// Far above any decoder that fits a tab, as the sizes of [`EncoderShape`] are bound.
const MAX_COLUMNS: u32 = 1 << 20;

/// What a language task trains, and on which decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LanguageConfig {
    /// What the base model's two files are.
    pub files: BaseFiles,
    /// The decoder, beyond the sizes of the base model.
    pub decoder: DecoderConfig,
    /// Low-rank updates of its linear layers.
    pub lora: DecoderLoraConfig,
    /// Virtual tokens before each text.
    pub soft_prompt: Option<SoftPromptConfig>,
}

/// What a decoder's weights and tokenizer are kept as. The order is the wire format: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BaseFiles {
    /// One safetensors file in the Hugging Face layout, and `tokenizer.json`.
    HuggingFace,
    /// A checkpoint of llama2.c's version 0, and its tokenizer's `.bin` file.
    Llama2c,
}

/// A decoder, beyond the sizes that an encoder has too.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecoderConfig {
    /// What its blocks are made of.
    pub style: DecoderStyle,
    /// Heads of the keys and values; divides `heads`.
    pub kv_heads: u32,
    /// Columns of one head, an even number.
    pub head_dim: u32,
    /// Base of the rotary positions.
    pub rope_base: f32,
    /// What becomes of their frequencies.
    pub rope_scaling: RopeScaling,
    /// Whether logits are made by the word embeddings.
    pub tied: bool,
    /// Which linear layers have a bias.
    pub biases: DecoderBiases,
    /// Whether the heads of queries and keys are normalised before they are turned.
    pub head_norms: bool,
}

/// What a decoder's blocks are made of. The order is the wire format: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecoderStyle {
    /// Root-mean-square norms, rotary positions, gated MLP.
    Llama,
}

/// What becomes of rotary frequencies in a longer context. The order is the wire format: append
/// only.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RopeScaling {
    /// Nothing.
    None,
    /// All are divided.
    Linear {
        /// By this.
        factor: f32,
    },
    /// As Llama 3.1 has it: those of long waves are divided, those between long and short mixed.
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

/// Which linear layers of a decoder have a bias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecoderBiases {
    /// Queries, keys and values.
    pub projections: bool,
    /// Output of the attention.
    pub output: bool,
    /// The MLP.
    pub mlp: bool,
}

/// Low-rank updates of a decoder: `x·W + alpha/rank · x·A·B`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecoderLoraConfig {
    /// Columns of A, rows of B.
    pub rank: u16,
    /// Scale times rank.
    pub alpha: f32,
    /// The linear layers, sorted, each at most once.
    pub targets: Vec<DecoderTarget>,
}

/// A linear layer of a decoder's block. The order is the payload's and the wire format's: append
/// only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecoderTarget {
    /// Query.
    Q,
    /// Key.
    K,
    /// Value.
    V,
    /// Output of the attention.
    O,
    /// Gate of the MLP.
    Gate,
    /// Up-projection of the MLP.
    Up,
    /// Down-projection of the MLP.
    Down,
}

impl LanguageConfig {
    /// Whether it makes a decoder and an adapter.
    pub(super) fn check(&self, shape: &EncoderShape) -> Result<(), TaskError> {
        let heads = self.decoder.heads_fit(shape);
        let rotary = positive(self.decoder.rope_base) && self.decoder.rope_scaling.is_sound();
        ensure(heads && rotary, TaskError::Decoder)?;
        let lora = &self.lora;
        let sorted = lora.targets.windows(2).all(|pair| pair[0] < pair[1]);
        let factors = lora.rank > 0 && positive(lora.alpha) && !lora.targets.is_empty();
        let prompt = self
            .soft_prompt
            .is_none_or(|prompt| prompt.num_virtual_tokens > 0);
        ensure(sorted && factors && prompt, TaskError::Adapter)
    }
}

impl DecoderConfig {
    fn heads_fit(&self, shape: &EncoderShape) -> bool {
        (1..=shape.heads).contains(&self.kv_heads)
            && shape.heads.is_multiple_of(self.kv_heads)
            && self.head_dim > 0
            && self.head_dim.is_multiple_of(2)
            && shape
                .heads
                .checked_mul(self.head_dim)
                .is_some_and(|columns| columns <= MAX_COLUMNS)
    }
}

impl RopeScaling {
    fn is_sound(&self) -> bool {
        match *self {
            Self::None => true,
            Self::Linear { factor } => positive(factor),
            Self::Llama3 {
                factor,
                low_frequency_factor,
                high_frequency_factor,
                original_context,
            } => {
                let numbers = [factor, low_frequency_factor, original_context];
                numbers.into_iter().all(positive)
                    && high_frequency_factor.is_finite()
                    && low_frequency_factor < high_frequency_factor
            }
        }
    }
}

impl DecoderTarget {
    /// All of them, in the payload's order.
    pub const ALL: [Self; 7] = [
        Self::Q,
        Self::K,
        Self::V,
        Self::O,
        Self::Gate,
        Self::Up,
        Self::Down,
    ];

    /// `[in, out]` of this linear layer.
    #[must_use]
    pub const fn shape(self, shape: &EncoderShape, decoder: &DecoderConfig) -> [usize; 2] {
        let (dim, intermediate) = (shape.dim as usize, shape.intermediate as usize);
        // A product that is out of range is a size that no layout takes.
        let head_dim = decoder.head_dim as usize;
        let queries = (shape.heads as usize).saturating_mul(head_dim);
        let keys = (decoder.kv_heads as usize).saturating_mul(head_dim);
        match self {
            Self::Q => [dim, queries],
            Self::K | Self::V => [dim, keys],
            Self::O => [queries, dim],
            Self::Gate | Self::Up => [dim, intermediate],
            Self::Down => [intermediate, dim],
        }
    }
}

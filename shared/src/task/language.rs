//! A language task: a decoder that goes on with texts, of which an adapter is trained on the clients'
//! own texts.
//!
//! The decoder is described by the sizes of [`EncoderShape`] and by what a [`DecoderConfig`] adds to
//! them. Read are decoders of Llama's kind (Touvron et al. 2023), with the biases of Qwen2 or the
//! norms of Qwen3, and GPT-2 (Radford et al. 2019).

use serde::{Deserialize, Serialize};

use super::check::{ensure, positive};
use super::{DecoderAdapterConfig, EncoderShape, TaskError};

/// Far above any decoder that fits a tab, as the sizes of [`EncoderShape`] are bound.
const MAX_COLUMNS: u32 = 1 << 20;

/// What a language task trains, and on which decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LanguageConfig {
    /// What the base model's two files are.
    pub files: BaseFiles,
    /// The decoder, beyond the sizes of the base model.
    pub decoder: DecoderConfig,
    /// What of it is trained.
    pub adapter: DecoderAdapterConfig,
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
    /// Layer norms, a table of positions, two layers with GELU between. Its task has no rotary scaling
    /// and no heads that share keys and values.
    Gpt2,
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

/// A norm of a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DecoderNorm {
    /// Before a block's attention.
    Attention {
        /// Block.
        layer: u32,
    },
    /// Before a block's MLP.
    Mlp {
        /// Block.
        layer: u32,
    },
    /// Of each head of the queries.
    Queries {
        /// Block.
        layer: u32,
    },
    /// Of each head of the keys.
    Keys {
        /// Block.
        layer: u32,
    },
    /// After the last block.
    Last,
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
        ensure(self.decoder.is_sound(shape), TaskError::Decoder)?;
        self.adapter.check(self.decoder.style)
    }
}

impl DecoderConfig {
    fn is_sound(&self, shape: &EncoderShape) -> bool {
        let rotary = positive(self.rope_base) && self.rope_scaling.is_sound();
        self.heads_fit(shape) && rotary && self.fits_style(shape)
    }

    /// Whether it asks for nothing that blocks of its style do not have.
    fn fits_style(&self, shape: &EncoderShape) -> bool {
        match self.style {
            DecoderStyle::Llama => true,
            DecoderStyle::Gpt2 => {
                self.kv_heads == shape.heads
                    && self.head_dim == shape.dim / shape.heads
                    && self.rope_scaling == RopeScaling::None
                    && self.biases == DecoderBiases::ALL
                    && !self.head_norms
            }
        }
    }

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

impl DecoderStyle {
    /// The linear layers of a block, in the payload's order.
    #[must_use]
    pub const fn targets(self) -> &'static [DecoderTarget] {
        match self {
            Self::Llama => &DecoderTarget::ALL,
            Self::Gpt2 => &[
                DecoderTarget::Q,
                DecoderTarget::K,
                DecoderTarget::V,
                DecoderTarget::O,
                DecoderTarget::Up,
                DecoderTarget::Down,
            ],
        }
    }
}

impl DecoderBiases {
    /// Every layer has one.
    pub const ALL: Self = Self {
        projections: true,
        output: true,
        mlp: true,
    };
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

    /// Its name in settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Q => "q",
            Self::K => "k",
            Self::V => "v",
            Self::O => "o",
            Self::Gate => "gate",
            Self::Up => "up",
            Self::Down => "down",
        }
    }

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

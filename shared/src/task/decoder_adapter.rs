//! What can be trained of a decoder, in one place: an adapter is any of these together.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::check::{ensure, positive};
use super::{DecoderStyle, DecoderTarget, TaskError};

/// What of a decoder is trained. Nothing of what is absent has a place in the payload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderAdapterConfig {
    /// Low-rank updates of linear layers.
    pub lora: Option<DecoderLoraConfig>,
    /// Linear layers whose bias is trained (Ben Zaken et al. 2022, BitFit), sorted, each at most once. A
    /// layer without a bias gets one, which begins at zero. That of keys has no effect without rotary
    /// positions.
    pub biases: Vec<DecoderTarget>,
    /// Whether gains and biases of all norms are trained, those of heads included.
    pub norms: bool,
    /// A bottleneck after each block's MLP.
    pub bottleneck: Option<BottleneckConfig>,
    /// Virtual tokens before each text.
    pub virtual_tokens: Option<VirtualTokensConfig>,
}

/// Low-rank updates of a decoder: `x·W + scale · x·A·B` (Hu et al. 2021).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecoderLoraConfig {
    /// Columns of A, rows of B.
    pub rank: u16,
    /// Scale times rank, or times its root.
    pub alpha: f32,
    /// Whether the scale is `alpha / √rank` (Kalajdzievski 2023, rsLoRA) instead of `alpha / rank`.
    pub rank_stabilised: bool,
    /// Part of the inputs of A that a training step leaves out at random, within `[0, 1)`; the others are
    /// multiplied by `1/(1 - dropout)`.
    pub dropout: f32,
    /// The linear layers, sorted, each at most once.
    pub targets: Vec<DecoderTarget>,
}

/// Bottleneck adapters (Houlsby et al. 2019, section 2.1) where Pfeiffer et al. 2021 (AdapterFusion)
/// found one a block to be enough: `h + silu(h·D + d)·U + u` of an MLP's output `h`. The layers of all
/// blocks are of the same sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BottleneckConfig {
    /// Columns of D, rows of U.
    pub width: u32,
}

/// Virtual tokens before each text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualTokensConfig {
    /// How many.
    pub num_virtual_tokens: u16,
    /// What of them is trained.
    pub trained: VirtualTokens,
}

/// What is trained of virtual tokens. They are rows of every block in any case: each costs what a token
/// costs. The order is the wire format: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VirtualTokens {
    /// Their embeddings: a soft prompt (Lester et al. 2021).
    SoftPrompt,
    /// What makes their embeddings: narrower ones and an MLP, `gelu(E·V + v)·W + w` (Liu et al. 2021,
    /// P-tuning, section 3.2, where an LSTM comes before; without, as in the library PEFT).
    PromptEncoder {
        /// Columns of E and V.
        width: u32,
    },
    /// Their keys and values in each block (Li and Liang 2021, prefix tuning; without an MLP that makes
    /// them, Liu et al. 2022, P-tuning v2). Keys are not turned by their positions, as in PEFT.
    Prefix,
}

impl DecoderAdapterConfig {
    /// LoRA alone.
    #[must_use]
    pub fn of_lora(lora: DecoderLoraConfig) -> Self {
        Self {
            lora: Some(lora),
            ..Self::default()
        }
    }

    /// Whether something is trained, no size of it is zero, and every layer is one of the style's.
    ///
    /// # Errors
    /// [`TaskError::Adapter`].
    pub fn check(&self, style: DecoderStyle) -> Result<(), TaskError> {
        let known = |targets: &[DecoderTarget]| {
            targets.windows(2).all(|pair| pair[0] < pair[1])
                && targets
                    .iter()
                    .all(|target| style.targets().contains(target))
        };
        let lora = self.lora.as_ref().is_none_or(|lora| {
            lora.rank > 0
                && positive(lora.alpha)
                && (0.0..1.0).contains(&lora.dropout)
                && !lora.targets.is_empty()
                && known(&lora.targets)
        });
        let bottleneck = self.bottleneck.is_none_or(|layers| layers.width > 0);
        let prompt = self
            .virtual_tokens
            .is_none_or(|tokens| tokens.num_virtual_tokens > 0 && tokens.trained.has_sizes());
        let sound = lora && known(&self.biases) && bottleneck && prompt;
        ensure(sound && *self != Self::default(), TaskError::Adapter)
    }

    /// Virtual tokens before each text; 0 for none.
    #[must_use]
    pub fn num_virtual_tokens(&self) -> u16 {
        self.virtual_tokens
            .map_or(0, |tokens| tokens.num_virtual_tokens)
    }
}

impl DecoderLoraConfig {
    /// What the product of the factors is multiplied by.
    #[must_use]
    pub fn scale(&self) -> f32 {
        let rank = f32::from(self.rank);
        let divisor = if self.rank_stabilised {
            libm::sqrtf(rank)
        } else {
            rank
        };
        self.alpha / divisor
    }
}

impl VirtualTokens {
    const fn has_sizes(self) -> bool {
        match self {
            Self::SoftPrompt | Self::Prefix => true,
            Self::PromptEncoder { width } => width > 0,
        }
    }
}

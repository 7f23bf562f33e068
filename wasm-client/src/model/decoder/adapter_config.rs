//! What can be trained of a decoder, in one place: an adapter is any of these together.

use super::tensors::DecoderTarget;

/// What of a decoder is trained. Nothing of what is absent has a place in the flat vector.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DecoderAdapterConfig {
    /// Low-rank updates of linear layers.
    pub lora: Option<DecoderLora>,
    /// Linear layers whose bias is trained (Ben Zaken et al. 2022, BitFit), each at most once. A layer
    /// without a bias gets one, which begins at zero. That of keys has no effect without rotary
    /// positions.
    pub biases: Vec<DecoderTarget>,
    /// Whether gains and biases of all norms are trained, those of heads included.
    pub norms: bool,
    /// A bottleneck after each block's MLP.
    pub bottleneck: Option<Bottleneck>,
    /// Virtual tokens before each sequence; 0 for none.
    pub num_virtual_tokens: usize,
    /// What of them is trained.
    pub virtual_tokens: VirtualTokens,
}

impl DecoderAdapterConfig {
    /// Whether anything is trained, and no size of what is trained is zero.
    pub fn is_sound(&self) -> bool {
        let lora = self.lora.as_ref();
        let encoder = match self.virtual_tokens {
            VirtualTokens::PromptEncoder { width } => width > 0,
            VirtualTokens::SoftPrompt | VirtualTokens::Prefix => true,
        };
        let has_sizes = lora.is_none_or(|lora| lora.rank > 0 && !lora.targets.is_empty())
            && self
                .bottleneck
                .is_none_or(|bottleneck| bottleneck.width > 0)
            && encoder;
        let is_empty = lora.is_none()
            && self.biases.is_empty()
            && !self.norms
            && self.bottleneck.is_none()
            && self.num_virtual_tokens == 0;
        has_sizes && !is_empty
    }
}

/// What is trained of virtual tokens. They are rows of every block in any case: each costs what a token
/// costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VirtualTokens {
    /// Their embeddings: a soft prompt (Lester et al. 2021).
    #[default]
    SoftPrompt,
    /// What makes their embeddings: narrower ones and an MLP, `gelu(E·V + v)·W + w` (Liu et al. 2021,
    /// P-tuning, section 3.2, where an LSTM comes before; without, as in the library PEFT).
    PromptEncoder {
        /// Columns of E and V.
        width: usize,
    },
    /// Their keys and values in each block (Li and Liang 2021, prefix tuning; without an MLP that makes
    /// them, Liu et al. 2022, P-tuning v2). Keys are not turned by their positions, as in PEFT.
    Prefix,
}

/// Bottleneck adapters (Houlsby et al. 2019, section 2.1) where Pfeiffer et al. 2021 (AdapterFusion)
/// found one a block to be enough: `h + silu(h·D + d)·U + u` of an MLP's output `h`. The layers of all
/// blocks are of the same sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bottleneck {
    /// Columns of D, rows of U.
    pub width: usize,
}

/// Which layers have low-rank updates, and how large they are (Hu et al. 2021).
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderLora {
    /// Columns of A, rows of B.
    pub rank: usize,
    /// Scale times rank, or times its root.
    pub alpha: f32,
    /// Whether the scale is `alpha / √rank` (Kalajdzievski 2023, rsLoRA) instead of `alpha / rank`.
    pub rank_stabilised: bool,
    /// The linear layers, each at most once.
    pub targets: Vec<DecoderTarget>,
}

impl DecoderLora {
    /// What the product of the factors is multiplied by.
    pub fn scale(&self) -> f32 {
        let rank = self.rank as f32;
        self.alpha
            / if self.rank_stabilised {
                rank.sqrt()
            } else {
                rank
            }
    }
}

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
    /// Rows of a soft prompt (Lester et al. 2021); 0 for none.
    pub num_virtual_tokens: usize,
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

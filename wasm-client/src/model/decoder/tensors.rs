//! The shape of a decoder, its linear layers, and its frozen tensors, each with place and shape.

use choir_shared::task::{DecoderStyle, DecoderTarget};

use crate::engine::decoder::RotaryScaling;
use crate::engine::quantised::WeightPrecision;

/// The sizes of a decoder, and which of its kind's parts it has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecoderShape {
    /// Width of the residual stream.
    pub dim: usize,
    /// Transformer blocks.
    pub layers: u32,
    /// Heads of the queries.
    pub heads: usize,
    /// Heads of the keys and values; divides `heads`.
    pub kv_heads: usize,
    /// Columns of one head, an even number.
    pub head_dim: usize,
    /// Width inside the MLP.
    pub intermediate: usize,
    /// Tokens that the embedding knows, and columns of the logits.
    pub vocabulary: usize,
    /// Positions that it was trained for.
    pub context: usize,
    /// Added to the mean of the squares in the norms.
    pub norm_eps: f32,
    /// Of the rotary positions.
    pub rope_base: f32,
    /// What becomes of their frequencies.
    pub rope_scaling: RotaryScaling,
    /// Whether logits are made by the word embeddings.
    pub tied: bool,
    /// What the blocks are made of.
    pub style: BlockStyle,
    /// Which linear layers have a bias.
    pub biases: Biases,
    /// Whether the heads of queries and keys are normalized before they are turned (Qwen3).
    pub head_norms: bool,
}

/// What the blocks are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockStyle {
    /// Root-mean-square norms, rotary positions, gated MLP (Touvron et al. 2023).
    Llama,
    /// Layer norms, a table of positions, two layers with GELU between (Radford et al. 2019).
    Gpt2,
}

/// Which linear layers have a bias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Biases {
    /// Queries, keys and values (Qwen2).
    pub projections: bool,
    /// Output of the attention.
    pub output: bool,
    /// The MLP.
    pub mlp: bool,
}

impl Biases {
    /// Every layer has one (GPT-2).
    pub const ALL: Self = Self {
        projections: true,
        output: true,
        mlp: true,
    };
}

impl DecoderShape {
    /// What Llama-type decoders have in common, without sizes.
    pub const LLAMA: Self = Self {
        dim: 0,
        layers: 0,
        heads: 0,
        kv_heads: 0,
        head_dim: 0,
        intermediate: 0,
        vocabulary: 0,
        context: 2048,
        norm_eps: 1e-5,
        rope_base: 10_000.0,
        rope_scaling: RotaryScaling::None,
        tied: false,
        style: BlockStyle::Llama,
        biases: Biases {
            projections: false,
            output: false,
            mlp: false,
        },
        head_norms: false,
    };

    /// The linear layers of a block, in the adapter's order.
    pub fn targets(&self) -> &'static [DecoderTarget] {
        DecoderStyle::from(self.style).targets()
    }

    /// `[in, out]` of a linear layer.
    pub fn linear(&self, target: DecoderTarget) -> [usize; 2] {
        let queries = self.heads * self.head_dim;
        let keys = self.kv_heads * self.head_dim;
        match target {
            DecoderTarget::Q => [self.dim, queries],
            DecoderTarget::K | DecoderTarget::V => [self.dim, keys],
            DecoderTarget::O => [queries, self.dim],
            DecoderTarget::Gate | DecoderTarget::Up => [self.dim, self.intermediate],
            DecoderTarget::Down => [self.intermediate, self.dim],
        }
    }

    /// Whether a linear layer has a bias.
    pub fn has_bias(&self, target: DecoderTarget) -> bool {
        match target {
            DecoderTarget::Q | DecoderTarget::K | DecoderTarget::V => self.biases.projections,
            DecoderTarget::O => self.biases.output,
            DecoderTarget::Gate | DecoderTarget::Up | DecoderTarget::Down => self.biases.mlp,
        }
    }
}

/// Where a norm stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DecoderNorm {
    /// Before a block's attention.
    Attention(u32),
    /// Before a block's MLP.
    Mlp(u32),
    /// After the last block.
    Last,
}

/// One frozen tensor. Matrices of linear layers are `[in, out]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DecoderTensor {
    /// `[vocabulary, dim]`.
    Word,
    /// `[context, dim]`, of a decoder without rotary positions.
    Position,
    /// `[1, dim]`.
    NormGain(DecoderNorm),
    /// `[1, dim]`, of a layer norm.
    NormBias(DecoderNorm),
    /// `[1, head_dim]`: the norm of each head of the queries.
    QueryNorm(u32),
    /// `[1, head_dim]`: of each head of the keys.
    KeyNorm(u32),
    /// `[in, out]`.
    Weight(u32, DecoderTarget),
    /// `[1, out]`.
    Bias(u32, DecoderTarget),
    /// `[dim, vocabulary]`; a tied decoder has none.
    LanguageHead,
}

impl DecoderTensor {
    /// All tensors of a decoder of this shape.
    pub fn all(shape: &DecoderShape) -> Vec<Self> {
        let mut tensors = vec![Self::Word];
        if shape.style == BlockStyle::Gpt2 {
            tensors.push(Self::Position);
        }
        let norm = |tensors: &mut Vec<Self>, place| {
            tensors.push(Self::NormGain(place));
            if shape.style == BlockStyle::Gpt2 {
                tensors.push(Self::NormBias(place));
            }
        };
        for layer in 0..shape.layers {
            norm(&mut tensors, DecoderNorm::Attention(layer));
            norm(&mut tensors, DecoderNorm::Mlp(layer));
            for &target in shape.targets() {
                tensors.push(Self::Weight(layer, target));
                if shape.has_bias(target) {
                    tensors.push(Self::Bias(layer, target));
                }
            }
            if shape.head_norms {
                tensors.extend([Self::QueryNorm(layer), Self::KeyNorm(layer)]);
            }
        }
        norm(&mut tensors, DecoderNorm::Last);
        if !shape.tied {
            tensors.push(Self::LanguageHead);
        }
        tensors
    }

    /// `[rows, columns]`.
    pub fn shape(self, shape: &DecoderShape) -> [usize; 2] {
        match self {
            Self::Word => [shape.vocabulary, shape.dim],
            Self::Position => [shape.context, shape.dim],
            Self::NormGain(_) | Self::NormBias(_) => [1, shape.dim],
            Self::QueryNorm(_) | Self::KeyNorm(_) => [1, shape.head_dim],
            Self::Weight(_, target) => shape.linear(target),
            Self::Bias(_, target) => [1, shape.linear(target)[1]],
            Self::LanguageHead => [shape.dim, shape.vocabulary],
        }
    }

    /// Whether it is a gain or bias of a norm.
    pub fn is_of_norm(self) -> bool {
        matches!(
            self,
            Self::NormGain(_) | Self::NormBias(_) | Self::QueryNorm(_) | Self::KeyNorm(_)
        )
    }

    /// What this tensor is kept in where the model's matrices are to be in `precision`: vectors and
    /// the table of positions stay in f32, words take eight bits at least, as an encoder's.
    pub fn precision(self, precision: WeightPrecision) -> WeightPrecision {
        match (self, precision) {
            (Self::Word, WeightPrecision::Int4) => WeightPrecision::Int8,
            (Self::Word | Self::Weight(..) | Self::LanguageHead, precision) => precision,
            _ => WeightPrecision::F32,
        }
    }
}

//! The shape of a decoder, its linear layers, and its frozen tensors, each with place and shape.

/// The sizes of a Llama-type decoder.
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
    /// Added to the mean of the squares in the norms.
    pub norm_eps: f32,
    /// Of the rotary positions.
    pub rope_base: f32,
    /// Whether logits are made by the word embeddings.
    pub tied: bool,
}

/// A linear layer of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

impl DecoderTarget {
    /// All of them, in the adapter's order.
    pub const ALL: [Self; 7] = [
        Self::Q,
        Self::K,
        Self::V,
        Self::O,
        Self::Gate,
        Self::Up,
        Self::Down,
    ];

    /// `[in, out]`.
    pub fn shape(self, shape: &DecoderShape) -> [usize; 2] {
        let queries = shape.heads * shape.head_dim;
        let keys = shape.kv_heads * shape.head_dim;
        match self {
            Self::Q => [shape.dim, queries],
            Self::K | Self::V => [shape.dim, keys],
            Self::O => [queries, shape.dim],
            Self::Gate | Self::Up => [shape.dim, shape.intermediate],
            Self::Down => [shape.intermediate, shape.dim],
        }
    }
}

/// One frozen tensor. Matrices of linear layers are `[in, out]`; there are no biases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DecoderTensor {
    /// `[vocabulary, dim]`.
    Word,
    /// `[1, dim]`, before a block's attention.
    AttentionNorm(u32),
    /// `[1, dim]`, before a block's MLP.
    MlpNorm(u32),
    /// `[in, out]`.
    Weight(u32, DecoderTarget),
    /// `[1, dim]`, after the last block.
    Norm,
    /// `[dim, vocabulary]`; a tied decoder has none.
    LanguageHead,
}

impl DecoderTensor {
    /// `[rows, columns]`.
    pub fn shape(self, shape: &DecoderShape) -> [usize; 2] {
        match self {
            Self::Word => [shape.vocabulary, shape.dim],
            Self::AttentionNorm(_) | Self::MlpNorm(_) | Self::Norm => [1, shape.dim],
            Self::Weight(_, target) => target.shape(shape),
            Self::LanguageHead => [shape.dim, shape.vocabulary],
        }
    }
}

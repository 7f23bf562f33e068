//! The frozen tensors of an encoder, each with its place and shape.

use choir_shared::task::{EncoderShape, Target};

use crate::engine::quantised::WeightPrecision;

/// One frozen tensor. Matrices of linear layers are `[in, out]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EncoderTensor {
    /// `[vocabulary, dim]`.
    Word,
    /// `[positions, dim]`.
    Position,
    /// `[types, dim]`, any number of types.
    TokenType,
    /// `[1, dim]`.
    NormGain(NormPlace),
    /// `[1, dim]`.
    NormBias(NormPlace),
    /// `[in, out]`.
    Weight(u32, Target),
    /// `[1, out]`.
    Bias(u32, Target),
}

/// Where a layer norm stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NormPlace {
    /// After the embeddings.
    Embeddings,
    /// After a block's attention.
    Attention(u32),
    /// After a block's MLP.
    Mlp(u32),
}

impl EncoderTensor {
    /// All tensors of an encoder of this shape.
    pub fn all(shape: &EncoderShape) -> Vec<Self> {
        let mut tensors = vec![Self::Word, Self::Position, Self::TokenType];
        let mut places = vec![NormPlace::Embeddings];
        for layer in 0..shape.layers {
            for target in Target::ALL {
                tensors.extend([Self::Weight(layer, target), Self::Bias(layer, target)]);
            }
            places.extend([NormPlace::Attention(layer), NormPlace::Mlp(layer)]);
        }
        tensors.extend(
            places
                .iter()
                .flat_map(|&p| [Self::NormGain(p), Self::NormBias(p)]),
        );
        tensors
    }

    /// What this tensor is kept in where the model's matrices are to be in `precision`. What is added
    /// or multiplied as a vector stays in f32, and so do the short tables of positions and types.
    /// Words take eight bits at least: a row is read as it is, without the sum of a product in which
    /// errors cancel.
    pub fn precision(self, precision: WeightPrecision) -> WeightPrecision {
        match (self, precision) {
            (Self::Word, WeightPrecision::Int4) => WeightPrecision::Int8,
            (Self::Word | Self::Weight(..), precision) => precision,
            _ => WeightPrecision::F32,
        }
    }

    /// `[rows, columns]`; rows are 0 where any number will do.
    pub fn shape(self, shape: &EncoderShape) -> [usize; 2] {
        let dim = shape.dim as usize;
        match self {
            Self::Word => [shape.vocabulary as usize, dim],
            Self::Position => [shape.positions as usize, dim],
            Self::TokenType => [0, dim],
            Self::NormGain(_) | Self::NormBias(_) => [1, dim],
            Self::Weight(_, target) => linear_shape(shape, target),
            Self::Bias(_, target) => [1, linear_shape(shape, target)[1]],
        }
    }
}

/// `[in, out]` of a block's linear layer.
pub fn linear_shape(shape: &EncoderShape, target: Target) -> [usize; 2] {
    let (dim, intermediate) = (shape.dim as usize, shape.intermediate as usize);
    match target {
        Target::Q | Target::K | Target::V | Target::O => [dim, dim],
        Target::W1 => [dim, intermediate],
        Target::W2 => [intermediate, dim],
    }
}

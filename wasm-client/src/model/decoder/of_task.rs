//! The decoder that a language task describes.

use choir_shared::task::{DecoderStyle, EncoderShape, LanguageConfig, RopeScaling};

use super::tensors::{Biases, BlockStyle, DecoderShape};
use crate::engine::decoder::RotaryScaling;

impl DecoderShape {
    /// The shape of a language task's base model.
    pub fn of_task(shape: &EncoderShape, language: &LanguageConfig) -> Self {
        let decoder = &language.decoder;
        Self {
            dim: shape.dim as usize,
            layers: shape.layers,
            heads: shape.heads as usize,
            kv_heads: decoder.kv_heads as usize,
            head_dim: decoder.head_dim as usize,
            intermediate: shape.intermediate as usize,
            vocabulary: shape.vocabulary as usize,
            context: shape.positions as usize,
            norm_eps: shape.norm_eps,
            rope_base: decoder.rope_base,
            rope_scaling: decoder.rope_scaling.into(),
            tied: decoder.tied,
            style: decoder.style.into(),
            biases: Biases {
                projections: decoder.biases.projections,
                output: decoder.biases.output,
                mlp: decoder.biases.mlp,
            },
            head_norms: decoder.head_norms,
        }
    }
}

impl From<DecoderStyle> for BlockStyle {
    fn from(style: DecoderStyle) -> Self {
        match style {
            DecoderStyle::Llama => Self::Llama,
            DecoderStyle::Gpt2 => Self::Gpt2,
        }
    }
}

impl From<BlockStyle> for DecoderStyle {
    fn from(style: BlockStyle) -> Self {
        match style {
            BlockStyle::Llama => Self::Llama,
            BlockStyle::Gpt2 => Self::Gpt2,
        }
    }
}

impl From<RopeScaling> for RotaryScaling {
    fn from(scaling: RopeScaling) -> Self {
        match scaling {
            RopeScaling::None => Self::None,
            RopeScaling::Linear { factor } => Self::Linear { factor },
            RopeScaling::Llama3 {
                factor,
                low_frequency_factor,
                high_frequency_factor,
                original_context,
            } => Self::Llama3 {
                factor,
                low_frequency_factor,
                high_frequency_factor,
                original_context,
            },
        }
    }
}

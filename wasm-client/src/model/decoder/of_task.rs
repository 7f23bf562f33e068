//! The decoder and the adapter that a language task describes.

use choir_shared::task::{self, DecoderStyle, EncoderShape, LanguageConfig, RopeScaling};

use super::tensors::{Biases, BlockStyle, DecoderShape, DecoderTarget};
use super::{DecoderAdapter, DecoderLora};
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
            style: match decoder.style {
                DecoderStyle::Llama => BlockStyle::Llama,
            },
            biases: Biases {
                projections: decoder.biases.projections,
                output: decoder.biases.output,
                mlp: decoder.biases.mlp,
            },
            head_norms: decoder.head_norms,
        }
    }
}

impl DecoderAdapter {
    /// The views of a language task's payload, in the order of its layout.
    pub fn of_task(shape: &DecoderShape, language: &LanguageConfig) -> Self {
        let lora = &language.lora;
        let lora = DecoderLora {
            rank: lora.rank.into(),
            alpha: lora.alpha,
            rank_stabilised: false,
            targets: lora.targets.iter().map(|&target| target.into()).collect(),
        };
        let prompt = language
            .soft_prompt
            .map_or(0, |prompt| prompt.num_virtual_tokens.into());
        Self::new(shape, &lora, prompt)
    }
}

impl From<task::DecoderTarget> for DecoderTarget {
    fn from(target: task::DecoderTarget) -> Self {
        match target {
            task::DecoderTarget::Q => Self::Q,
            task::DecoderTarget::K => Self::K,
            task::DecoderTarget::V => Self::V,
            task::DecoderTarget::O => Self::O,
            task::DecoderTarget::Gate => Self::Gate,
            task::DecoderTarget::Up => Self::Up,
            task::DecoderTarget::Down => Self::Down,
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

//! The shaders of decoders by name: their text and what they bind.

use super::shader::Bindings;

/// A shader that only decoders use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum DecoderShader {
    /// Token rows.
    EmbedTokens,
    /// Root-mean-square norm; `true` adds a residual before it.
    RmsNorm(bool),
    /// Gradient of what was normalized.
    RmsNormGradient,
    /// Rotary positions; `true` turns four columns at once, `false` two.
    Rotate(bool),
    /// Gated unit.
    Swiglu,
    /// Its gradients.
    SwigluGradient,
    /// Loss of the next token and its gradient.
    LanguageLoss,
}

impl DecoderShader {
    /// Its bindings, after the uniform at binding 0.
    pub(super) fn bindings(self) -> Bindings {
        let (read, written) = match self {
            Self::EmbedTokens => (3, 1),
            Self::RmsNorm(false) => (2, 2),
            Self::RmsNorm(true) => (3, 3),
            Self::RmsNormGradient => (4, 1),
            Self::Rotate(_) => (2, 2),
            Self::Swiglu => (2, 1),
            Self::SwigluGradient => (3, 2),
            Self::LanguageLoss => (1, 2),
        };
        Bindings { read, written }
    }

    /// Its text.
    pub(super) fn source(self) -> String {
        let norm = include_str!("rms_norm.wgsl");
        let rotate = include_str!("rotate.wgsl");
        match self {
            Self::EmbedTokens => include_str!("embed_tokens.wgsl").to_owned(),
            Self::RmsNorm(false) => [include_str!("rms_norm_plain.wgsl"), norm].concat(),
            Self::RmsNorm(true) => [include_str!("rms_norm_add.wgsl"), norm].concat(),
            Self::RmsNormGradient => include_str!("rms_norm_gradient.wgsl").to_owned(),
            Self::Rotate(true) => ["alias Part = vec4<f32>;\n", rotate].concat(),
            Self::Rotate(false) => ["alias Part = vec2<f32>;\n", rotate].concat(),
            Self::Swiglu => include_str!("swiglu.wgsl").to_owned(),
            Self::SwigluGradient => include_str!("swiglu_gradient.wgsl").to_owned(),
            Self::LanguageLoss => include_str!("language_loss.wgsl").to_owned(),
        }
    }
}

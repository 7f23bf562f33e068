//! The shaders of decoders by name: their text and what they bind.

use super::super::quantised::Integers;
use super::generation;
use super::quantised;
use super::shader::Bindings;

/// A shader that only decoders use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum DecoderShader {
    /// Token rows, of a word table in such numbers or in f32.
    EmbedTokens(Option<Integers>),
    /// Norm beside the residual stream.
    StreamNorm(StreamNorm),
    /// Gradient of what was normalized; `true` in a layer norm.
    StreamNormGradient(bool),
    /// Rotary positions; `true` turns four columns at once, `false` two.
    Rotate(bool),
    /// Gated unit.
    Swiglu,
    /// Its gradients.
    SwigluGradient,
    /// Loss of the next token and its gradient.
    LanguageLoss,
    /// Keeps keys and values of rows that go on with a sequence.
    KeepRows,
    /// Attention to kept rows, heads of so many columns.
    CachedAttention(u32),
    /// Trained values, added to frozen ones or not.
    TrainedValues,
    /// Rows of the virtual tokens.
    VirtualRows,
    /// A sum, or a copy.
    Add,
    /// A copy or a sum, of which some is left out.
    Dropout,
    /// Products that a norm's gain has its gradient from.
    NormProducts,
}

/// How the word table's rows are read, and what becomes of them.
fn embed_tokens(integers: Option<Integers>) -> String {
    let body = include_str!("embed_tokens.wgsl");
    match integers {
        None => [
            include_str!("embed_f32.wgsl"),
            &body.replace("binding(OUT)", "binding(4)"),
        ]
        .concat(),
        Some(integers) => [
            &quantised::table_rows(integers).replace("binding(6)", "binding(4)")[..],
            &body.replace("binding(OUT)", "binding(5)"),
        ]
        .concat(),
    }
}

/// Which norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct StreamNorm {
    /// A residual is added before it, and the sum kept.
    pub(super) adds: bool,
    /// It is a layer norm.
    pub(super) centred: bool,
}

impl StreamNorm {
    fn source(self) -> String {
        let mut text = String::from("struct Call { rows: u32, dim4: u32, eps: f32 }\n");
        text.push_str("@group(0) @binding(0) var<uniform> call: Call;\n");
        let read = [
            ("x", true),
            ("residual", self.adds),
            ("gain", true),
            ("bias", self.centred),
        ];
        let written = [("sum", self.adds), ("rstd", true), ("y", true)];
        let read = read.map(|(name, bound)| (name, "read", bound));
        let written = written.map(|(name, bound)| (name, "read_write", bound));
        let bound = read
            .into_iter()
            .chain(written)
            .filter(|(_, _, bound)| *bound);
        for (place, (name, access, _)) in (1..).zip(bound) {
            let kind = if name == "rstd" { "f32" } else { "vec4<f32>" };
            text.push_str(&format!(
                "@group(0) @binding({place}) var<storage, {access}> {name}: array<{kind}>;\n"
            ));
        }
        // The residual stream goes on with the sum.
        text.push_str(if self.adds {
            "fn value_at(at: u32) -> vec4<f32> { let v = x[at] + residual[at]; sum[at] = v; return v; }\n"
        } else {
            "fn value_at(at: u32) -> vec4<f32> { return x[at]; }\n"
        });
        text.push_str(if self.centred {
            include_str!("layer_norm.wgsl")
        } else {
            include_str!("stream_norm.wgsl")
        });
        text
    }
}

impl DecoderShader {
    /// Its bindings, after the uniform at binding 0.
    pub(super) fn bindings(self) -> Bindings {
        let (read, written) = match self {
            Self::EmbedTokens(integers) => (3 + u32::from(integers.is_some()), 1),
            Self::StreamNorm(norm) => (
                2 + u32::from(norm.adds) + u32::from(norm.centred),
                2 + u32::from(norm.adds),
            ),
            Self::StreamNormGradient(_) => (4, 1),
            Self::Rotate(_) => (2, 2),
            Self::Swiglu => (2, 1),
            Self::SwigluGradient => (3, 2),
            Self::LanguageLoss => (1, 2),
            Self::KeepRows => (2, 2),
            Self::CachedAttention(_) => (3, 1),
            Self::TrainedValues => (2, 1),
            Self::VirtualRows => (2, 1),
            Self::Add | Self::Dropout => (1, 1),
            Self::NormProducts => (3, 1),
        };
        Bindings { read, written }
    }

    /// Its text.
    pub(super) fn source(self) -> String {
        let rotate = include_str!("rotate.wgsl");
        match self {
            Self::EmbedTokens(integers) => embed_tokens(integers),
            Self::StreamNorm(norm) => norm.source(),
            Self::StreamNormGradient(false) => include_str!("stream_norm_gradient.wgsl").to_owned(),
            Self::StreamNormGradient(true) => include_str!("layer_norm_gradient.wgsl").to_owned(),
            Self::Rotate(true) => ["alias Part = vec4<f32>;\n", rotate].concat(),
            Self::Rotate(false) => ["alias Part = vec2<f32>;\n", rotate].concat(),
            Self::Swiglu => include_str!("swiglu.wgsl").to_owned(),
            Self::SwigluGradient => include_str!("swiglu_gradient.wgsl").to_owned(),
            Self::LanguageLoss => include_str!("language_loss.wgsl").to_owned(),
            Self::KeepRows => include_str!("keep_rows.wgsl").to_owned(),
            Self::TrainedValues => include_str!("trained_values.wgsl").to_owned(),
            Self::VirtualRows => include_str!("virtual_rows.wgsl").to_owned(),
            Self::Add => include_str!("add.wgsl").to_owned(),
            Self::Dropout => include_str!("dropout.wgsl").to_owned(),
            Self::NormProducts => include_str!("norm_products.wgsl").to_owned(),
            Self::CachedAttention(head_dim) => generation::attention_source(head_dim),
        }
    }
}

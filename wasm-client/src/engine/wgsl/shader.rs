//! The shaders by name: their text and what they bind.

use super::super::quantised::Integers;
use super::attention::{Attention, Pass};
use super::decoder_shader::DecoderShader;
use super::low_rank::LowRank;
use super::product::Product;
use super::quantised;
use super::small::{self, Small};

/// A shader; equal ones share a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Shader {
    /// Register-blocked product.
    Product(Product),
    /// Product of any size.
    Small(Small),
    /// Products into low-rank parts.
    LowRank(LowRank),
    /// Sums over rows of outer products, two at a time.
    ReduceRows,
    /// Layer norm.
    Norm,
    /// Its output, made again.
    NormOutput,
    /// Its gradient.
    NormGradient,
    /// A pass of attention.
    Attention(Attention),
    /// Non-linearity.
    Activation,
    /// Its gradient.
    ActivationGradient,
    /// Its gradient in the place of the output's gradient.
    ActivationGradientInPlace,
    /// Token rows, of a word table in such numbers or in f32.
    Embed(Option<Integers>),
    /// Gradient of the prompt.
    PromptGradient,
    /// Mean over tokens.
    MeanPool,
    /// Its gradient.
    MeanPoolGradient,
    /// Loss and its gradient.
    CrossEntropy,
    /// Optimizer.
    AdamW,
    /// One of a decoder's own.
    Decoder(DecoderShader),
}

/// How many storage buffers a shader reads, then how many it writes, in binding order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bindings {
    pub(super) read: u32,
    pub(super) written: u32,
}

impl Shader {
    /// Its bindings, after the uniform at binding 0.
    pub(super) fn bindings(self) -> Bindings {
        let (read, written) = match self {
            Self::Product(product) => (5 + u32::from(product.integers.is_some()), 1),
            Self::Small(small) => (3 + u32::from(small.integers.is_some()), 1),
            Self::LowRank(low_rank) => (1 + low_rank.parts, low_rank.parts),
            Self::ReduceRows => (4, 1),
            Self::Norm => (4, 3),
            Self::NormOutput => (3, 1),
            Self::NormGradient => (4, 1),
            Self::Attention(attention) => match attention.pass {
                Pass::Forward => (4, 2),
                Pass::Query | Pass::Key => (6, 2),
            },
            Self::Activation => (1, 1),
            Self::ActivationGradient => (2, 1),
            Self::ActivationGradientInPlace => (1, 1),
            Self::Embed(integers) => (5 + u32::from(integers.is_some()), 1),
            Self::PromptGradient => (2, 1),
            Self::MeanPool => (2, 1),
            Self::MeanPoolGradient => (3, 1),
            Self::CrossEntropy => (2, 2),
            Self::AdamW => (1, 3),
            Self::Decoder(shader) => return shader.bindings(),
        };
        Bindings { read, written }
    }

    /// Its text.
    pub(super) fn source(self) -> String {
        match self {
            Self::Product(product) => product.source(),
            Self::Small(small) => small::source(small),
            Self::LowRank(low_rank) => low_rank.source(),
            Self::Attention(attention) => attention.source(),
            Self::Decoder(shader) => shader.source(),
            Self::Activation => nonlinear(include_str!("activation.wgsl")),
            Self::ActivationGradient => nonlinear(include_str!("activation_gradient.wgsl")),
            Self::ActivationGradientInPlace => {
                nonlinear(include_str!("activation_gradient_in_place.wgsl"))
            }
            Self::ReduceRows => reduce_rows(),
            Self::Norm => include_str!("norm.wgsl").to_owned(),
            Self::NormOutput => include_str!("norm_output.wgsl").to_owned(),
            Self::NormGradient => include_str!("norm_gradient.wgsl").to_owned(),
            Self::Embed(integers) => embed(integers),
            Self::PromptGradient => include_str!("prompt_gradient.wgsl").to_owned(),
            Self::MeanPool => include_str!("mean_pool.wgsl").to_owned(),
            Self::MeanPoolGradient => include_str!("mean_pool_gradient.wgsl").to_owned(),
            Self::CrossEntropy => include_str!("cross_entropy.wgsl").to_owned(),
            Self::AdamW => include_str!("adamw.wgsl").to_owned(),
        }
    }
}

fn nonlinear(body: &str) -> String {
    [include_str!("nonlinear.wgsl"), body].concat()
}

/// The text of one sum serves both, under two sets of names.
fn reduce_rows() -> String {
    let sums = include_str!("reduce_rows_sums.wgsl");
    let second = sums.replace("first", "second");
    [include_str!("reduce_rows.wgsl"), sums, &second].concat()
}

/// The word table's rows, by what they are kept in, and the sum with the other tables' rows.
fn embed(integers: Option<Integers>) -> String {
    let body = include_str!("embed.wgsl");
    match integers {
        None => [
            include_str!("embed_f32.wgsl"),
            &body.replace("binding(OUT)", "binding(6)"),
        ]
        .concat(),
        Some(integers) => [
            &quantised::table_rows(integers)[..],
            &body.replace("binding(OUT)", "binding(7)"),
        ]
        .concat(),
    }
}

/// Workgroups of 64 for `count` threads, in two dimensions where one is not enough.
pub(super) fn linear_groups(count: u32) -> [u32; 3] {
    in_two_dimensions(count.div_ceil(64))
}

/// So many workgroups, and some more where one dimension does not hold them.
pub(super) fn in_two_dimensions(groups: u32) -> [u32; 3] {
    let down = groups.div_ceil(65_535).max(1);
    [groups.div_ceil(down).max(1), down, 1]
}

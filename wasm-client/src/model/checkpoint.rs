//! Where a decoder's tensors lie in a checkpoint of the Hugging Face layout.

use core::ops::Range;
use std::collections::BTreeMap;

use super::config::Architecture;
use super::decoder::{DecoderNorm, DecoderShape, DecoderTarget, DecoderTensor};

/// How a tensor lies in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// As the engine wants it.
    Same,
    /// A linear layer's matrix, `[out, in]`.
    OutIn,
}

/// A tensor, and which part of a file's tensor it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) tensor: DecoderTensor,
    pub(super) layout: Layout,
    /// The columns of the file's tensor, if it holds several.
    pub(super) columns: Option<Range<usize>>,
}

/// The tensors of a decoder by their names in a file, without prefix.
pub(super) fn sources(
    architecture: Architecture,
    shape: &DecoderShape,
) -> BTreeMap<String, Vec<Source>> {
    let mut sources: BTreeMap<String, Vec<Source>> = BTreeMap::new();
    for tensor in DecoderTensor::all(shape) {
        let (name, layout, columns) = match architecture {
            Architecture::Gpt2 => gpt2(tensor, shape),
            _ => llama(tensor),
        };
        sources.entry(name).or_default().push(Source {
            tensor,
            layout,
            columns,
        });
    }
    sources
}

/// What stands before the names of a whole model, and not always before those of its body.
pub(super) fn prefix(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::Gpt2 => "transformer.",
        Architecture::Bert => "bert.",
        Architecture::DistilBert => "distilbert.",
        _ => "model.",
    }
}

/// True for tensors that files carry and no layer needs.
pub(super) fn is_unused(architecture: Architecture, shape: &DecoderShape, name: &str) -> bool {
    let tied_head = shape.tied && name == "lm_head.weight";
    let buffers = match architecture {
        Architecture::Gpt2 => name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias"),
        _ => name.ends_with("rotary_emb.inv_freq"),
    };
    tied_head || buffers
}

/// The place of a layer of Llama's kind within a block.
pub(crate) fn llama_layer(target: DecoderTarget) -> &'static str {
    match target {
        DecoderTarget::Q => "self_attn.q_proj",
        DecoderTarget::K => "self_attn.k_proj",
        DecoderTarget::V => "self_attn.v_proj",
        DecoderTarget::O => "self_attn.o_proj",
        DecoderTarget::Gate => "mlp.gate_proj",
        DecoderTarget::Up => "mlp.up_proj",
        DecoderTarget::Down => "mlp.down_proj",
    }
}

/// The place of a layer of GPT-2 within a block; queries, keys and values are one.
pub(crate) fn gpt2_layer(target: DecoderTarget) -> &'static str {
    match target {
        DecoderTarget::Q | DecoderTarget::K | DecoderTarget::V => "attn.c_attn",
        DecoderTarget::O => "attn.c_proj",
        DecoderTarget::Gate | DecoderTarget::Up => "mlp.c_fc",
        DecoderTarget::Down => "mlp.c_proj",
    }
}

/// The name of a tensor of Llama's kind, without prefix.
#[cfg(feature = "pretrain")]
pub(crate) fn llama_name(tensor: DecoderTensor) -> String {
    llama(tensor).0
}

fn llama(tensor: DecoderTensor) -> (String, Layout, Option<Range<usize>>) {
    let layer = |layer: u32, name: &str| format!("layers.{layer}.{name}");
    let (name, layout) = match tensor {
        DecoderTensor::Word => ("embed_tokens.weight".to_owned(), Layout::Same),
        // No decoder of this kind has one.
        DecoderTensor::Position => ("embed_positions.weight".to_owned(), Layout::Same),
        DecoderTensor::NormGain(place) => (format!("{}.weight", llama_norm(place)), Layout::Same),
        DecoderTensor::NormBias(place) => (format!("{}.bias", llama_norm(place)), Layout::Same),
        DecoderTensor::QueryNorm(l) => (layer(l, "self_attn.q_norm.weight"), Layout::Same),
        DecoderTensor::KeyNorm(l) => (layer(l, "self_attn.k_norm.weight"), Layout::Same),
        DecoderTensor::Weight(l, target) => (
            layer(l, &format!("{}.weight", llama_layer(target))),
            Layout::OutIn,
        ),
        DecoderTensor::Bias(l, target) => (
            layer(l, &format!("{}.bias", llama_layer(target))),
            Layout::Same,
        ),
        DecoderTensor::LanguageHead => ("lm_head.weight".to_owned(), Layout::OutIn),
    };
    (name, layout, None)
}

fn llama_norm(place: DecoderNorm) -> String {
    match place {
        DecoderNorm::Attention(layer) => format!("layers.{layer}.input_layernorm"),
        DecoderNorm::Mlp(layer) => format!("layers.{layer}.post_attention_layernorm"),
        DecoderNorm::Last => "norm".to_owned(),
    }
}

fn gpt2(tensor: DecoderTensor, shape: &DecoderShape) -> (String, Layout, Option<Range<usize>>) {
    let columns = |target| match target {
        DecoderTarget::Q => Some(0..shape.dim),
        DecoderTarget::K => Some(shape.dim..2 * shape.dim),
        DecoderTarget::V => Some(2 * shape.dim..3 * shape.dim),
        _ => None,
    };
    match tensor {
        DecoderTensor::Word => ("wte.weight".to_owned(), Layout::Same, None),
        DecoderTensor::Position => ("wpe.weight".to_owned(), Layout::Same, None),
        DecoderTensor::NormGain(place) => {
            (format!("{}.weight", gpt2_norm(place)), Layout::Same, None)
        }
        DecoderTensor::NormBias(place) => {
            (format!("{}.bias", gpt2_norm(place)), Layout::Same, None)
        }
        // Its linear layers lie [in, out] (`Conv1D`).
        DecoderTensor::Weight(l, target) => (
            format!("h.{l}.{}.weight", gpt2_layer(target)),
            Layout::Same,
            columns(target),
        ),
        DecoderTensor::Bias(l, target) => (
            format!("h.{l}.{}.bias", gpt2_layer(target)),
            Layout::Same,
            columns(target),
        ),
        DecoderTensor::LanguageHead => ("lm_head.weight".to_owned(), Layout::OutIn, None),
        // GPT-2 has none of these.
        DecoderTensor::QueryNorm(l) => (format!("h.{l}.attn.q_norm.weight"), Layout::Same, None),
        DecoderTensor::KeyNorm(l) => (format!("h.{l}.attn.k_norm.weight"), Layout::Same, None),
    }
}

fn gpt2_norm(place: DecoderNorm) -> String {
    match place {
        DecoderNorm::Attention(layer) => format!("h.{layer}.ln_1"),
        DecoderNorm::Mlp(layer) => format!("h.{layer}.ln_2"),
        DecoderNorm::Last => "ln_f".to_owned(),
    }
}

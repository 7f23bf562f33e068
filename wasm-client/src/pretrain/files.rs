//! The model's folder in the Hugging Face layout: `config.json`, `tokenizer.json`,
//! `tokenizer_config.json`, and `model.safetensors` with its matrices in eight bits.
//!
//! A matrix `name` of the file is `I8`, with scales `name.scales` in `F32` before it. Groups of 32
//! values lie as the engines have them: along the columns of a table, along the outputs of a linear
//! layer, whose matrix the file has as `[out, in]` with scales `[out / 32, in]`. Quantising what was
//! read to eight bits again changes nothing.

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::json;
use tokenizers::Tokenizer;

use super::model::places;
use super::tokenizer::SEPARATOR;
use super::{PretrainError, Settings};
use crate::engine::quantised::{Integers, QuantisedMatrix, WeightPrecision};
use crate::model::checkpoint::llama_name;
use crate::model::decoder::{DecoderShape, DecoderTensor};

/// What was written.
pub(super) struct Written {
    /// The weights as they are read back.
    pub(super) dequantised: Vec<f32>,
    /// Bytes of the file of weights.
    pub(super) bytes: usize,
}

/// A tensor of the file.
struct Entry {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// Writes all files.
pub(super) fn write(
    settings: &Settings,
    shape: &DecoderShape,
    weights: &[f32],
    tokenizer: &Tokenizer,
) -> Result<Written, PretrainError> {
    let (mut entries, mut dequantised) = (Vec::new(), weights.to_vec());
    for (tensor, place) in places(shape) {
        let part = &mut dequantised[place.range];
        entries.extend(entry(tensor, part, place.shape)?);
    }
    let views = entries.iter().map(|entry| {
        let view = TensorView::new(entry.dtype, entry.shape.clone(), &entry.bytes);
        view.map(|view| (entry.name.as_str(), view))
    });
    let content = |error: safetensors::SafeTensorError| PretrainError::Setting(error.to_string());
    let views: Vec<_> = views.collect::<Result<_, _>>().map_err(content)?;
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    let file = safetensors::serialize(views, Some(metadata)).map_err(content)?;
    let text = |value: serde_json::Value| format!("{value:#}\n").into_bytes();
    let tokens = tokenizer
        .to_string(false)
        .map_err(|error| PretrainError::Tokenizer(error.to_string()))?;
    for (name, bytes) in [
        ("config.json", &text(config(shape))),
        ("model.safetensors", &file),
        ("tokenizer.json", &tokens.into_bytes()),
        ("tokenizer_config.json", &text(tokenizer_config(shape))),
    ] {
        put(settings, name, bytes)?;
    }
    Ok(Written {
        dequantised,
        bytes: file.len(),
    })
}

fn put(settings: &Settings, name: &str, bytes: &[u8]) -> Result<(), PretrainError> {
    let path = settings.out.join(name);
    let write = || {
        std::fs::create_dir_all(&settings.out)?;
        std::fs::write(&path, bytes)
    };
    write().map_err(|error| PretrainError::File {
        path: path.clone(),
        error,
    })
}

/// The tensor as it lies in the file; `values` become what is read back.
fn entry(
    tensor: DecoderTensor,
    values: &mut [f32],
    shape: [usize; 2],
) -> Result<Vec<Entry>, PretrainError> {
    let name = format!("model.{}", llama_name(tensor));
    if tensor.precision(WeightPrecision::Int8) == WeightPrecision::F32 {
        return Ok(vec![Entry {
            name,
            dtype: Dtype::F32,
            shape: vec![values.len()],
            bytes: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        }]);
    }
    let matrix = QuantisedMatrix::new(values, shape, Integers::Int8)?;
    values.copy_from_slice(&matrix.dequantised());
    let ([rows, columns], groups) = (shape, matrix.groups());
    let turned = matches!(tensor, DecoderTensor::Weight(..));
    let number = |row, column| matrix.number(row, column) as u8;
    let scale = |row, group| matrix.scale(row, group).to_le_bytes();
    let numbers = in_order([rows, columns], turned).map(|[r, c]| number(r, c));
    let scales = in_order([rows, groups], turned).flat_map(|[r, g]| scale(r, g));
    let in_file = |[rows, columns]: [usize; 2]| match turned {
        true => vec![columns, rows],
        false => vec![rows, columns],
    };
    Ok(vec![
        Entry {
            name: format!("{name}.scales"),
            dtype: Dtype::F32,
            shape: in_file([rows, groups]),
            bytes: scales.collect(),
        },
        Entry {
            name,
            dtype: Dtype::I8,
            shape: in_file(shape),
            bytes: numbers.collect(),
        },
    ])
}

/// All places of a matrix, by rows or by columns.
fn in_order([rows, columns]: [usize; 2], turned: bool) -> impl Iterator<Item = [usize; 2]> {
    let [outer, inner] = if turned {
        [columns, rows]
    } else {
        [rows, columns]
    };
    (0..outer).flat_map(move |a| (0..inner).map(move |b| if turned { [b, a] } else { [a, b] }))
}

fn config(shape: &DecoderShape) -> serde_json::Value {
    json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": shape.dim,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": shape.context,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10_000.0,
        "tie_word_embeddings": true,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "quantization_config": {"quant_method": "choir-int8", "group_size": 32},
    })
}

fn tokenizer_config(shape: &DecoderShape) -> serde_json::Value {
    json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": SEPARATOR,
        "eos_token": SEPARATOR,
        "model_max_length": shape.context,
    })
}

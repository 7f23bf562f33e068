//! From a file's tensors to an encoder on an engine. Names are those of BERT or DistilBERT
//! checkpoints, with or without the prefix `bert.` or `distilbert.`; matrices of linear layers lie
//! `[out, in]` in the file.

use std::collections::BTreeMap;

use choir_shared::task::{EncoderShape, Target};

use super::Encoder;
use super::checkpoint;
use super::config::Architecture;
use super::tensors::{EncoderTensor, NormPlace};
use super::weights::{FileTensor, SafetensorsReader, WeightsError};
use crate::engine::quantised::WeightPrecision;
use crate::engine::{Engine, EngineError};

/// What can go wrong between a file and an encoder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A tensor that no encoder of this shape has.
    #[error("the model file has a tensor that the encoder does not know: {0}")]
    Unknown(String),
    /// A tensor that no model of this kind has.
    #[error("the checkpoint has a tensor {name} that is not known; read are {known}")]
    UnknownTensor {
        /// The tensor.
        name: String,
        /// Those that are read, N for the number of a block.
        known: String,
    },
    /// A tensor of another shape.
    #[error("tensor {name} has shape {found:?}, the model's is {expected:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// As the model has it.
        expected: Vec<usize>,
        /// As the file has it.
        found: Vec<usize>,
    },
    /// Tensors that the file does not have.
    #[error("the model file lacks {}", .0.join(", "))]
    Missing(Vec<String>),
}

/// Takes a file's bytes and sends each tensor to the engine when it is complete.
#[derive(Debug)]
pub struct EncoderLoader<T> {
    architecture: Architecture,
    shape: EncoderShape,
    precision: WeightPrecision,
    reader: SafetensorsReader,
    /// What is still to come, by name without prefix.
    wanted: BTreeMap<String, EncoderTensor>,
    loaded: BTreeMap<EncoderTensor, T>,
}

impl<T: Clone> EncoderLoader<T> {
    /// Expects the tensors of BERT in this shape.
    pub fn new(shape: EncoderShape) -> Self {
        Self::of(Architecture::Bert, shape)
    }

    /// Expects the tensors of an encoder of this kind and shape.
    pub fn of(architecture: Architecture, shape: EncoderShape) -> Self {
        let wanted = EncoderTensor::all(&shape)
            .into_iter()
            .map(|tensor| (name_in(architecture, tensor), tensor));
        Self {
            architecture,
            shape,
            precision: WeightPrecision::F32,
            reader: SafetensorsReader::default(),
            wanted: wanted.collect(),
            loaded: BTreeMap::new(),
        }
    }

    /// Keeps the matrices of the tensors still to come in this precision. Each is quantised when it
    /// is complete, so the model is never held in f32.
    #[must_use]
    pub fn in_precision(mut self, precision: WeightPrecision) -> Self {
        self.precision = precision;
        self
    }

    /// Takes the next bytes of the file.
    ///
    /// # Errors
    /// [`LoadError`]; all but `Missing`.
    pub fn push<E: Engine<Tensor = T>>(
        &mut self,
        engine: &mut E,
        bytes: &[u8],
    ) -> Result<(), LoadError> {
        if self.architecture == Architecture::DistilBert
            && let Some(tensor) = self.wanted.remove(&file_name(EncoderTensor::TokenType))
        {
            // It has no types: a row of zeros is none.
            let dim = self.shape.dim as usize;
            self.loaded
                .insert(tensor, engine.frozen(&vec![0.0; dim], [1, dim])?);
        }
        let Self {
            architecture,
            shape,
            precision,
            reader,
            wanted,
            loaded,
        } = self;
        reader.push(bytes, |file| {
            let Some(tensor) = claim(*architecture, wanted, &file.name)? else {
                return Ok(());
            };
            let (values, dimensions) = as_engine_wants(tensor, file, shape)?;
            let precision = tensor.precision(*precision);
            loaded.insert(tensor, engine.frozen_in(precision, &values, dimensions)?);
            Ok(())
        })
    }

    /// The encoder.
    ///
    /// # Errors
    /// [`LoadError::Weights`] if bytes are missing, [`LoadError::Missing`] if tensors are.
    pub fn finish(mut self) -> Result<Encoder<T>, LoadError> {
        self.reader.finish()?;
        let missing: Vec<String> = self.wanted.into_keys().collect();
        if !missing.is_empty() {
            return Err(LoadError::Missing(missing));
        }
        Encoder::build(self.shape, |tensor| {
            self.loaded
                .remove(&tensor)
                .ok_or_else(|| LoadError::Missing(vec![file_name(tensor)]))
        })
    }
}

/// The tensor of this name, taken off the list; none for those that pooled embeddings do not need.
fn claim(
    architecture: Architecture,
    wanted: &mut BTreeMap<String, EncoderTensor>,
    name: &str,
) -> Result<Option<EncoderTensor>, LoadError> {
    let prefix = checkpoint::prefix(architecture);
    let plain = name.strip_prefix(prefix).unwrap_or(name);
    const HEADS: [&str; 7] = [
        "pooler.",
        "cls.",
        "classifier.",
        "pre_classifier.",
        "qa_outputs.",
        "vocab_",
        "embeddings.position_ids",
    ];
    let unused = HEADS.iter().any(|head| plain.starts_with(head));
    match wanted.remove(plain) {
        Some(tensor) => Ok(Some(tensor)),
        None if unused => Ok(None),
        None => Err(LoadError::Unknown(name.to_owned())),
    }
}

/// Values in the engine's order, and their shape there.
fn as_engine_wants(
    tensor: EncoderTensor,
    file: FileTensor,
    encoder: &EncoderShape,
) -> Result<(Vec<f32>, [usize; 2]), LoadError> {
    let [mut rows, columns] = tensor.shape(encoder);
    let expected = match tensor {
        EncoderTensor::Weight(..) => vec![columns, rows],
        EncoderTensor::NormGain(_) | EncoderTensor::NormBias(_) | EncoderTensor::Bias(..) => {
            vec![columns]
        }
        EncoderTensor::TokenType => {
            rows = file.shape.first().copied().unwrap_or(0).max(1);
            vec![rows, columns]
        }
        EncoderTensor::Word | EncoderTensor::Position => vec![rows, columns],
    };
    if file.shape != expected || file.values.len() != rows * columns {
        return Err(LoadError::Shape {
            name: file.name,
            expected,
            found: file.shape,
        });
    }
    match tensor {
        EncoderTensor::Weight(..) => Ok((transpose(&file.values, columns, rows), [rows, columns])),
        _ => Ok((file.values, [rows, columns])),
    }
}

/// `[rows, columns]` to `[columns, rows]`, a tile at a time so that both sides stay in cache.
pub(crate) fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    const TILE: usize = 32;
    let mut out = vec![0.0; values.len()];
    for row in (0..rows).step_by(TILE) {
        for column in (0..columns).step_by(TILE) {
            for r in row..(row + TILE).min(rows) {
                for c in column..(column + TILE).min(columns) {
                    out[c * rows + r] = values[r * columns + c];
                }
            }
        }
    }
    out
}

/// The place of a linear layer in a model of this kind, without prefix.
pub(crate) fn encoder_layer(architecture: Architecture, layer: u32, target: Target) -> String {
    match architecture {
        Architecture::DistilBert => {
            format!("transformer.layer.{layer}.{}", distilbert_name(target))
        }
        _ => format!("encoder.layer.{layer}.{}", linear_name(target)),
    }
}

fn distilbert_name(target: Target) -> &'static str {
    match target {
        Target::Q => "attention.q_lin",
        Target::K => "attention.k_lin",
        Target::V => "attention.v_lin",
        Target::O => "attention.out_lin",
        Target::W1 => "ffn.lin1",
        Target::W2 => "ffn.lin2",
    }
}

/// The tensor's name in a checkpoint of this kind, without prefix.
fn name_in(architecture: Architecture, tensor: EncoderTensor) -> String {
    let part = match tensor {
        EncoderTensor::NormGain(_) | EncoderTensor::Weight(..) => "weight",
        _ => "bias",
    };
    match (architecture, tensor) {
        (
            Architecture::DistilBert,
            EncoderTensor::NormGain(place) | EncoderTensor::NormBias(place),
        ) => match place {
            NormPlace::Embeddings => file_name(tensor),
            NormPlace::Attention(l) => format!("transformer.layer.{l}.sa_layer_norm.{part}"),
            NormPlace::Mlp(l) => format!("transformer.layer.{l}.output_layer_norm.{part}"),
        },
        (
            Architecture::DistilBert,
            EncoderTensor::Weight(l, target) | EncoderTensor::Bias(l, target),
        ) => format!("{}.{part}", encoder_layer(architecture, l, target)),
        _ => file_name(tensor),
    }
}

/// The tensor's name in a checkpoint of BERT, without prefix.
pub fn file_name(tensor: EncoderTensor) -> String {
    match tensor {
        EncoderTensor::Word => "embeddings.word_embeddings.weight".into(),
        EncoderTensor::Position => "embeddings.position_embeddings.weight".into(),
        EncoderTensor::TokenType => "embeddings.token_type_embeddings.weight".into(),
        EncoderTensor::NormGain(place) => format!("{}.weight", norm_name(place)),
        EncoderTensor::NormBias(place) => format!("{}.bias", norm_name(place)),
        EncoderTensor::Weight(layer, target) => {
            format!("encoder.layer.{layer}.{}.weight", linear_name(target))
        }
        EncoderTensor::Bias(layer, target) => {
            format!("encoder.layer.{layer}.{}.bias", linear_name(target))
        }
    }
}

fn norm_name(place: NormPlace) -> String {
    match place {
        NormPlace::Embeddings => "embeddings.LayerNorm".into(),
        NormPlace::Attention(layer) => format!("encoder.layer.{layer}.attention.output.LayerNorm"),
        NormPlace::Mlp(layer) => format!("encoder.layer.{layer}.output.LayerNorm"),
    }
}

fn linear_name(target: Target) -> &'static str {
    match target {
        Target::Q => "attention.self.query",
        Target::K => "attention.self.key",
        Target::V => "attention.self.value",
        Target::O => "attention.output.dense",
        Target::W1 => "intermediate.dense",
        Target::W2 => "output.dense",
    }
}

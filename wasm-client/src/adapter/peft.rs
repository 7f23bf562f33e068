//! Adapters as PEFT keeps them (`adapter_config.json`, `adapter_model.safetensors`), both ways, so
//! that an adapter trained here runs in transformers and theirs runs here. Read and written are LoRA
//! (Hu et al. 2021), also rank-stabilised (Kalajdzievski 2023), prompt tuning (Lester et al. 2021) and
//! prefix tuning (Li and Liang 2021); P-tuning (Liu et al. 2021) is read as the prompt that its encoder
//! made. Source of names and keys: PEFT 0.21, `tuners/lora/config.py`, `utils/save_and_load.py`.

use core::ops::Range;
use std::collections::BTreeMap;

use choir_shared::task::{EncoderShape, Target};

use crate::model::checkpoint::{gpt2_layer, llama_layer};
use crate::model::config::Architecture;
use crate::model::decoder::{DecoderShape, DecoderTarget};
use crate::model::loader::encoder_layer;
use crate::model::tensors::linear_shape;
use crate::model::weights::WeightsError;

mod config;
mod decoder;
mod export;
mod import;

pub use decoder::{export_decoder, import_decoder};
pub use export::export_lora;
pub use import::{Imported, import};

/// What can be wrong with an adapter of PEFT's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeftError {
    /// Its configuration is no JSON object.
    #[error("adapter_config.json cannot be read: {0}")]
    Json(String),
    /// Its configuration asks for something that is not read.
    #[error("adapter_config.json: {key} is {found}; read is {expected}")]
    Unsupported {
        /// The key.
        key: &'static str,
        /// What it is.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// The file of its tensors.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The file of its tensors cannot be written.
    #[error("the adapter's tensors cannot be written: {0}")]
    Write(String),
    /// A tensor that belongs to no layer of the model.
    #[error("the adapter has a tensor {name} that is not known; its layers are {known}")]
    UnknownTensor {
        /// The tensor.
        name: String,
        /// The layers of a block that may have one, N for its number.
        known: String,
    },
    /// A tensor of another shape.
    #[error("tensor {name} has shape {found:?}, and must have {expected}")]
    Shape {
        /// The tensor.
        name: String,
        /// As it must be.
        expected: String,
        /// As it is.
        found: Vec<usize>,
    },
    /// One factor without the other.
    #[error("the adapter has no tensor {0}")]
    Missing(String),
    /// The adapter's layers cannot be told in PEFT's terms.
    #[error("PEFT has no such adapter: {0}")]
    NotExpressible(String),
}

/// A module of the model that may have low-rank factors, and which of our layers it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module<K> {
    /// Its name in the model, as PEFT sees it.
    pub name: String,
    /// `[in, out]`.
    pub shape: [usize; 2],
    /// Our layers, and the columns of its output that each makes.
    pub parts: Vec<(K, Range<usize>)>,
    /// Whether the frozen matrix lies `[in, out]` (`Conv1D`).
    pub fan_in_fan_out: bool,
}

/// Low-rank factors of one of our layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    /// `[in, rank]`.
    pub a: Vec<f32>,
    /// `[rank, out]`.
    pub b: Vec<f32>,
    /// Columns of A.
    pub rank: usize,
    /// What their product is multiplied by.
    pub scale: f32,
}

/// The factors of an adapter by layer.
pub type LoraMap<K> = BTreeMap<K, Factors>;

/// The modules of a decoder.
pub fn decoder_modules(
    architecture: Architecture,
    shape: &DecoderShape,
) -> Vec<Module<(u32, DecoderTarget)>> {
    let mut modules: Vec<Module<(u32, DecoderTarget)>> = Vec::new();
    for layer in 0..shape.layers {
        for &target in shape.targets() {
            let [inputs, outputs] = shape.linear(target);
            let gpt2 = architecture == Architecture::Gpt2;
            let name = match gpt2 {
                true => format!("transformer.h.{layer}.{}", gpt2_layer(target)),
                false => format!("model.layers.{layer}.{}", llama_layer(target)),
            };
            let known = modules.iter_mut().rev().find(|module| module.name == name);
            match known {
                Some(module) => {
                    let start = module.shape[1];
                    module.shape[1] += outputs;
                    module.parts.push(((layer, target), start..start + outputs));
                }
                None => modules.push(Module {
                    name,
                    shape: [inputs, outputs],
                    parts: vec![((layer, target), 0..outputs)],
                    fan_in_fan_out: gpt2,
                }),
            }
        }
    }
    modules
}

/// The modules of an encoder.
pub fn encoder_modules(
    architecture: Architecture,
    shape: &EncoderShape,
) -> Vec<Module<(u32, Target)>> {
    let layers = 0..shape.layers;
    layers
        .flat_map(|layer| Target::ALL.map(|target| (layer, target)))
        .map(|(layer, target)| {
            let size = linear_shape(shape, target);
            Module {
                name: encoder_layer(architecture, layer, target),
                shape: size,
                parts: vec![((layer, target), 0..size[1])],
                fan_in_fan_out: false,
            }
        })
        .collect()
}

//! From PEFT's files to factors of our layers.

use std::collections::BTreeMap;

use super::config::{LoraConfig, PeftConfig};
use super::{Factors, LoraMap, Module, PeftError};
use crate::model::loader::transpose;
use crate::model::weights::{FileTensor, SafetensorsReader, WeightsError};

/// What stands before a module's name in PEFT's files.
pub(super) const PREFIX: &str = "base_model.model.";

/// The one tensor of prompts and prefixes.
pub(super) const VIRTUAL_ROWS: &str = "prompt_embeddings";

/// An adapter read.
#[derive(Clone, Debug, PartialEq)]
pub enum Imported<K> {
    /// Low-rank factors by layer.
    Lora(LoraMap<K>),
    /// A soft prompt, `[num_virtual_tokens, dim]`, and its rows.
    Prompt(Vec<f32>, usize),
    /// Keys, then values of virtual tokens, block beside block,
    /// `[num_virtual_tokens, layers·2·kv_heads·head_dim]`, and its rows.
    Prefix(Vec<f32>, usize),
}

/// Reads an adapter of a model of these modules: `dim` wide, with so many columns of keys and values in
/// all its blocks.
///
/// # Errors
/// [`PeftError`] names what was wrong.
pub fn import<K: Copy + Ord>(
    config: &str,
    tensors: &[u8],
    modules: &[Module<K>],
    [dim, columns]: [usize; 2],
) -> Result<Imported<K>, PeftError> {
    let config = PeftConfig::parse(config)?;
    let mut found = BTreeMap::new();
    let mut reader = SafetensorsReader::default();
    reader.push(tensors, |tensor| {
        found.insert(plain(&tensor.name), tensor);
        Ok::<_, WeightsError>(())
    })?;
    reader.finish()?;
    match config {
        PeftConfig::Lora(config) => import_lora(&config, found, modules).map(Imported::Lora),
        PeftConfig::Prompt(rows) => {
            virtual_rows(found, [rows, dim]).map(|values| Imported::Prompt(values, rows))
        }
        PeftConfig::Prefix(rows) => {
            virtual_rows(found, [rows, columns]).map(|values| Imported::Prefix(values, rows))
        }
    }
}

/// What PEFT keeps of virtual tokens, of whichever kind.
fn virtual_rows(
    mut found: BTreeMap<String, FileTensor>,
    shape: [usize; 2],
) -> Result<Vec<f32>, PeftError> {
    let rows = found
        .remove(VIRTUAL_ROWS)
        .ok_or_else(|| PeftError::Missing(VIRTUAL_ROWS.to_owned()))?;
    expect(&rows, &shape)?;
    Ok(rows.values)
}

fn import_lora<K: Copy + Ord>(
    config: &LoraConfig,
    mut found: BTreeMap<String, FileTensor>,
    modules: &[Module<K>],
) -> Result<LoraMap<K>, PeftError> {
    let mut factors = LoraMap::new();
    for module in modules {
        let name = |factor: &str| format!("{}.{factor}.weight", module.name);
        let (a, b) = match (found.remove(&name("lora_A")), found.remove(&name("lora_B"))) {
            (Some(a), Some(b)) => (a, b),
            (None, None) => continue,
            (None, Some(_)) => return Err(PeftError::Missing(name("lora_A"))),
            (Some(_), None) => return Err(PeftError::Missing(name("lora_B"))),
        };
        let [inputs, outputs] = module.shape;
        let rank = a.shape.first().copied().unwrap_or(0);
        expect(&a, &[rank, inputs])?;
        expect(&b, &[outputs, rank])?;
        let scale = config.scale(&module.name, rank);
        let of_inputs = transpose(&a.values, rank, inputs);
        for (layer, columns) in &module.parts {
            let rows = &b.values[columns.start * rank..columns.end * rank];
            let part = Factors {
                a: of_inputs.clone(),
                b: transpose(rows, columns.len(), rank),
                rank,
                scale,
            };
            factors.insert(*layer, part);
        }
    }
    if let Some(FileTensor { name, .. }) = found.into_values().next() {
        let known: Vec<&str> = modules.iter().map(|module| &module.name[..]).collect();
        return Err(PeftError::UnknownTensor {
            name,
            known: first_block(&known),
        });
    }
    Ok(factors)
}

/// A tensor's name in the model. Encoders with a head of their own have theirs before it.
fn plain(name: &str) -> String {
    let name = name.strip_prefix(PREFIX).unwrap_or(name);
    let bodies = ["bert.", "distilbert."];
    let body = bodies.iter().find_map(|body| name.strip_prefix(body));
    body.unwrap_or(name).to_owned()
}

/// The names of the first block, N for its number.
fn first_block(names: &[&str]) -> String {
    let first = names.iter().filter(|name| name.contains(".0."));
    first
        .map(|name| name.replacen(".0.", ".N.", 1))
        .collect::<Vec<_>>()
        .join(", ")
}

fn expect(tensor: &FileTensor, shape: &[usize]) -> Result<(), PeftError> {
    let values: usize = shape.iter().product();
    if tensor.shape == shape && tensor.values.len() == values && values > 0 {
        return Ok(());
    }
    Err(PeftError::Shape {
        name: tensor.name.clone(),
        expected: format!("{shape:?}, as numbers with a fraction"),
        found: tensor.shape.clone(),
    })
}

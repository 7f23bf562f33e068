//! From factors of our layers to PEFT's files.

use std::collections::BTreeSet;

use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::import::{PREFIX, VIRTUAL_ROWS};
use super::{Factors, LoraMap, Module, PeftError, config};
use crate::model::decoder::{DecoderAdapter, DecoderShape};
use crate::model::loader::transpose;

/// A tensor to be written.
struct Named {
    name: String,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Named {
    fn new(name: String, shape: [usize; 2], values: &[f32]) -> Self {
        Self {
            name,
            shape: shape.to_vec(),
            bytes: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        }
    }
}

/// `adapter_config.json` and `adapter_model.safetensors` of low-rank factors. Where a module holds
/// several of our layers (GPT-2's queries, keys and values), each with factors of its own, the
/// module's rank is the sum of theirs and B is zero where one layer meets another's columns: the
/// same function.
///
/// # Errors
/// [`PeftError::NotExpressible`] where layers of one kind have different ranks or scales.
pub fn export_lora<K: Copy + Ord>(
    factors: &LoraMap<K>,
    modules: &[Module<K>],
    causal: bool,
) -> Result<(String, Vec<u8>), PeftError> {
    let first = factors.values().next();
    let first = first.ok_or_else(|| PeftError::NotExpressible("it has no factors".to_owned()))?;
    let usual = (first.rank, first.scale);
    let (mut tensors, mut targets) = (Vec::new(), BTreeSet::new());
    let (mut pattern, mut fan_in_fan_out) = (Vec::new(), false);
    for module in modules {
        let Some(merged) = merge(module, factors)? else {
            continue;
        };
        let (rank, scale) = (merged.rank, merged.scale);
        let ending = ending(&module.name, modules);
        if (rank, scale) != usual {
            pattern.push((module.name.clone(), rank, scale * rank as f32));
        }
        targets.insert(ending);
        fan_in_fan_out |= module.fan_in_fan_out;
        let [inputs, outputs] = module.shape;
        let name = |factor: &str| format!("{PREFIX}{}.{factor}.weight", module.name);
        let a = transpose(&merged.a, inputs, rank);
        let b = transpose(&merged.b, rank, outputs);
        tensors.push(Named::new(name("lora_A"), [rank, inputs], &a));
        tensors.push(Named::new(name("lora_B"), [outputs, rank], &b));
    }
    let targets: Vec<String> = targets.into_iter().collect();
    let (rank, alpha) = (usual.0 as f32, usual.1 * usual.0 as f32);
    let text = config::write_lora([rank, alpha], &targets, fan_in_fan_out, &pattern, causal);
    Ok((text, written(&tensors)?))
}

/// Both files of a soft prompt `[num_virtual_tokens, dim]` of a decoder.
///
/// # Errors
/// [`PeftError::Write`].
pub(super) fn export_prompt(
    prompt: &[f32],
    shape @ [rows, dim]: [usize; 2],
    layers: u32,
    heads: usize,
) -> Result<(String, Vec<u8>), PeftError> {
    if prompt.len() != rows * dim {
        let found = format!("a prompt of {} values for {rows} rows", prompt.len());
        return Err(PeftError::NotExpressible(found));
    }
    let tensor = Named::new(VIRTUAL_ROWS.to_owned(), shape, prompt);
    let text = config::write_prompt(shape, layers, heads);
    Ok((text, written(&[tensor])?))
}

/// Both files of keys and values of virtual tokens, block beside block in each row.
///
/// # Errors
/// [`PeftError::Write`].
pub(super) fn export_prefix(
    adapter: &DecoderAdapter,
    flat: &[f32],
    shape: &DecoderShape,
) -> Result<(String, Vec<u8>), PeftError> {
    let parts: Vec<_> = adapter.prefixes.values().flatten().collect();
    let rows = adapter.num_virtual_tokens() as usize;
    let columns = shape.kv_heads * shape.head_dim;
    let of_row = |row: usize| {
        let starts = parts
            .iter()
            .map(move |part| part.range.start + row * columns);
        starts.flat_map(|start| flat[start..start + columns].iter().copied())
    };
    let values: Vec<f32> = (0..rows).flat_map(of_row).collect();
    let width = parts.len() * columns;
    let tensor = Named::new(VIRTUAL_ROWS.to_owned(), [rows, width], &values);
    let text = config::write_prefix([rows, columns], shape.layers, shape.kv_heads);
    Ok((text, written(&[tensor])?))
}

/// The factors of a whole module; none where no layer of it has any.
fn merge<K: Copy + Ord>(
    module: &Module<K>,
    factors: &LoraMap<K>,
) -> Result<Option<Factors>, PeftError> {
    let parts: Vec<_> = module
        .parts
        .iter()
        .filter_map(|(layer, columns)| Some((factors.get(layer)?, columns.clone())))
        .collect();
    let Some((first, _)) = parts.first() else {
        return Ok(None);
    };
    if parts.iter().any(|(part, _)| part.scale != first.scale) {
        let found = format!("layers of {} with different scales", module.name);
        return Err(PeftError::NotExpressible(found));
    }
    let [inputs, outputs] = module.shape;
    let shared = parts.iter().all(|(part, _)| part.a == first.a);
    let rank = if shared {
        first.rank
    } else {
        parts.iter().map(|(part, _)| part.rank).sum()
    };
    let (mut a, mut b) = (vec![0.0; inputs * rank], vec![0.0; rank * outputs]);
    let mut start = 0;
    for (part, columns) in &parts {
        for (row, values) in part.a.chunks_exact(part.rank).enumerate() {
            a[row * rank + start..][..part.rank].copy_from_slice(values);
        }
        for (row, values) in part.b.chunks_exact(columns.len()).enumerate() {
            let place = (start + row) * outputs + columns.start;
            b[place..][..columns.len()].copy_from_slice(values);
        }
        start += if shared { 0 } else { part.rank };
    }
    Ok(Some(Factors {
        a,
        b,
        rank,
        scale: first.scale,
    }))
}

/// The end of a module's name that PEFT finds it by in every block: its last word, or its last two
/// where another module of the block ends with the same.
fn ending<K>(name: &str, modules: &[Module<K>]) -> String {
    let words: Vec<&str> = name.rsplit('.').collect();
    let (last, two) = (words[0], words[..words.len().min(2)].iter().rev());
    let two = two.copied().collect::<Vec<_>>().join(".");
    let others = modules
        .iter()
        .any(|module| module.name.rsplit('.').next() == Some(last) && !module.name.ends_with(&two));
    if others { two } else { last.to_owned() }
}

fn written(tensors: &[Named]) -> Result<Vec<u8>, PeftError> {
    let failed = |error: safetensors::SafeTensorError| PeftError::Write(error.to_string());
    let views = tensors
        .iter()
        .map(|tensor| {
            let view = TensorView::new(Dtype::F32, tensor.shape.clone(), &tensor.bytes);
            Ok((tensor.name.as_str(), view.map_err(failed)?))
        })
        .collect::<Result<Vec<_>, PeftError>>()?;
    safetensors::serialize(views, None).map_err(failed)
}

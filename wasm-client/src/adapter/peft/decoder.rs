//! Whole adapters of decoders as PEFT keeps them: what of ours it has a file for, and back.

use super::export::{export_lora, export_prefix, export_prompt};
use super::import::{Imported, import};
use super::{PeftError, decoder_modules};
use crate::model::config::Architecture;
use crate::model::decoder::{DecoderAdapter, DecoderShape};

/// `adapter_config.json` and `adapter_model.safetensors` of an adapter that is LoRA, a soft prompt or a
/// prefix alone, with the values of `flat`.
///
/// # Errors
/// [`PeftError::NotExpressible`] of any other: the file would be another model.
pub fn export_decoder(
    adapter: &DecoderAdapter,
    flat: &[f32],
    architecture: Architecture,
    shape: &DecoderShape,
) -> Result<(String, Vec<u8>), PeftError> {
    if adapter.is_lora_alone() {
        let modules = decoder_modules(architecture, shape);
        return export_lora(&adapter.lora_map(flat), &modules, true);
    }
    let prompt = adapter.prompt.as_ref();
    if let Some(prompt) = prompt.filter(|prompt| prompt.range.len() == adapter.len) {
        return export_prompt(flat, prompt.shape, shape.layers, shape.heads);
    }
    if adapter.is_prefix_alone() {
        return export_prefix(adapter, flat, shape);
    }
    let known = "it has a file for LoRA, a soft prompt or a prefix alone";
    Err(PeftError::NotExpressible(known.to_owned()))
}

/// An adapter of PEFT's, and its values.
///
/// # Errors
/// [`PeftError`] names what was wrong.
pub fn import_decoder(
    config: &str,
    tensors: &[u8],
    architecture: Architecture,
    shape: &DecoderShape,
) -> Result<(DecoderAdapter, Vec<f32>), PeftError> {
    let modules = decoder_modules(architecture, shape);
    let columns = 2 * shape.layers as usize * shape.kv_heads * shape.head_dim;
    Ok(
        match import(config, tensors, &modules, [shape.dim, columns])? {
            Imported::Lora(factors) => DecoderAdapter::of_lora(&factors, shape),
            Imported::Prompt(values, rows) => (DecoderAdapter::of_prompt(rows, shape), values),
            Imported::Prefix(values, rows) => {
                let adapter = DecoderAdapter::of_prefix(rows, shape);
                let flat = by_layer(&values, &adapter);
                (adapter, flat)
            }
        },
    )
}

/// Rows of keys and values of all blocks, side by side, as keys, then values block after block.
fn by_layer(values: &[f32], adapter: &DecoderAdapter) -> Vec<f32> {
    let mut flat = vec![0.0; adapter.len];
    for (place, part) in adapter.prefixes.values().flatten().enumerate() {
        let [rows, columns] = part.shape;
        let width = values.len() / rows;
        let to = flat[part.range.clone()].chunks_exact_mut(columns);
        for (to, row) in to.zip(values.chunks_exact(width)) {
            to.copy_from_slice(&row[place * columns..][..columns]);
        }
    }
    flat
}

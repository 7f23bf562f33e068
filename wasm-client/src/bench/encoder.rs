//! The workload "encoder": all-MiniLM-L6-v2's shape, LoRA on q and v, a head of 77 classes.

use choir_shared::task::workload::{BATCH, CLASSES, SEQUENCE};
use choir_shared::task::{AdapterLayout, EncoderShape, PartKind, Target, TaskConfig, TaskError};

use super::generator::{Stream, fan_in, gain, uniform};
use crate::engine::Batch;
use crate::model::tensors::{EncoderTensor, NormPlace};

/// The encoder's sizes.
pub const SHAPE: EncoderShape = EncoderShape::ALL_MINI_LM_L6_V2;

/// Values and shape of a frozen tensor.
pub fn frozen(tensor: EncoderTensor) -> (Vec<f32>, [usize; 2]) {
    let mut shape = tensor.shape(&SHAPE);
    if tensor == EncoderTensor::TokenType {
        shape[0] = 2;
    }
    let len = shape[0] * shape[1];
    let values = match tensor {
        EncoderTensor::Word => uniform("emb.word", len, 0.05),
        EncoderTensor::Position => uniform("emb.pos", len, 0.02),
        EncoderTensor::TokenType => uniform("emb.type", len, 0.02),
        EncoderTensor::NormGain(place) => gain(&format!("{}.g", norm_name(place)), len),
        EncoderTensor::NormBias(place) => uniform(&format!("{}.b", norm_name(place)), len, 0.02),
        EncoderTensor::Weight(layer, target) => {
            fan_in(&format!("layers.{layer}.w{}", letter(target)), shape)
        }
        EncoderTensor::Bias(layer, target) => {
            uniform(&format!("layers.{layer}.b{}", letter(target)), len, 0.02)
        }
    };
    (values, shape)
}

/// The adapter before the first step.
///
/// # Errors
/// Those of [`AdapterLayout::new`].
pub fn adapter(task: &TaskConfig) -> Result<Vec<f32>, TaskError> {
    let layout = AdapterLayout::new(task)?;
    let mut flat = vec![0.0; layout.len()];
    for part in layout.parts() {
        let values = match part.kind {
            PartKind::LoraA { layer, target } => fan_in(
                &format!("layers.{layer}.w{}.lora_a", letter(target)),
                part.shape,
            ),
            PartKind::LoraB { layer, target } => {
                let name = format!("layers.{layer}.w{}.lora_b", letter(target));
                uniform(&name, part.range.len(), 0.02)
            }
            PartKind::HeadWeight => fan_in("cls.w", part.shape),
            _ => continue,
        };
        flat[part.range.clone()].copy_from_slice(&values);
    }
    Ok(flat)
}

/// Batch `k` of [`super::BATCHES`]; sequence `b` has `64 - 4·b` tokens.
pub fn batch(k: usize) -> Batch {
    let mut stream = Stream::new(&format!("tokens.encoder.{k}"));
    let [sequences, length] = [BATCH, SEQUENCE].map(u32::from);
    let drawn: Vec<u32> = (0..sequences * length)
        .map(|_| (stream.next() >> 8) % SHAPE.vocabulary)
        .collect();
    let labels = (0..sequences)
        .map(|_| (stream.next() >> 8) % CLASSES)
        .collect();
    let mut tokens = Vec::new();
    let mut token_starts = vec![0];
    for (b, row) in drawn.chunks_exact(length as usize).enumerate() {
        tokens.extend_from_slice(&row[..length as usize - 4 * b]);
        token_starts.push(tokens.len() as u32);
    }
    Batch {
        tokens,
        token_starts,
        labels,
        num_virtual_tokens: 0,
        past: 0,
    }
}

fn letter(target: Target) -> &'static str {
    match target {
        Target::Q => "q",
        Target::K => "k",
        Target::V => "v",
        Target::O => "o",
        Target::W1 => "1",
        Target::W2 => "2",
    }
}

fn norm_name(place: NormPlace) -> String {
    match place {
        NormPlace::Embeddings => "emb.ln".into(),
        NormPlace::Attention(layer) => format!("layers.{layer}.ln1"),
        NormPlace::Mlp(layer) => format!("layers.{layer}.ln2"),
    }
}

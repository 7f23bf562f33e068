//! The training workload "encoder" (version 1): all-MiniLM-L6-v2's shape, weights and tokens from
//! a fixed generator, LoRA on q and v, a head of 77 classes. Every implementation of it computes
//! the same losses.

use choir_shared::task::workload::{self, BATCH, CLASSES, SEQUENCE};
pub use choir_shared::task::workload::{REFERENCE_LOSSES, encoder as task};
use choir_shared::task::{AdapterLayout, EncoderShape, PartKind, Target, TaskConfig, TaskError};

use crate::engine::{AdamW, Batch};
use crate::model::tensors::{EncoderTensor, NormPlace};

/// The optimizer of the workload.
pub const OPTIMIZER: AdamW = AdamW {
    learning_rate: workload::OPTIMIZER.learning_rate,
    beta1: workload::OPTIMIZER.beta1,
    beta2: workload::OPTIMIZER.beta2,
    eps: workload::OPTIMIZER.eps,
    weight_decay: workload::OPTIMIZER.weight_decay,
};

/// The encoder's sizes.
pub const SHAPE: EncoderShape = EncoderShape::ALL_MINI_LM_L6_V2;

/// Number of batches, used in turn.
pub const BATCHES: usize = 4;

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

/// Batch `k` of [`BATCHES`]; sequence `b` has `64 - 4·b` tokens.
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

/// Uniform in `[-bound, bound)`; one rounding to f32.
fn uniform(name: &str, len: usize, bound: f64) -> Vec<f32> {
    let mut stream = Stream::new(name);
    (0..len)
        .map(|_| (stream.symmetric() * bound) as f32)
        .collect()
}

/// Uniform within 0.1 around 1.
fn gain(name: &str, len: usize) -> Vec<f32> {
    let mut stream = Stream::new(name);
    (0..len)
        .map(|_| (1.0 + stream.symmetric() * 0.1) as f32)
        .collect()
}

/// Uniform with variance `1 / rows`.
fn fan_in(name: &str, [rows, columns]: [usize; 2]) -> Vec<f32> {
    uniform(name, rows * columns, (3.0 / rows as f64).sqrt())
}

/// The generator: a linear congruential sequence that starts at the FNV-1a hash of a name.
struct Stream(u32);

impl Stream {
    fn new(name: &str) -> Self {
        Self(name.bytes().fold(0x811c_9dc5, |hash: u32, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(16_777_619)
        }))
    }

    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0
    }

    /// Uniform in `[-1, 1)`, 24 bits.
    fn symmetric(&mut self) -> f64 {
        2.0 * (f64::from(self.next() >> 8) / 16_777_216.0) - 1.0
    }
}

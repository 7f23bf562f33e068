//! The workload "decoder": 4 blocks of a Llama-type decoder, 4 sequences of 128 tokens, LoRA on q,
//! k, v and o, the loss of the next token.

pub use choir_shared::task::workload::DECODER_REFERENCE_LOSSES as REFERENCE_LOSSES;

use choir_shared::task::DecoderLoraConfig;

use super::generator::{Stream, fan_in, gain, uniform};
use super::{BATCHES, OPTIMIZER};
use crate::engine::decoder::DecoderEngine;
use crate::engine::quantised::WeightPrecision;
use crate::engine::{Batch, EngineError, MemoryPlan, Preparation};
use crate::model::decoder::{
    Decoder, DecoderAdapter, DecoderNorm, DecoderShape, DecoderTarget, DecoderTensor,
};

/// The decoder's sizes.
pub const SHAPE: DecoderShape = DecoderShape {
    dim: 256,
    layers: 4,
    heads: 4,
    kv_heads: 4,
    head_dim: 64,
    intermediate: 688,
    vocabulary: 1024,
    norm_eps: 1e-5,
    rope_base: 10_000.0,
    tied: false,
    ..DecoderShape::LLAMA
};
/// Sequences of a step.
pub const BATCH: usize = 4;
/// Tokens of a sequence.
pub const SEQUENCE: usize = 128;

/// What is trained.
pub fn adapter() -> DecoderAdapter {
    let [q, k, v, o, ..] = DecoderTarget::ALL;
    let lora = DecoderLoraConfig {
        rank: 8,
        alpha: 16.0,
        rank_stabilised: false,
        dropout: 0.0,
        targets: vec![q, k, v, o],
    };
    DecoderAdapter::new(&SHAPE, &lora, 0)
}

/// The adapter's values before the first step.
pub fn adapter_values(adapter: &DecoderAdapter) -> Vec<f32> {
    let mut flat = vec![0.0; adapter.len];
    for ((layer, target), factors) in &adapter.lora {
        let name = linear_name(*layer, *target);
        let a = fan_in(&format!("{name}.lora_a"), factors.a.shape);
        let b = uniform(&format!("{name}.lora_b"), factors.b.range.len(), 0.02);
        flat[factors.a.range.clone()].copy_from_slice(&a);
        flat[factors.b.range.clone()].copy_from_slice(&b);
    }
    flat
}

/// Values and shape of a frozen tensor.
pub fn frozen(tensor: DecoderTensor) -> (Vec<f32>, [usize; 2]) {
    let shape = tensor.shape(&SHAPE);
    let len = shape[0] * shape[1];
    let values = match tensor {
        DecoderTensor::Word => uniform("embed", len, 1.0),
        DecoderTensor::NormGain(place) => gain(&norm_name(place), len),
        DecoderTensor::Weight(layer, target) => fan_in(&linear_name(layer, target), shape),
        DecoderTensor::LanguageHead => fan_in("lm_head", shape),
        // The workload's decoder has none of these.
        DecoderTensor::Position
        | DecoderTensor::NormBias(_)
        | DecoderTensor::QueryNorm(_)
        | DecoderTensor::KeyNorm(_)
        | DecoderTensor::Bias(..) => Vec::new(),
    };
    (values, shape)
}

/// Batch `k` of [`BATCHES`], and the token after each of its rows.
pub fn batch(k: usize) -> (Batch, Vec<u32>) {
    let mut stream = Stream::new(&format!("tokens.decoder.{k}"));
    let drawn: Vec<u32> = (0..BATCH * (SEQUENCE + 1))
        .map(|_| (stream.next() >> 8) % SHAPE.vocabulary as u32)
        .collect();
    let rows = || drawn.chunks_exact(SEQUENCE + 1);
    let batch = Batch {
        tokens: rows().flat_map(|row| &row[..SEQUENCE]).copied().collect(),
        token_starts: (0..=BATCH).map(|b| (b * SEQUENCE) as u32).collect(),
        labels: Vec::new(),
        num_virtual_tokens: 0,
        past: 0,
    };
    (batch, rows().flat_map(|row| &row[1..]).copied().collect())
}

fn norm_name(place: DecoderNorm) -> String {
    match place {
        DecoderNorm::Attention(layer) => format!("layers.{layer}.attn_norm"),
        DecoderNorm::Mlp(layer) => format!("layers.{layer}.mlp_norm"),
        DecoderNorm::Last => "norm".to_owned(),
    }
}

fn linear_name(layer: u32, target: DecoderTarget) -> String {
    let name = match target {
        DecoderTarget::Q => "wq",
        DecoderTarget::K => "wk",
        DecoderTarget::V => "wv",
        DecoderTarget::O => "wo",
        DecoderTarget::Gate => "w_gate",
        DecoderTarget::Up => "w_up",
        DecoderTarget::Down => "w_down",
    };
    format!("layers.{layer}.{name}")
}

/// A step on so many blocks without values.
fn rehearse<E: DecoderEngine>(engine: &mut E, layers: u32) -> Result<(), EngineError> {
    let shape = DecoderShape { layers, ..SHAPE };
    let adapter = adapter();
    engine.load_adapter(&vec![0.0; adapter.len])?;
    let decoder = Decoder::build(shape, adapter, |tensor| {
        engine.placeholder(WeightPrecision::F32, tensor.shape(&shape))
    })?;
    let (batch, labels) = batch(0);
    engine.begin(&batch, true)?;
    decoder.loss(engine, &labels)?;
    engine.backward()?;
    engine.optimizer_step(&OPTIMIZER)?;
    engine.end_step()
}

/// The workload on an engine.
pub struct Workload<E: DecoderEngine> {
    engine: E,
    decoder: Decoder<E::Tensor>,
    batches: Vec<(Batch, Vec<u32>)>,
    steps: usize,
}

impl<E: DecoderEngine> Workload<E> {
    /// Makes weights, adapter and tokens, and gives the first two to the engine.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn new(mut engine: E) -> Result<Self, EngineError> {
        let adapter = adapter();
        engine.load_adapter(&adapter_values(&adapter))?;
        let decoder = Decoder::build(SHAPE, adapter, |tensor| {
            let (values, shape) = frozen(tensor);
            engine.frozen(&values, shape)
        })?;
        Ok(Self {
            engine,
            decoder,
            batches: (0..BATCHES).map(batch).collect(),
            steps: 0,
        })
    }

    /// Makes the kernels ready; best before the weights are made.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn prepare(engine: &mut E) -> Result<Preparation, EngineError> {
        // Two blocks need every kernel that four need.
        Preparation::begin(engine, |engine| rehearse(engine, 2))
    }

    /// The memory that a step will take; none where an engine does not count it.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn plan(engine: &mut E) -> Result<Option<MemoryPlan>, EngineError> {
        MemoryPlan::of(engine, |engine| rehearse(engine, SHAPE.layers))
    }

    /// The engine, for its counts and its device.
    pub fn engine(&self) -> &E {
        &self.engine
    }

    /// Steps taken.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// One step of training; yields the loss before its update.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn step(&mut self) -> Result<f32, EngineError> {
        let (batch, labels) = &self.batches[self.steps % self.batches.len()];
        self.engine.begin(batch, true)?;
        self.decoder.loss(&mut self.engine, labels)?;
        self.engine.backward()?;
        self.engine.optimizer_step(&OPTIMIZER)?;
        self.steps += 1;
        self.engine.read_loss().await
    }
}

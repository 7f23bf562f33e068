//! What the engines are compared on: a model, an adapter and a batch.

use std::env;
use std::fs;
use std::path::PathBuf;

use choir_shared::ids::Digest;
use choir_shared::task::{
    AdapterConfig, AdapterLayout, BaseModel, EncoderShape, LoraConfig, PartKind, Payload,
    SoftPromptConfig, Target, TaskConfig,
};
use choir_wasm_client::adapter::AdapterViews;
use choir_wasm_client::bench;
use choir_wasm_client::engine::quantised::WeightPrecision;
use choir_wasm_client::engine::{AdamW, Batch, Engine};
use choir_wasm_client::model::loader::EncoderLoader;
use choir_wasm_client::model::{Encoder, Model};
use pollster::block_on;
use sha2::{Digest as _, Sha256};

use crate::safetensors_file;

/// Steps of a loss curve.
const STEPS: usize = 5;

/// A model with every kind of trained part, and a batch of several lengths.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) task: TaskConfig,
    /// What the frozen matrices are kept in.
    pub(crate) precision: WeightPrecision,
    /// A safetensors file.
    pub(crate) weights: Vec<u8>,
    pub(crate) adapter: Vec<f32>,
    pub(crate) batch: Batch,
}

/// What an engine makes of a case.
pub(crate) struct Outcome {
    /// The gradient of the first step.
    pub(crate) gradient: Vec<f32>,
    /// The loss before each update on the same batch.
    pub(crate) losses: Vec<f32>,
}

impl Case {
    /// A small encoder of random weights.
    pub(crate) fn small() -> Self {
        let shape = EncoderShape {
            dim: 48,
            layers: 2,
            heads: 4,
            intermediate: 112,
            vocabulary: 101,
            positions: 40,
            norm_eps: 1e-12,
        };
        let weights = safetensors_file::random(&shape);
        Self::new("small", shape, weights, &[1, 7, 16, 3, 20])
    }

    /// The real all-MiniLM-L6-v2, if it is on this machine.
    pub(crate) fn real() -> Option<Self> {
        let weights = real_weights()?;
        Some(Self::new(
            "all-MiniLM-L6-v2",
            bench::SHAPE,
            weights,
            &[9, 24, 3, 41],
        ))
    }

    /// A block of such widths on sequences of such lengths, with random weights.
    pub(crate) fn odd(dim: u32, heads: u32, intermediate: u32, lengths: &[usize]) -> Self {
        let shape = EncoderShape {
            dim,
            layers: 1,
            heads,
            intermediate,
            vocabulary: 101,
            positions: 40,
            norm_eps: 1e-12,
        };
        let weights = safetensors_file::random(&shape);
        Self::new("odd", shape, weights, lengths)
    }

    pub(crate) fn in_precision(self, precision: WeightPrecision) -> Self {
        Self { precision, ..self }
    }

    fn new(name: &'static str, shape: EncoderShape, weights: Vec<u8>, lengths: &[usize]) -> Self {
        let mut task = bench::task();
        task.name = name.into();
        task.base = BaseModel {
            weights: Digest(Sha256::digest(&weights).into()),
            weights_bytes: weights.len() as u64,
            shape,
            ..task.base
        };
        task.labels.truncate(5);
        task.max_length = lengths.iter().copied().max().unwrap_or_default() as u16;
        task.training.batch_size = lengths.len() as u16;
        task.payload = Payload::Adapter(AdapterConfig {
            lora: Some(LoraConfig {
                rank: 4,
                alpha: 8.0,
                targets: Target::ALL.to_vec(),
            }),
            soft_prompt: Some(SoftPromptConfig {
                num_virtual_tokens: 3,
            }),
            head: true,
        });
        let mut random = Random(7);
        let adapter = adapter(&task, &mut random);
        let batch = batch(&task, lengths, &mut random);
        Self {
            name,
            task,
            precision: WeightPrecision::F32,
            weights,
            adapter,
            batch,
        }
    }

    pub(crate) fn layout(&self) -> AdapterLayout {
        AdapterLayout::new(&self.task).expect("the case's task is valid")
    }

    /// The case's model on an engine, with its adapter loaded.
    pub(crate) fn load<E: Engine>(&self, engine: &mut E) -> Model<E::Tensor> {
        engine.set_recomputation(self.precision != WeightPrecision::F32);
        let encoder = encoder(engine, self.task.base.shape, self.precision, &self.weights);
        engine.load_adapter(&self.adapter).expect("adapter");
        Model::new(encoder, AdapterViews::new(&self.layout(), &self.task), None)
    }

    /// A few training steps on the case's batch.
    pub(crate) fn run<E: Engine>(&self, engine: &mut E) -> Outcome {
        let model = self.load(engine);
        let optimizer = optimizer(&self.task);
        let mut outcome = Outcome {
            gradient: Vec::new(),
            losses: Vec::new(),
        };
        for step in 0..STEPS {
            engine.begin(&self.batch, true).expect("begin");
            let logits = model.logits(engine).expect("logits");
            engine.cross_entropy(&logits).expect("cross entropy");
            engine.backward().expect("backward");
            if step == 0 {
                outcome.gradient = block_on(engine.read_gradient()).expect("gradient");
            }
            engine.optimizer_step(&optimizer).expect("optimizer step");
            outcome
                .losses
                .push(block_on(engine.read_loss()).expect("loss"));
        }
        outcome
    }
}

/// The encoder of a safetensors file.
pub(crate) fn encoder<E: Engine>(
    engine: &mut E,
    shape: EncoderShape,
    precision: WeightPrecision,
    weights: &[u8],
) -> Encoder<E::Tensor> {
    let mut loader = EncoderLoader::new(shape).in_precision(precision);
    loader.push(engine, weights).expect("weights");
    loader.finish().expect("encoder")
}

/// The safetensors file of all-MiniLM-L6-v2; says so where it is not there.
pub(crate) fn real_weights() -> Option<Vec<u8>> {
    let folder = env::var_os("CHOIR_MODEL").map(PathBuf::from).or_else(|| {
        let cache = env::var_os("CHOIR_CACHE").map(PathBuf::from);
        let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/choir"));
        Some(cache.or(home)?.join("models/all-MiniLM-L6-v2"))
    })?;
    let weights = fs::read(folder.join("model.safetensors"));
    if let Err(error) = &weights {
        println!("skipped: no all-MiniLM-L6-v2 ({error})");
    }
    weights.ok()
}

fn optimizer(task: &TaskConfig) -> AdamW {
    let optimizer = task.training.optimizer;
    AdamW {
        learning_rate: optimizer.learning_rate,
        beta1: optimizer.beta1,
        beta2: optimizer.beta2,
        eps: optimizer.eps,
        weight_decay: optimizer.weight_decay,
    }
}

/// No part is zero, so that every gradient has all its terms.
fn adapter(task: &TaskConfig, random: &mut Random) -> Vec<f32> {
    let layout = AdapterLayout::new(task).expect("the case's task is valid");
    let mut flat = Vec::with_capacity(layout.len());
    for part in layout.parts() {
        let bound = match part.kind {
            PartKind::LoraA { .. } | PartKind::HeadWeight => (3.0 / part.shape[0] as f32).sqrt(),
            _ => 0.05,
        };
        flat.extend(random.values(part.range.len(), bound));
    }
    flat
}

fn batch(task: &TaskConfig, lengths: &[usize], random: &mut Random) -> Batch {
    let mut token_starts = vec![0];
    let mut end = 0;
    for length in lengths {
        end += *length as u32;
        token_starts.push(end);
    }
    let labels = task.labels.len() as u32;
    Batch {
        tokens: (0..end)
            .map(|_| random.next() % task.base.shape.vocabulary)
            .collect(),
        token_starts,
        labels: (0..lengths.len()).map(|_| random.next() % labels).collect(),
        past: 0,
        num_virtual_tokens: match &task.payload {
            Payload::Adapter(adapter) => adapter
                .soft_prompt
                .map_or(0, |prompt| u32::from(prompt.num_virtual_tokens)),
            Payload::Centroids | Payload::Language(_) => 0,
        },
    }
}

/// A linear congruential generator (Knuth's MMIX constants), the upper half of its state.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    /// Uniform in `[-bound, bound)`.
    pub(crate) fn values(&mut self, count: usize, bound: f32) -> Vec<f32> {
        (0..count)
            .map(|_| (self.next() as f32 / 2_147_483_648.0 - 1.0) * bound)
            .collect()
    }
}

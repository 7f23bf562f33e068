//! A model on a device that grants no buffer as large as its matrices learns the same.
#![cfg(all(feature = "wgsl", not(target_arch = "wasm32")))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use choir_shared::task::{
    AdapterConfig, AdapterLayout, DecoderLoraConfig, EncoderShape, LoraConfig, Payload,
    SoftPromptConfig, Target, TaskConfig,
};
use choir_wasm_client::adapter::AdapterViews;
use choir_wasm_client::bench::{self, decoder};
use choir_wasm_client::engine::decoder::DecoderEngine;
use choir_wasm_client::engine::quantised::WeightPrecision;
use choir_wasm_client::engine::record::Recorded;
use choir_wasm_client::engine::wgsl::{Tuning, WgslKernels};
use choir_wasm_client::engine::{Batch, Engine, EngineError, MemoryPlan};
use choir_wasm_client::model::decoder::{
    Decoder, DecoderAdapter, DecoderShape, DecoderTarget, DecoderTensor,
};
use choir_wasm_client::model::{Encoder, Model};
use pollster::block_on;

type Wgsl = Recorded<WgslKernels>;

/// Bytes of the largest buffer: less than the word table and the MLP's weights in f32, more than
/// everything else.
const LIMIT: u64 = 16_384;

const ENCODER: EncoderShape = EncoderShape {
    dim: 36,
    layers: 2,
    heads: 3,
    intermediate: 128,
    vocabulary: 500,
    positions: 20,
    norm_eps: 1e-5,
};

const DECODER: DecoderShape = DecoderShape {
    dim: 36,
    layers: 2,
    heads: 6,
    kv_heads: 2,
    head_dim: 8,
    intermediate: 128,
    vocabulary: 150,
    tied: true,
    ..decoder::SHAPE
};

fn engine(limit: Option<u64>) -> Option<Wgsl> {
    match block_on(WgslKernels::open_tuned(Tuning::HARDWARE)) {
        Ok(mut kernels) => {
            if let Some(bytes) = limit {
                kernels.limit_buffers(bytes);
            }
            Some(Recorded::new(kernels))
        }
        Err(EngineError::NoDevice(reason)) => {
            println!("skipped, no Vulkan device: {reason}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Seeded values between -0.1 and 0.1.
fn values(seed: usize, len: usize) -> Vec<f32> {
    let mut state = seed as u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 83_886_080.0 - 0.1
    };
    (0..len).map(|_| next()).collect()
}

/// Tokens all over a vocabulary.
fn batch(lengths: &[usize], vocabulary: u32, num_virtual_tokens: u32) -> Batch {
    let mut token_starts = vec![0];
    for length in lengths {
        token_starts.push(token_starts[token_starts.len() - 1] + *length as u32);
    }
    Batch {
        tokens: (0..token_starts[lengths.len()])
            .map(|at| at * 89 % vocabulary)
            .collect(),
        labels: (0..lengths.len() as u32).map(|at| at % 3).collect(),
        token_starts,
        num_virtual_tokens,
        past: 0,
    }
}

/// What a step found and asked for.
struct Found {
    loss: f32,
    gradient: Vec<f32>,
    dispatches: u32,
}

fn found(engine: &mut Wgsl) -> Found {
    Found {
        loss: block_on(engine.read_loss()).unwrap(),
        gradient: block_on(engine.read_gradient()).unwrap(),
        dispatches: engine.counts().dispatches,
    }
}

/// The same within a millionth, and in more calls.
#[track_caller]
fn assert_same(split: &Found, whole: &Found, what: &str) {
    assert!(
        split.dispatches > whole.dispatches,
        "{what}: nothing was split"
    );
    let near = |found: f32, expected: f32, scale: f32| (found - expected).abs() <= 1e-6 * scale;
    let scale = whole.loss.abs();
    assert!(
        near(split.loss, whole.loss, scale),
        "{what}: {} for {}",
        split.loss,
        whole.loss
    );
    assert_eq!(split.gradient.len(), whole.gradient.len());
    let scale = whole
        .gradient
        .iter()
        .fold(0.0_f32, |top, value| top.max(value.abs()));
    assert!(scale > 0.0, "{what}");
    for (at, (found, expected)) in split.gradient.iter().zip(&whole.gradient).enumerate() {
        assert!(
            near(*found, *expected, scale),
            "{what}: gradient {at}: {found} for {expected}"
        );
    }
}

fn task() -> TaskConfig {
    let mut task = bench::task();
    task.base.shape = ENCODER;
    task.labels.truncate(3);
    task.payload = Payload::Adapter(AdapterConfig {
        lora: Some(LoraConfig {
            rank: 2,
            alpha: 4.0,
            targets: Target::ALL.to_vec(),
        }),
        soft_prompt: Some(SoftPromptConfig {
            num_virtual_tokens: 2,
        }),
        head: true,
    });
    task
}

fn encoder_step<E: Engine>(
    engine: &mut E,
    task: &TaskConfig,
    mut take: impl FnMut(&mut E, usize, [usize; 2], WeightPrecision) -> Result<E::Tensor, EngineError>,
    precision: WeightPrecision,
) -> Result<(), EngineError> {
    let layout = AdapterLayout::new(task).unwrap();
    engine.load_adapter(&values(3, layout.len()))?;
    let mut seed = 10;
    let encoder = Encoder::build(ENCODER, |tensor| {
        let [rows, columns] = tensor.shape(&ENCODER);
        seed += 1;
        take(
            engine,
            seed,
            [rows.max(1), columns],
            tensor.precision(precision),
        )
    })?;
    let model = Model::new(encoder, AdapterViews::new(&layout, task), None);
    engine.begin(&batch(&[9, 1, 6], ENCODER.vocabulary, 2), true)?;
    let logits = model.logits(engine)?;
    engine.cross_entropy(&logits)?;
    drop(logits);
    engine.backward()
}

fn upload<E: Engine>(
    engine: &mut E,
    seed: usize,
    shape: [usize; 2],
    precision: WeightPrecision,
) -> Result<E::Tensor, EngineError> {
    engine.frozen_in(precision, &values(seed, shape[0] * shape[1]), shape)
}

#[test]
fn an_encoder_in_many_buffers_has_the_same_gradients() {
    let task = task();
    for precision in [
        WeightPrecision::F32,
        WeightPrecision::Int8,
        WeightPrecision::Int4,
    ] {
        for recomputes in [false, true] {
            let run = |limit| {
                let mut engine = engine(limit)?;
                engine.set_recomputation(recomputes);
                encoder_step(&mut engine, &task, upload, precision).unwrap();
                Some(found(&mut engine))
            };
            let (Some(whole), Some(split)) = (run(None), run(Some(LIMIT))) else {
                return;
            };
            assert_same(&split, &whole, &format!("{precision:?}, {recomputes}"));
        }
    }
}

fn decoder_step<E: DecoderEngine>(
    engine: &mut E,
    shape: DecoderShape,
    mut take: impl FnMut(&mut E, usize, [usize; 2], WeightPrecision) -> Result<E::Tensor, EngineError>,
    precision: WeightPrecision,
) -> Result<(), EngineError> {
    let lora = DecoderLoraConfig {
        rank: 2,
        alpha: 4.0,
        rank_stabilised: false,
        dropout: 0.0,
        targets: DecoderTarget::ALL.to_vec(),
    };
    let adapter = DecoderAdapter::new(&shape, &lora, 2);
    engine.load_adapter(&values(4, adapter.len))?;
    let mut seed = 50;
    let decoder = Decoder::build(shape, adapter, |tensor| {
        seed += 1;
        let precision = match tensor {
            DecoderTensor::Weight(..) => precision,
            _ => WeightPrecision::F32,
        };
        take(engine, seed, tensor.shape(&shape), precision)
    })?;
    let batch = Batch {
        labels: Vec::new(),
        ..batch(&[9, 1, 6], shape.vocabulary as u32, 2)
    };
    let labels: Vec<u32> = (0..batch.rows() as u32)
        .map(|row| row * 31 % shape.vocabulary as u32)
        .collect();
    engine.begin(&batch, true)?;
    decoder.loss(engine, &labels)?;
    engine.backward()
}

#[test]
fn a_decoder_in_many_buffers_has_the_same_gradients() {
    for tied in [true, false] {
        let shape = DecoderShape { tied, ..DECODER };
        for precision in [WeightPrecision::F32, WeightPrecision::Int4] {
            let run = |limit| {
                let mut engine = engine(limit)?;
                decoder_step(&mut engine, shape, upload, precision).unwrap();
                Some(found(&mut engine))
            };
            let (Some(whole), Some(split)) = (run(None), run(Some(LIMIT))) else {
                return;
            };
            assert_same(&split, &whole, &format!("{precision:?}, tied {tied}"));
        }
    }
}

#[test]
fn a_plan_counts_the_parts() {
    let Some(mut engine) = engine(Some(LIMIT)) else {
        return;
    };
    let task = task();
    let plan = MemoryPlan::of(&mut engine, |engine| {
        let take = |engine: &mut Wgsl, _, shape, precision| engine.placeholder(precision, shape);
        encoder_step(engine, &task, take, WeightPrecision::F32)
    });
    encoder_step(&mut engine, &task, upload, WeightPrecision::F32).unwrap();
    assert_eq!(
        plan.unwrap().unwrap().peak_bytes,
        engine.counts().peak_bytes
    );
}

#[test]
fn what_cannot_be_split_is_refused_with_both_sizes() {
    let Some(mut engine) = engine(Some(LIMIT)) else {
        return;
    };
    // A single row that is too long, and activations.
    let refused = [
        engine.frozen(&values(1, 5000), [1, 5000]).map(drop),
        engine.load_adapter(&values(1, 5000)),
    ];
    for refused in refused {
        let Err(EngineError::TooLarge { bytes, limit, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!([bytes, limit], [20_000, LIMIT]);
    }
}

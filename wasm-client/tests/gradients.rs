//! Gradients of the recorded engine against finite differences, for everything that can be trained.
#![cfg(feature = "cpu")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use choir_shared::task::{
    AdapterConfig, AdapterLayout, EncoderShape, LoraConfig, Payload, SoftPromptConfig, Target,
    TaskConfig,
};
use choir_wasm_client::adapter::AdapterViews;
use choir_wasm_client::bench;
use choir_wasm_client::engine::cpu::CpuKernels;
use choir_wasm_client::engine::record::{Recorded, Value};
use choir_wasm_client::engine::{
    Activation, AttentionMask, Batch, Engine, LinearLayer, NormLayer, Parameter, Weight,
};
use choir_wasm_client::model::tensors::EncoderTensor;
use choir_wasm_client::model::{Encoder, FrozenHead, Model};

type Cpu = Recorded<CpuKernels>;
type Tensor = Value<<CpuKernels as choir_wasm_client::engine::kernels::Kernels>::Buffer>;

const SHAPE: EncoderShape = EncoderShape {
    dim: 8,
    layers: 2,
    heads: 2,
    intermediate: 12,
    vocabulary: 20,
    positions: 16,
    norm_eps: 1e-5,
};

/// Pseudo-random values in `[-1, 1)`, the same in every run.
fn values(seed: usize, len: usize) -> Vec<f32> {
    let mix = |i: usize| ((seed * 7919 + i * 104_729 + 17) * 48_271) % 65_537;
    (0..len).map(|i| mix(i) as f32 / 32_768.5 - 1.0).collect()
}

fn tiny_task(adapter: AdapterConfig) -> TaskConfig {
    let mut task = bench::task();
    task.base.shape = SHAPE;
    task.labels = ["a", "b", "c"].map(String::from).to_vec();
    task.payload = Payload::Adapter(adapter);
    task
}

fn everything() -> AdapterConfig {
    AdapterConfig {
        lora: Some(LoraConfig {
            rank: 2,
            alpha: 4.0,
            targets: Target::ALL.to_vec(),
        }),
        soft_prompt: Some(SoftPromptConfig {
            num_virtual_tokens: 2,
        }),
        head: true,
    }
}

fn model(engine: &mut Cpu, task: &TaskConfig, frozen_head: bool) -> Model<Tensor> {
    let mut seed = 1;
    let encoder = Encoder::build(SHAPE, |tensor| {
        let mut shape = tensor.shape(&SHAPE);
        if tensor == EncoderTensor::TokenType {
            shape[0] = 2;
        }
        seed += 1;
        let mut values = values(seed, shape[0] * shape[1]);
        let is_gain = matches!(tensor, EncoderTensor::NormGain(_));
        values
            .iter_mut()
            .for_each(|v| *v = if is_gain { 1.0 + 0.3 * *v } else { 0.5 * *v });
        engine.frozen(&values, shape)
    })
    .unwrap();
    let head = frozen_head.then(|| FrozenHead {
        weight: engine.frozen(&values(90, 24), [8, 3]).unwrap(),
        bias: engine.frozen(&values(91, 3), [1, 3]).unwrap(),
        labels: 3,
    });
    let layout = AdapterLayout::new(task).unwrap();
    Model::new(encoder, AdapterViews::new(&layout, task), head)
}

fn batch(num_virtual_tokens: u32) -> Batch {
    Batch {
        tokens: vec![3, 1, 4, 1, 5, 9, 2, 6],
        token_starts: vec![0, 5, 6, 8],
        labels: vec![2, 0, 1],
        num_virtual_tokens,
        past: 0,
    }
}

fn loss(engine: &mut Cpu, model: &Model<Tensor>, flat: &[f32], training: bool) -> f32 {
    engine.load_adapter(flat).unwrap();
    engine
        .begin(&batch(model.adapter().num_virtual_tokens()), training)
        .unwrap();
    let logits = model.logits(engine).unwrap();
    engine.cross_entropy(&logits).unwrap();
    pollster::block_on(engine.read_loss()).unwrap()
}

/// Compares `gradient` with central differences of `loss` along a few directions per range.
fn assert_gradient(
    name: &str,
    gradient: &[f32],
    flat: &[f32],
    range: core::ops::Range<usize>,
    mut loss: impl FnMut(&[f32]) -> f32,
) {
    const STEP: f32 = 4e-3;
    for direction_seed in 0..3 {
        let direction = values(500 + direction_seed, range.len());
        let norm = direction.iter().map(|d| d * d).sum::<f32>().sqrt();
        let mut shifted = |sign: f32| {
            let mut flat = flat.to_vec();
            for (value, d) in flat[range.clone()].iter_mut().zip(&direction) {
                *value += sign * STEP * d / norm;
            }
            loss(&flat)
        };
        let measured = (shifted(1.0) - shifted(-1.0)) / (2.0 * STEP);
        let expected = gradient[range.clone()]
            .iter()
            .zip(&direction)
            .map(|(g, d)| g * d / norm)
            .sum::<f32>();
        let tolerance = 2e-4 + 0.02 * expected.abs();
        assert!(
            (measured - expected).abs() < tolerance,
            "{name}, direction {direction_seed}: {expected} by the engine, {measured} measured"
        );
    }
}

fn check_parts(adapter: AdapterConfig, frozen_head: bool) {
    let task = tiny_task(adapter);
    let layout = AdapterLayout::new(&task).unwrap();
    let flat: Vec<f32> = values(3, layout.len()).iter().map(|v| 0.4 * v).collect();
    let mut engine = Recorded::new(CpuKernels::new());
    let model = model(&mut engine, &task, frozen_head);
    loss(&mut engine, &model, &flat, true);
    engine.backward().unwrap();
    let gradient = pollster::block_on(engine.read_gradient()).unwrap();
    for part in layout.parts() {
        let name = format!("{:?}", part.kind);
        assert_gradient(&name, &gradient, &flat, part.range.clone(), |flat| {
            loss(&mut engine, &model, flat, false)
        });
        let largest = gradient[part.range.clone()]
            .iter()
            .fold(0.0f32, |a, b| a.max(b.abs()));
        assert!(largest > 1e-6, "{name} has no gradient");
    }
}

#[test]
fn all_parts_together_match_finite_differences() {
    check_parts(everything(), false);
}

#[test]
fn what_is_made_again_changes_no_gradient_and_takes_less_memory() {
    let task = tiny_task(everything());
    let layout = AdapterLayout::new(&task).unwrap();
    let flat: Vec<f32> = values(3, layout.len()).iter().map(|v| 0.4 * v).collect();
    let found = [false, true].map(|recomputes| {
        let mut engine = Recorded::new(CpuKernels::new());
        engine.set_recomputation(recomputes);
        let model = model(&mut engine, &task, false);
        let loss = loss(&mut engine, &model, &flat, true);
        engine.backward().unwrap();
        let gradient = pollster::block_on(engine.read_gradient()).unwrap();
        let bits: Vec<u32> = gradient.iter().map(|value| value.to_bits()).collect();
        (loss.to_bits(), bits, engine.counts())
    });
    let [kept, made_again] = found;
    assert_eq!((kept.0, kept.1), (made_again.0, made_again.1));
    assert!(made_again.2.peak_bytes < kept.2.peak_bytes);
    assert!(made_again.2.dispatches > kept.2.dispatches);
}

#[test]
fn each_part_alone_matches_finite_differences() {
    let AdapterConfig {
        lora, soft_prompt, ..
    } = everything();
    check_parts(
        AdapterConfig {
            lora,
            ..AdapterConfig::default()
        },
        true,
    );
    check_parts(
        AdapterConfig {
            soft_prompt,
            ..AdapterConfig::default()
        },
        true,
    );
    check_parts(
        AdapterConfig {
            head: true,
            ..AdapterConfig::default()
        },
        false,
    );
}

#[test]
fn each_target_alone_matches_finite_differences() {
    for target in Target::ALL {
        let lora = Some(LoraConfig {
            rank: 2,
            alpha: 4.0,
            targets: vec![target],
        });
        check_parts(
            AdapterConfig {
                lora,
                soft_prompt: None,
                head: true,
            },
            false,
        );
    }
}

#[test]
fn frozen_encoder_is_not_replayed() {
    let calls = |adapter: AdapterConfig| {
        let task = tiny_task(adapter);
        let layout = AdapterLayout::new(&task).unwrap();
        let mut engine = Recorded::new(CpuKernels::new());
        let model = model(&mut engine, &task, false);
        loss(&mut engine, &model, &vec![0.1; layout.len()], true);
        let forward = engine.counts().dispatches;
        engine.backward().unwrap();
        engine.counts().dispatches - forward
    };
    // The head's own gradient, nothing below it.
    assert_eq!(
        calls(AdapterConfig {
            head: true,
            ..AdapterConfig::default()
        }),
        1
    );
    assert!(calls(everything()) > 20);
}

#[test]
fn memory_is_the_same_in_every_step() {
    let task = tiny_task(everything());
    let layout = AdapterLayout::new(&task).unwrap();
    let mut engine = Recorded::new(CpuKernels::new());
    let model = model(&mut engine, &task, false);
    let mut peak = Vec::new();
    for _ in 0..4 {
        loss(&mut engine, &model, &vec![0.1; layout.len()], true);
        engine.backward().unwrap();
        peak.push(engine.counts().peak_bytes);
    }
    assert_eq!(peak[1], peak[3]);
}

/// A graph in which every activation has more than one use, in every order that the tape must add
/// gradients up: a norm of a tensor with itself, queries that are also keys, values and residual,
/// an activation whose input is used again later.
#[test]
fn activations_used_more_than_once_match_finite_differences() {
    let mut engine = Recorded::new(CpuKernels::new());
    let frozen = |engine: &mut Cpu, seed, shape: [usize; 2]| {
        engine
            .frozen(&values(seed, shape[0] * shape[1]), shape)
            .unwrap()
    };
    let norm = NormLayer {
        gain: frozen(&mut engine, 5, [1, 8]),
        bias: frozen(&mut engine, 6, [1, 8]),
        eps: 1e-5,
    };
    let layer = |weight| LinearLayer {
        weight,
        bias: None,
        trained_bias: None,
        lora: None,
        shape: [8, 8],
    };
    let lower = layer(Weight::Frozen(frozen(&mut engine, 7, [8, 8])));
    let upper = layer(Weight::Frozen(frozen(&mut engine, 8, [8, 8])));
    let trained = layer(Weight::Trained(Parameter {
        range: 0..64,
        shape: [8, 8],
    }));
    let tables = choir_wasm_client::engine::EmbeddingTables {
        word: frozen(&mut engine, 9, [20, 8]),
        position: frozen(&mut engine, 10, [16, 8]),
        token_type: Some(frozen(&mut engine, 11, [2, 8])),
    };
    let mut run = |flat: &[f32], training: bool| {
        engine.load_adapter(flat).unwrap();
        engine.begin(&batch(0), training).unwrap();
        let e = engine.embedding(&tables, None, 8).unwrap();
        let h = engine.linear(&e, &trained).unwrap();
        // The producer of `x` reads `h` too, so that x and h must not share a gradient.
        let x = engine.linear(&h, &lower).unwrap();
        let a = engine.norm(&x, Some(&h), &norm).unwrap();
        let b = engine
            .attention(&a, &a, &a, 2, AttentionMask::Causal)
            .unwrap();
        let c = engine.norm(&b, Some(&a), &norm).unwrap();
        let d = engine.activation(&c, Activation::Silu).unwrap();
        let f = engine.norm(&c, Some(&d), &norm).unwrap();
        let g = engine.norm(&f, Some(&f), &norm).unwrap();
        let g = engine.linear(&g, &upper).unwrap();
        let pooled = engine.mean_pool(&g).unwrap();
        engine.cross_entropy(&pooled).unwrap();
        if training {
            engine.backward().unwrap();
        }
        let gradient = pollster::block_on(engine.read_gradient()).unwrap();
        (pollster::block_on(engine.read_loss()).unwrap(), gradient)
    };
    let flat: Vec<f32> = values(12, 64).iter().map(|v| 0.7 * v).collect();
    let (_, gradient) = run(&flat, true);
    assert_gradient("trained weight", &gradient, &flat, 0..64, |flat| {
        run(flat, false).0
    });
}

#[test]
fn batches_that_do_not_fit_are_refused() {
    let task = tiny_task(everything());
    let mut engine = Recorded::new(CpuKernels::new());
    let model = model(&mut engine, &task, false);
    let refused = |engine: &mut Cpu, change: &dyn Fn(&mut Batch)| {
        let mut batch = batch(2);
        change(&mut batch);
        engine.begin(&batch, true).is_err()
            || model
                .logits(engine)
                .and_then(|logits| engine.cross_entropy(&logits))
                .is_err()
    };
    engine
        .load_adapter(&vec![0.1; AdapterLayout::new(&task).unwrap().len()])
        .unwrap();
    assert!(!refused(&mut engine, &|_| {}));
    assert!(refused(&mut engine, &|batch| batch.tokens[0] = 20));
    assert!(refused(&mut engine, &|batch| batch.labels[0] = 3));
    assert!(refused(&mut engine, &|batch| batch.token_starts[1] = 0));
    assert!(refused(&mut engine, &|batch| batch.num_virtual_tokens = 1));
    assert!(refused(&mut engine, &|batch| {
        batch.labels.pop();
    }));
    assert!(refused(&mut engine, &|batch| {
        batch.tokens = vec![1; 40];
        batch.token_starts = vec![0, 20, 30, 40];
    }));
}

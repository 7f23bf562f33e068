//! Gradients of a small decoder on the recorded engine against finite differences, for everything
//! that can be trained.
#![cfg(feature = "cpu")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use choir_shared::task::{
    BottleneckConfig, DecoderAdapterConfig, DecoderLoraConfig, VirtualTokens, VirtualTokensConfig,
};
use choir_wasm_client::engine::cpu::CpuKernels;
use choir_wasm_client::engine::decoder::NOT_SCORED;
use choir_wasm_client::engine::kernels::Kernels;
use choir_wasm_client::engine::record::{Recorded, Value};
use choir_wasm_client::engine::{Batch, Engine};
use choir_wasm_client::model::Decoder;
use choir_wasm_client::model::decoder::{
    Biases, BlockStyle, DecoderAdapter, DecoderShape, DecoderTarget, DecoderTensor,
};

type Cpu = Recorded<CpuKernels>;
type Tensor = Value<<CpuKernels as Kernels>::Buffer>;

const SHAPE: DecoderShape = DecoderShape {
    dim: 10,
    layers: 2,
    heads: 4,
    kv_heads: 2,
    head_dim: 6,
    intermediate: 14,
    vocabulary: 19,
    norm_eps: 1e-5,
    rope_base: 100.0,
    tied: false,
    ..DecoderShape::LLAMA
};

/// Pseudo-random values in `[-1, 1)`, the same in every run.
fn values(seed: usize, len: usize) -> Vec<f32> {
    let mix = |i: usize| ((seed * 7919 + i * 104_729 + 17) * 48_271) % 65_537;
    (0..len).map(|i| mix(i) as f32 / 32_768.5 - 1.0).collect()
}

/// With GPT-2's blocks.
const GPT2: DecoderShape = DecoderShape {
    style: BlockStyle::Gpt2,
    biases: Biases::ALL,
    kv_heads: SHAPE.heads,
    context: 12,
    tied: true,
    ..SHAPE
};

fn adapter(targets: &[DecoderTarget], virtual_tokens: u16) -> DecoderAdapter {
    let lora = DecoderLoraConfig {
        rank: 2,
        alpha: 4.0,
        rank_stabilised: false,
        dropout: 0.0,
        targets: targets.to_vec(),
    };
    DecoderAdapter::new(&SHAPE, &lora, virtual_tokens)
}

fn decoder(engine: &mut Cpu, shape: DecoderShape, adapter: DecoderAdapter) -> Decoder<Tensor> {
    let mut seed = 1;
    Decoder::build(shape, adapter, |tensor| {
        let size = tensor.shape(&shape);
        seed += 1;
        let is_gain = !matches!(
            tensor,
            DecoderTensor::Word
                | DecoderTensor::Position
                | DecoderTensor::Weight(..)
                | DecoderTensor::LanguageHead
        );
        let scaled = values(seed, size[0] * size[1])
            .into_iter()
            .map(|v| if is_gain { 1.0 + 0.3 * v } else { 0.5 * v });
        engine.frozen(&scaled.collect::<Vec<_>>(), size)
    })
    .unwrap()
}

/// Sequences of several lengths, one of a single token, and the labels of their rows.
fn batch(virtual_tokens: usize) -> (Batch, Vec<u32>) {
    let tokens = vec![3, 1, 4, 1, 5, 9, 2, 6];
    let token_starts = vec![0, 5, 6, 8];
    let mut labels = Vec::new();
    for ends in token_starts.windows(2) {
        labels.resize(labels.len() + virtual_tokens, NOT_SCORED);
        let tokens = &tokens[ends[0] as usize..ends[1] as usize];
        labels.extend(tokens.iter().map(|token| (token * 5 + 1) % 19));
    }
    labels[virtual_tokens + 1] = NOT_SCORED;
    let batch = Batch {
        tokens,
        token_starts,
        labels: Vec::new(),
        num_virtual_tokens: virtual_tokens as u32,
        past: 0,
    };
    (batch, labels)
}

fn loss(engine: &mut Cpu, decoder: &Decoder<Tensor>, flat: &[f32], training: bool) -> f32 {
    let (batch, labels) = batch(decoder.adapter().num_virtual_tokens() as usize);
    engine.load_adapter(flat).unwrap();
    engine.begin(&batch, training).unwrap();
    decoder.loss(engine, &labels).unwrap();
    pollster::block_on(engine.read_loss()).unwrap()
}

/// Compares the gradient with central differences of the loss along a few directions per part.
fn gradients_match_finite_differences(shape: DecoderShape, adapter: DecoderAdapter) {
    const STEP: f32 = 4e-3;
    let mut engine = Recorded::new(CpuKernels::new());
    let flat: Vec<f32> = values(3, adapter.len).iter().map(|v| 0.4 * v).collect();
    let factors = adapter.lora.values().flat_map(|lora| [&lora.a, &lora.b]);
    let bottlenecks = adapter.bottlenecks.values();
    let bottlenecks = bottlenecks.flat_map(|b| [&b.down, &b.down_bias, &b.up, &b.up_bias]);
    let encoder = adapter.prompt_encoder.iter().flat_map(|e| e.parts());
    let parts: Vec<_> = factors
        .chain(adapter.vectors.values())
        .chain(bottlenecks)
        .chain(adapter.prefixes.values().flatten())
        .chain(encoder)
        .chain(&adapter.prompt)
        .map(|part| part.range.clone())
        .collect();
    let mut decoder = decoder(&mut engine, shape, adapter);
    // Where the adapter has dropout, every pass leaves out the same.
    decoder.drop_out(Some(5));
    loss(&mut engine, &decoder, &flat, true);
    engine.backward().unwrap();
    let gradient = pollster::block_on(engine.read_gradient()).unwrap();
    for part in parts {
        assert!(gradient[part.clone()].iter().any(|g| g.abs() > 1e-6));
        for seed in 500..503 {
            let direction = values(seed, part.len());
            let norm = direction.iter().map(|d| d * d).sum::<f32>().sqrt();
            let mut shifted = |sign: f32| {
                let mut flat = flat.clone();
                for (value, d) in flat[part.clone()].iter_mut().zip(&direction) {
                    *value += sign * STEP * d / norm;
                }
                loss(&mut engine, &decoder, &flat, false)
            };
            let measured = (shifted(1.0) - shifted(-1.0)) / (2.0 * STEP);
            let pairs = gradient[part.clone()].iter().zip(&direction);
            let expected = pairs.map(|(g, d)| g * d / norm).sum::<f32>();
            assert!(
                (measured - expected).abs() < 3e-4 + 0.02 * expected.abs(),
                "{part:?}: {expected} by the engine, {measured} measured"
            );
        }
    }
}

#[test]
fn gradients_with_dropout_match_finite_differences() {
    for shape in [SHAPE, GPT2] {
        let lora = DecoderLoraConfig {
            rank: 2,
            alpha: 4.0,
            rank_stabilised: false,
            dropout: 0.3,
            targets: shape.targets().to_vec(),
        };
        gradients_match_finite_differences(shape, DecoderAdapter::new(&shape, &lora, 2));
    }
}

#[test]
fn dropout_leaves_out_others_by_another_seed_and_nothing_without_one() {
    let mut engine = Recorded::new(CpuKernels::new());
    let lora = |dropout| DecoderLoraConfig {
        rank: 2,
        alpha: 4.0,
        rank_stabilised: false,
        dropout,
        targets: DecoderTarget::ALL.to_vec(),
    };
    let views = |dropout| DecoderAdapter::new(&SHAPE, &lora(dropout), 0);
    let flat = values(3, views(0.0).len);
    let mut with = decoder(&mut engine, SHAPE, views(0.3));
    let without = decoder(&mut engine, SHAPE, views(0.0));
    let mut found = |seed| {
        with.drop_out(seed);
        loss(&mut engine, &with, &flat, true)
    };
    let [first, again, other, none] = [Some(1), Some(1), Some(2), None].map(&mut found);
    assert_eq!(first, again);
    assert!(first != other && first != none);
    assert_eq!(none, loss(&mut engine, &without, &flat, true));
}

#[test]
fn all_parts_together_match_finite_differences() {
    gradients_match_finite_differences(SHAPE, adapter(&DecoderTarget::ALL, 2));
}

#[test]
fn each_target_alone_matches_finite_differences_also_with_tied_embeddings() {
    for target in DecoderTarget::ALL {
        for tied in [false, true] {
            let shape = DecoderShape { tied, ..SHAPE };
            gradients_match_finite_differences(shape, adapter(&[target], 0));
        }
    }
}

#[test]
fn biases_and_norms_of_heads_match_finite_differences() {
    let shape = DecoderShape {
        biases: Biases::ALL,
        head_norms: true,
        ..SHAPE
    };
    gradients_match_finite_differences(shape, adapter(&DecoderTarget::ALL, 2));
}

#[test]
fn layer_norms_and_a_table_of_positions_match_finite_differences() {
    let shape = GPT2;
    let lora = DecoderLoraConfig {
        rank: 2,
        alpha: 4.0,
        rank_stabilised: false,
        dropout: 0.0,
        targets: shape.targets().to_vec(),
    };
    gradients_match_finite_differences(shape, DecoderAdapter::new(&shape, &lora, 2));
}

#[test]
fn a_prompt_alone_matches_finite_differences() {
    gradients_match_finite_differences(SHAPE, adapter(&[], 3));
}

/// Layers whose bias changes anything: that of keys that are not turned adds the same to every score
/// of a row.
fn with_effect(shape: &DecoderShape) -> Vec<DecoderTarget> {
    let mut targets = shape.targets().to_vec();
    targets.retain(|target| shape.style == BlockStyle::Llama || *target != DecoderTarget::K);
    targets
}

/// Each kind beside LoRA, with and without it, on Llama's blocks with norms of heads and on GPT-2's.
#[test]
fn every_kind_of_adapter_matches_finite_differences() {
    let llama = DecoderShape {
        head_norms: true,
        ..SHAPE
    };
    for shape in [llama, GPT2] {
        let none = DecoderAdapterConfig::default();
        let virtual_tokens = |trained| DecoderAdapterConfig {
            virtual_tokens: Some(VirtualTokensConfig {
                num_virtual_tokens: 2,
                trained,
            }),
            ..none.clone()
        };
        let kinds = [
            DecoderAdapterConfig {
                biases: with_effect(&shape),
                ..none.clone()
            },
            DecoderAdapterConfig {
                norms: true,
                ..none.clone()
            },
            DecoderAdapterConfig {
                bottleneck: Some(BottleneckConfig { width: 3 }),
                ..none.clone()
            },
            virtual_tokens(VirtualTokens::Prefix),
            virtual_tokens(VirtualTokens::PromptEncoder { width: 5 }),
        ];
        for mut config in kinds {
            let alone = DecoderAdapter::of_config(&shape, &config);
            gradients_match_finite_differences(shape, alone);
            config.lora = Some(DecoderLoraConfig {
                rank: 2,
                alpha: 4.0,
                rank_stabilised: false,
                dropout: 0.0,
                targets: vec![DecoderTarget::V, DecoderTarget::Down],
            });
            let with_lora = DecoderAdapter::of_config(&shape, &config);
            gradients_match_finite_differences(shape, with_lora);
        }
    }
}

#[test]
fn later_tokens_change_nothing_of_what_comes_before() {
    let mut engine = Recorded::new(CpuKernels::new());
    let decoder = decoder(&mut engine, SHAPE, adapter(&[], 0));
    engine.load_adapter(&[]).unwrap();
    let mut hidden = |tokens: &[u32]| {
        let batch = Batch {
            tokens: tokens.to_vec(),
            token_starts: vec![0, tokens.len() as u32],
            labels: Vec::new(),
            num_virtual_tokens: 0,
            past: 0,
        };
        engine.begin(&batch, false).unwrap();
        let hidden = decoder.hidden(&mut engine).unwrap();
        pollster::block_on(engine.read(&hidden)).unwrap()
    };
    let (short, long) = (hidden(&[3, 1, 4]), hidden(&[3, 1, 4, 15, 9]));
    for (short, long) in short.iter().zip(&long) {
        assert!((short - long).abs() < 1e-5);
    }
}

#[test]
fn memory_is_the_same_in_every_step() {
    let adapter = adapter(&DecoderTarget::ALL, 2);
    let flat = vec![0.1; adapter.len];
    let mut engine = Recorded::new(CpuKernels::new());
    let decoder = decoder(&mut engine, SHAPE, adapter);
    let mut peak = Vec::new();
    for _ in 0..4 {
        loss(&mut engine, &decoder, &flat, true);
        engine.backward().unwrap();
        peak.push(engine.counts().peak_bytes);
    }
    assert_eq!(peak[1], peak[3]);
}

#[test]
fn labels_and_prompts_that_do_not_fit_are_refused() {
    let adapter = adapter(&DecoderTarget::ALL, 2);
    let flat = vec![0.1; adapter.len];
    let mut engine = Recorded::new(CpuKernels::new());
    let decoder = decoder(&mut engine, SHAPE, adapter);
    engine.load_adapter(&flat).unwrap();
    let mut refused = |change: &dyn Fn(&mut Batch, &mut Vec<u32>)| {
        let (mut batch, mut labels) = batch(2);
        change(&mut batch, &mut labels);
        engine.begin(&batch, true).is_err() || decoder.loss(&mut engine, &labels).is_err()
    };
    assert!(!refused(&|_, _| {}));
    assert!(refused(&|batch, _| batch.tokens[0] = 19));
    assert!(refused(&|batch, _| batch.num_virtual_tokens = 1));
    assert!(refused(&|_, labels| labels[3] = 19));
    assert!(refused(&|_, labels| labels.fill(NOT_SCORED)));
    assert!(refused(&|_, labels| {
        labels.pop();
    }));
}

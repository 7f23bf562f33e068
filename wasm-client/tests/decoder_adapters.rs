//! Every kind of adapter of a decoder on both engines: it learns, it begins as the base model where it
//! should, and a text that goes on by kept keys and values has the logits of one in one piece.
#![cfg(all(feature = "cpu", feature = "wgsl"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use choir_shared::task::{
    BottleneckConfig, DecoderAdapterConfig, DecoderLoraConfig, VirtualTokens, VirtualTokensConfig,
};
use choir_wasm_client::engine::cpu::CpuKernels;
use choir_wasm_client::engine::decoder::NOT_SCORED;
use choir_wasm_client::engine::generation::GeneratingEngine;
use choir_wasm_client::engine::record::Recorded;
use choir_wasm_client::engine::wgsl::WgslKernels;
use choir_wasm_client::engine::{AdamW, Batch, Engine};
use choir_wasm_client::generate::Continuation;
use choir_wasm_client::language::dataset::Row;
use choir_wasm_client::model::decoder::{
    Biases, BlockStyle, Decoder, DecoderAdapter, DecoderShape, DecoderTarget, DecoderTensor,
};
use choir_wasm_client::train::language::LanguageTrainer;
use pollster::block_on;

const LLAMA: DecoderShape = DecoderShape {
    dim: 24,
    layers: 2,
    heads: 4,
    kv_heads: 2,
    head_dim: 8,
    intermediate: 20,
    vocabulary: 28,
    context: 32,
    ..DecoderShape::LLAMA
};
const TOKENS: [u32; 11] = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 27];
const VIRTUAL_TOKENS: u16 = 3;
const OPTIMIZER: AdamW = AdamW {
    learning_rate: 2e-2,
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weight_decay: 0.0,
};

fn shapes() -> [DecoderShape; 3] {
    let qwen = DecoderShape {
        head_norms: true,
        biases: Biases {
            projections: true,
            ..Biases::default()
        },
        tied: true,
        ..LLAMA
    };
    let gpt2 = DecoderShape {
        style: BlockStyle::Gpt2,
        biases: Biases::ALL,
        kv_heads: LLAMA.heads,
        tied: true,
        ..LLAMA
    };
    [LLAMA, qwen, gpt2]
}

/// Each kind alone, and whether it begins as the base model.
fn kinds(shape: &DecoderShape) -> Vec<(&'static str, bool, DecoderAdapterConfig)> {
    let none = DecoderAdapterConfig::default();
    let lora = DecoderLoraConfig {
        rank: 4,
        alpha: 4.0,
        rank_stabilised: true,
        dropout: 0.0,
        targets: vec![DecoderTarget::Q, DecoderTarget::Down],
    };
    vec![
        (
            "LoRA",
            true,
            DecoderAdapterConfig {
                lora: Some(lora),
                ..none.clone()
            },
        ),
        (
            "biases",
            true,
            DecoderAdapterConfig {
                biases: shape.targets().to_vec(),
                ..none.clone()
            },
        ),
        (
            "norms",
            true,
            DecoderAdapterConfig {
                norms: true,
                ..none.clone()
            },
        ),
        (
            "bottlenecks",
            true,
            DecoderAdapterConfig {
                bottleneck: Some(BottleneckConfig { width: 6 }),
                ..none.clone()
            },
        ),
        (
            "soft prompt",
            false,
            DecoderAdapterConfig {
                virtual_tokens: Some(VirtualTokensConfig {
                    num_virtual_tokens: VIRTUAL_TOKENS,
                    trained: VirtualTokens::SoftPrompt,
                }),
                ..none.clone()
            },
        ),
        (
            "prompt encoder",
            false,
            DecoderAdapterConfig {
                virtual_tokens: Some(VirtualTokensConfig {
                    num_virtual_tokens: VIRTUAL_TOKENS,
                    trained: VirtualTokens::PromptEncoder { width: 12 },
                }),
                ..none.clone()
            },
        ),
        (
            "prefix",
            false,
            DecoderAdapterConfig {
                virtual_tokens: Some(VirtualTokensConfig {
                    num_virtual_tokens: VIRTUAL_TOKENS,
                    trained: VirtualTokens::Prefix,
                }),
                ..none
            },
        ),
    ]
}

/// Pseudo-random values in `[-1, 1)`, the same in every run.
fn values(seed: usize, len: usize) -> Vec<f32> {
    let mix = |i: usize| ((seed * 7919 + i * 104_729 + 17) * 48_271) % 65_537;
    (0..len).map(|i| mix(i) as f32 / 32_768.5 - 1.0).collect()
}

fn decoder<E: GeneratingEngine>(
    engine: &mut E,
    shape: DecoderShape,
    adapter: DecoderAdapter,
) -> Decoder<E::Tensor> {
    let mut seed = 3;
    Decoder::build(shape, adapter, |tensor| {
        let size = tensor.shape(&shape);
        seed += 1;
        let middle = f32::from(matches!(tensor, DecoderTensor::NormGain(_)));
        let values: Vec<f32> = values(seed, size[0] * size[1])
            .iter()
            .map(|value| middle + 0.4 * value)
            .collect();
        engine.frozen(&values, size)
    })
    .unwrap()
}

/// Logits of the tokens' rows, all in one piece.
fn whole<E: GeneratingEngine>(engine: &mut E, decoder: &Decoder<E::Tensor>) -> Vec<f32> {
    let virtual_tokens = decoder.adapter().num_virtual_tokens();
    let batch = Batch {
        tokens: TOKENS.to_vec(),
        token_starts: vec![0, TOKENS.len() as u32],
        num_virtual_tokens: virtual_tokens,
        ..Batch::default()
    };
    engine.begin(&batch, false).unwrap();
    let hidden = decoder.hidden(engine).unwrap();
    let logits = decoder.logits(engine, &hidden).unwrap();
    let mut values = block_on(engine.read(&logits)).unwrap();
    values.split_off(virtual_tokens as usize * decoder.shape().vocabulary)
}

fn goes_on_as_in_one_piece<E: GeneratingEngine>(engine: &mut E, decoder: &Decoder<E::Tensor>) {
    let whole = whole(engine, decoder);
    let vocabulary = decoder.shape().vocabulary;
    let mut text = Continuation::new(engine, decoder, 20).unwrap();
    let mut read = 0;
    for len in [4, 1, 3, 1, 2] {
        let tokens = &TOKENS[read..read + len];
        let logits = block_on(text.read(engine, decoder, tokens)).unwrap();
        read += len;
        assert_near(&logits, &whole[(read - 1) * vocabulary..][..vocabulary]);
    }
}

fn assert_near(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let scale = expected
        .iter()
        .fold(0.1_f32, |most, value| most.max(value.abs()));
    for (found, expected) in found.iter().zip(expected) {
        let difference = (found - expected).abs();
        assert!(difference < 2e-5 * scale, "{found} for {expected}");
    }
}

fn rows() -> [Row; 2] {
    let row = |tokens: &[u32]| Row {
        tokens: tokens.to_vec(),
        labels: tokens[1..].iter().copied().chain([NOT_SCORED]).collect(),
    };
    [row(&TOKENS), row(&[7, 8, 7, 8, 7])]
}

/// Losses of a few steps, then logits of the trained adapter.
fn learns<E: GeneratingEngine>(mut engine: E, shape: DecoderShape) -> Vec<Vec<f32>> {
    let mut logits = Vec::new();
    let mut base = decoder(&mut engine, shape, DecoderAdapter::default());
    engine.load_adapter(&[]).unwrap();
    let of_base = whole(&mut engine, &base);
    for (name, begins_as_base, config) in kinds(&shape) {
        let adapter = DecoderAdapter::of_config(&shape, &config);
        let start = adapter.initial(5);
        base.attach(adapter);
        engine.load_adapter(&start).unwrap();
        if begins_as_base {
            assert_near(&whole(&mut engine, &base), &of_base);
        }
        let mut trainer = LanguageTrainer::new(engine, base, OPTIMIZER);
        let rows = rows();
        let rows: Vec<&Row> = rows.iter().collect();
        let losses: Vec<f32> = (0..12)
            .map(|_| block_on(trainer.step(&rows)).unwrap())
            .collect();
        println!("{name}: {:.3} to {:.3}", losses[0], losses[11]);
        assert!(losses[11] < losses[0] - 0.05, "{name}: {losses:?}");
        (engine, base) = trainer.into_parts();
        goes_on_as_in_one_piece(&mut engine, &base);
        logits.push(whole(&mut engine, &base));
    }
    logits
}

#[test]
fn every_kind_learns_and_goes_on_with_a_text() {
    for shape in shapes() {
        let on_cpu = learns(Recorded::new(CpuKernels::new()), shape);
        match block_on(WgslKernels::open()) {
            Ok(kernels) => {
                let on_wgsl = learns(Recorded::new(kernels), shape);
                for (cpu, wgsl) in on_cpu.iter().zip(&on_wgsl) {
                    let apart = cpu.iter().zip(wgsl).map(|(a, b)| (a - b).abs());
                    assert!(apart.fold(0.0, f32::max) < 0.05, "the engines");
                }
            }
            Err(error) => println!("skipped on wgsl: {error}"),
        }
    }
}

#[test]
fn only_lora_alone_is_all_that_a_map_of_factors_holds() {
    for (name, _, mut config) in kinds(&LLAMA) {
        let alone = DecoderAdapter::of_config(&LLAMA, &config).is_lora_alone();
        assert_eq!(alone, name == "LoRA");
        config.norms = true;
        assert!(!DecoderAdapter::of_config(&LLAMA, &config).is_lora_alone());
    }
}

/// Dispatches of a training step.
fn dispatches(shape: DecoderShape, config: &DecoderAdapterConfig) -> Option<u32> {
    let mut engine = Recorded::new(block_on(WgslKernels::open()).ok()?);
    let adapter = DecoderAdapter::of_config(&shape, config);
    engine.load_adapter(&adapter.initial(5)).unwrap();
    let decoder = decoder(&mut engine, shape, adapter);
    let mut trainer = LanguageTrainer::new(engine, decoder, OPTIMIZER);
    let rows = rows();
    let rows: Vec<&Row> = rows.iter().collect();
    block_on(trainer.step(&rows)).unwrap();
    Some(trainer.engine().counts().dispatches)
}

#[test]
fn a_block_takes_as_many_dispatches_as_written_here() {
    let expected = [
        ("LoRA", 31),
        ("biases", 39),
        ("norms", 31),
        ("bottlenecks", 35),
        ("soft prompt", 25),
        ("prompt encoder", 25),
        ("prefix", 31),
    ];
    let [less, more] = [3, 4].map(|layers| DecoderShape { layers, ..LLAMA });
    let mut found = Vec::new();
    for (name, _, config) in kinds(&LLAMA) {
        match (dispatches(less, &config), dispatches(more, &config)) {
            (Some(less), Some(more)) => found.push((name, more - less)),
            _ => return println!("skipped: no device"),
        }
    }
    assert_eq!(found, expected);
}

//! Rows that go on with a sequence against the same rows in one piece, on both engines.
#![cfg(all(feature = "cpu", feature = "wgsl"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use choir_shared::task::DecoderLoraConfig;
use choir_wasm_client::engine::cpu::CpuKernels;
use choir_wasm_client::engine::decoder::RotaryScaling;
use choir_wasm_client::engine::generation::GeneratingEngine;
use choir_wasm_client::engine::record::Recorded;
use choir_wasm_client::engine::wgsl::WgslKernels;
use choir_wasm_client::engine::{Batch, EngineError};
use choir_wasm_client::model::decoder::{
    Biases, BlockStyle, Decoder, DecoderAdapter, DecoderShape, DecoderTensor,
};

const LLAMA: DecoderShape = DecoderShape {
    dim: 24,
    layers: 2,
    heads: 4,
    kv_heads: 2,
    head_dim: 8,
    intermediate: 20,
    vocabulary: 28,
    context: 16,
    rope_scaling: RotaryScaling::Linear { factor: 2.0 },
    ..DecoderShape::LLAMA
};

const TOKENS: [u32; 11] = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 27];

/// Pseudo-random values in `[-1, 1)`, the same in every run.
fn values(seed: usize, len: usize) -> Vec<f32> {
    let mix = |i: usize| ((seed * 7919 + i * 104_729 + 17) * 48_271) % 65_537;
    (0..len).map(|i| mix(i) as f32 / 32_768.5 - 1.0).collect()
}

fn decoder<E: GeneratingEngine>(engine: &mut E, shape: DecoderShape) -> Decoder<E::Tensor> {
    let lora = DecoderLoraConfig {
        rank: 4,
        alpha: 4.0,
        rank_stabilised: false,
        dropout: 0.0,
        targets: shape.targets().to_vec(),
    };
    let adapter = DecoderAdapter::new(&shape, &lora, 0);
    engine.load_adapter(&values(2, adapter.len)).unwrap();
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

fn rows(tokens: &[u32], past: usize) -> Batch {
    Batch {
        tokens: tokens.to_vec(),
        token_starts: vec![0, tokens.len() as u32],
        past: past as u32,
        ..Batch::default()
    }
}

fn logits_of_all_rows_agree<E: GeneratingEngine>(engine: &mut E, shape: DecoderShape) -> Vec<f32> {
    let decoder = decoder(engine, shape);
    engine.begin(&rows(&TOKENS, 0), false).unwrap();
    let hidden = decoder.hidden(engine).unwrap();
    let logits = decoder.logits(engine, &hidden).unwrap();
    let whole = pollster::block_on(engine.read(&logits)).unwrap();

    let columns = shape.kv_heads * shape.head_dim;
    let caches: Vec<_> = (0..shape.layers)
        .map(|_| engine.attention_cache(TOKENS.len(), columns).unwrap())
        .collect();
    let mut pieces = Vec::new();
    let mut past = 0;
    for len in [4, 1, 1, 3, 2] {
        engine
            .begin(&rows(&TOKENS[past..past + len], past), false)
            .unwrap();
        let hidden = decoder.continued(engine, &caches, past == 0).unwrap();
        let logits = decoder.logits(engine, &hidden).unwrap();
        pieces.extend(pollster::block_on(engine.read(&logits)).unwrap());
        past += len;
    }
    assert_near(&pieces, &whole, "rows one after the other");

    engine.begin(&rows(&TOKENS[..1], past), false).unwrap();
    let refused = decoder.continued(engine, &caches, false).map(|_| ());
    assert!(
        matches!(
            refused,
            Err(EngineError::OutOfRange {
                value: 11,
                limit: 11,
                ..
            })
        ),
        "a full cache takes no more rows: {refused:?}"
    );
    whole
}

fn assert_near(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len());
    let scale = expected
        .iter()
        .fold(0.0_f32, |most, value| most.max(value.abs()));
    assert!(scale > 0.1, "{what}: nothing to compare");
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = (found - expected).abs();
        assert!(
            difference < 2e-5 * scale,
            "{what}, {place}: {found} for {expected}"
        );
    }
}

fn on_both_engines(shape: DecoderShape) {
    let cpu = logits_of_all_rows_agree(&mut Recorded::new(CpuKernels::new()), shape);
    match pollster::block_on(WgslKernels::open()) {
        Ok(kernels) => {
            let wgsl = logits_of_all_rows_agree(&mut Recorded::new(kernels), shape);
            assert_near(&wgsl, &cpu, "the engines");
        }
        Err(error) => println!("skipped on wgsl: {error}"),
    }
}

#[test]
fn llama_goes_on_as_in_one_piece() {
    on_both_engines(LLAMA);
}

#[test]
fn qwen_goes_on_as_in_one_piece() {
    on_both_engines(DecoderShape {
        head_norms: true,
        biases: Biases {
            projections: true,
            ..Biases::default()
        },
        tied: true,
        ..LLAMA
    });
}

#[test]
fn gpt2_goes_on_as_in_one_piece() {
    on_both_engines(DecoderShape {
        style: BlockStyle::Gpt2,
        biases: Biases::ALL,
        heads: 3,
        kv_heads: 3,
        tied: true,
        ..LLAMA
    });
}

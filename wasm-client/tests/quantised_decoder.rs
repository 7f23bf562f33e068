//! Decoders whose matrices are all kept in eight or four bits, word table and head included, against
//! the same dequantised values in f32: loss, gradients, and the logits of a text under way.
#![cfg(all(feature = "cpu", feature = "wgsl"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use choir_shared::task::DecoderLoraConfig;
use choir_wasm_client::engine::Batch;
use choir_wasm_client::engine::cpu::CpuKernels;
use choir_wasm_client::engine::decoder::NOT_SCORED;
use choir_wasm_client::engine::generation::GeneratingEngine;
use choir_wasm_client::engine::quantised::{QuantisedMatrix, WeightPrecision};
use choir_wasm_client::engine::record::Recorded;
use choir_wasm_client::engine::wgsl::WgslKernels;
use choir_wasm_client::generate::Continuation;
use choir_wasm_client::model::decoder::{Decoder, DecoderAdapter, DecoderShape, DecoderTensor};

const SHAPE: DecoderShape = DecoderShape {
    dim: 64,
    layers: 2,
    heads: 4,
    kv_heads: 2,
    head_dim: 16,
    intermediate: 96,
    vocabulary: 97,
    ..DecoderShape::LLAMA
};

/// Pseudo-random values in `[-1, 1)`, the same in every run.
fn values(seed: usize, len: usize) -> Vec<f32> {
    let mix = |i: usize| ((seed * 7919 + i * 104_729 + 17) * 48_271) % 65_537;
    (0..len).map(|i| mix(i) as f32 / 32_768.5 - 1.0).collect()
}

/// Loss, gradient, and logits of the first sequence's next token.
fn results<E: GeneratingEngine>(
    engine: &mut E,
    shape: DecoderShape,
    precision: WeightPrecision,
    dequantised: bool,
) -> [Vec<f32>; 3] {
    let lora = DecoderLoraConfig {
        rank: 4,
        alpha: 4.0,
        rank_stabilised: true,
        dropout: 0.0,
        targets: shape.targets().to_vec(),
    };
    let adapter = DecoderAdapter::new(&shape, &lora, 2);
    engine.load_adapter(&values(2, adapter.len)).unwrap();
    let mut seed = 3;
    let decoder = Decoder::build(shape, adapter, |tensor| {
        let size = tensor.shape(&shape);
        seed += 1;
        let middle = f32::from(matches!(tensor, DecoderTensor::NormGain(_)));
        let values = values(seed, size[0] * size[1]);
        let values: Vec<f32> = values.iter().map(|v| middle + 0.3 * v).collect();
        match tensor
            .precision(precision)
            .integers()
            .filter(|_| dequantised)
        {
            None => engine.frozen_in(tensor.precision(precision), &values, size),
            Some(integers) => {
                let matrix = QuantisedMatrix::new(&values, size, integers)?;
                engine.frozen(&matrix.dequantised(), size)
            }
        }
    })
    .unwrap();
    let tokens = vec![3, 1, 4, 1, 5, 9, 2, 96, 5];
    let batch = Batch {
        token_starts: vec![0, 6, 9],
        num_virtual_tokens: 2,
        tokens: tokens.clone(),
        ..Batch::default()
    };
    let labels: Vec<u32> = (0..batch.rows() as u32)
        .map(|row| {
            if row % 4 == 0 {
                NOT_SCORED
            } else {
                row * 11 % 97
            }
        })
        .collect();
    engine.begin(&batch, true).unwrap();
    decoder.loss(engine, &labels).unwrap();
    engine.backward().unwrap();
    let loss = vec![pollster::block_on(engine.read_loss()).unwrap()];
    let gradient = pollster::block_on(engine.read_gradient()).unwrap();
    let mut text = Continuation::new(engine, &decoder, 8).unwrap();
    let logits = pollster::block_on(text.read(engine, &decoder, &tokens[..6])).unwrap();
    [loss, gradient, logits]
}

fn assert_near(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected
        .iter()
        .fold(0.0_f32, |most, value| most.max(value.abs()));
    assert!(scale > 1e-3, "{what}: nothing to compare");
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = (found - expected).abs();
        assert!(
            difference < 1e-4 * scale,
            "{what}, {place}: {found} for {expected}"
        );
    }
}

fn is_as_dequantised<E: GeneratingEngine>(engine: &mut E) {
    for tied in [false, true] {
        let shape = DecoderShape { tied, ..SHAPE };
        for precision in [WeightPrecision::Int8, WeightPrecision::Int4] {
            let found = results(engine, shape, precision, false);
            let expected = results(engine, shape, precision, true);
            let parts = ["loss", "gradient", "logits"];
            for (part, (found, expected)) in parts.iter().zip(found.iter().zip(&expected)) {
                assert_near(
                    found,
                    expected,
                    &format!("{part}, {precision:?}, tied {tied}"),
                );
            }
        }
    }
}

#[test]
fn quantised_decoders_are_as_their_dequantised_values() {
    is_as_dequantised(&mut Recorded::new(CpuKernels::new()));
    match pollster::block_on(WgslKernels::open()) {
        Ok(kernels) => is_as_dequantised(&mut Recorded::new(kernels)),
        Err(error) => println!("skipped on engine wgsl: {error}"),
    }
}

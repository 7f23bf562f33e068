//! The encoder's outputs on the real weights against candle-transformers' `BertModel`, which pads
//! where ours packs.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config, HiddenAct, PositionEmbeddingType};
use choir_wasm_client::bench::SHAPE;
use choir_wasm_client::engine::burn::BurnEngine;
use choir_wasm_client::engine::cpu::CpuKernels;
use choir_wasm_client::engine::quantised::WeightPrecision;
use choir_wasm_client::engine::record::Recorded;
use choir_wasm_client::engine::wgsl::WgslKernels;
use choir_wasm_client::engine::{Batch, Engine};
use pollster::block_on;

use crate::case::{Random, encoder, real_weights};
use crate::compare::Worst;

/// Sequences by length, and what candle pads them to.
const BATCHES: [(&[usize], usize); 4] = [
    (&[12], 12),
    (&[2, 31, 17], 31),
    (&[9, 9, 9, 9], 24),
    (&[128, 3], 160),
];

/// Hidden states of all real rows and the mean of each sequence's.
struct Outputs {
    hidden: Vec<f32>,
    pooled: Vec<f32>,
}

fn batch(lengths: &[usize], random: &mut Random) -> Batch {
    let mut token_starts = vec![0];
    let mut end = 0;
    for length in lengths {
        end += *length as u32;
        token_starts.push(end);
    }
    let tokens = (0..end).map(|_| random.next() % SHAPE.vocabulary).collect();
    Batch {
        tokens,
        token_starts,
        labels: Vec::new(),
        num_virtual_tokens: 0,
        past: 0,
    }
}

fn by_candle(model: &BertModel, batch: &Batch, length: usize) -> candle_core::Result<Outputs> {
    let sequences = || {
        batch
            .token_starts
            .windows(2)
            .map(|p| p[0] as usize..p[1] as usize)
    };
    let shape = (batch.len(), length);
    let (mut ids, mut mask) = (Vec::new(), Vec::new());
    for sequence in sequences() {
        let padding = length - sequence.len();
        mask.extend(vec![1_u32; sequence.len()]);
        mask.extend(vec![0; padding]);
        ids.extend_from_slice(&batch.tokens[sequence]);
        ids.extend(vec![0; padding]);
    }
    let ids = Tensor::from_vec(ids, shape, &Device::Cpu)?;
    let mask = Tensor::from_vec(mask, shape, &Device::Cpu)?;
    let rows = model.forward(&ids, &ids.zeros_like()?, Some(&mask))?;

    let mut outputs = Outputs {
        hidden: Vec::new(),
        pooled: Vec::new(),
    };
    for (at, sequence) in sequences().enumerate() {
        let real = rows.get(at)?.narrow(0, 0, sequence.len())?;
        outputs.pooled.extend(real.mean(0)?.to_vec1::<f32>()?);
        outputs.hidden.extend(real.flatten_all()?.to_vec1::<f32>()?);
    }
    Ok(outputs)
}

fn agrees<E: Engine>(mut engine: E, weights: &[u8], expected: &[(Batch, Outputs)]) {
    let encoder = encoder(&mut engine, SHAPE, WeightPrecision::F32, weights);
    let mut worst = Worst::default();
    for (at, (batch, expected)) in expected.iter().enumerate() {
        engine.begin(batch, false).expect("begin");
        let hidden = encoder.hidden(&mut engine, None).expect("hidden");
        let pooled = engine.mean_pool(&hidden).expect("pooled");
        let (hidden, pooled) = (
            block_on(engine.read(&hidden)),
            block_on(engine.read(&pooled)),
        );
        let (hidden, pooled) = (hidden.expect("hidden"), pooled.expect("pooled"));
        let dim = SHAPE.dim as usize;
        worst.check(&format!("batch {at}, hidden"), &hidden, &expected.hidden);
        let rows = hidden
            .chunks_exact(dim)
            .zip(expected.hidden.chunks_exact(dim));
        for (row, (hidden, expected)) in rows.enumerate() {
            worst.check(&format!("batch {at}, hidden row {row}"), hidden, expected);
        }
        let rows = pooled
            .chunks_exact(dim)
            .zip(expected.pooled.chunks_exact(dim));
        for (row, (pooled, expected)) in rows.enumerate() {
            worst.check(&format!("batch {at}, pooled {row}"), pooled, expected);
        }
    }
    worst.print(&format!(
        "encoder on {} against candle",
        engine.device().adapter
    ));
}

#[test]
fn encoder_outputs_are_those_of_candle() {
    let Some(weights) = real_weights() else {
        return;
    };
    let builder = VarBuilder::from_slice_safetensors(&weights, DType::F32, &Device::Cpu);
    let model = BertModel::load(builder.expect("weights"), &config()).expect("candle's model");

    let mut random = Random(3);
    let expected = BATCHES.map(|(lengths, padded)| {
        let batch = batch(lengths, &mut random);
        let outputs = by_candle(&model, &batch, padded).expect("candle's outputs");
        (batch, outputs)
    });
    agrees(BurnEngine::flex(), &weights, &expected);
    agrees(Recorded::new(CpuKernels::new()), &weights, &expected);
    match block_on(WgslKernels::open()) {
        Ok(kernels) => agrees(Recorded::new(kernels), &weights, &expected),
        Err(error) => println!("skipped: encoder by WGSL kernels: {error}"),
    }
}

fn config() -> Config {
    Config {
        vocab_size: SHAPE.vocabulary as usize,
        hidden_size: SHAPE.dim as usize,
        num_hidden_layers: SHAPE.layers as usize,
        num_attention_heads: SHAPE.heads as usize,
        intermediate_size: SHAPE.intermediate as usize,
        hidden_act: HiddenAct::Gelu,
        hidden_dropout_prob: 0.0,
        max_position_embeddings: SHAPE.positions as usize,
        type_vocab_size: 2,
        initializer_range: 0.02,
        layer_norm_eps: f64::from(SHAPE.norm_eps),
        pad_token_id: 0,
        position_embedding_type: PositionEmbeddingType::Absolute,
        use_cache: false,
        classifier_dropout: None,
        model_type: None,
    }
}

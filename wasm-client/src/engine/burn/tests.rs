//! The engine against finite differences and against its own definitions.

use pollster::block_on;

use super::super::LoraFactors;
use super::*;
use crate::engine::Weight;

const DIM: usize = 8;
const RANK: usize = 2;
const CLASSES: usize = 3;
const VOCABULARY: usize = 11;
const VIRTUAL: u32 = 2;
const A: core::ops::Range<usize> = 0..DIM * RANK;
const B: core::ops::Range<usize> = A.end..A.end + RANK * DIM;
const PROMPT: core::ops::Range<usize> = B.end..B.end + VIRTUAL as usize * DIM;
const HEAD: core::ops::Range<usize> = PROMPT.end..PROMPT.end + DIM * CLASSES;
const BIAS: core::ops::Range<usize> = HEAD.end..HEAD.end + CLASSES;

/// Uniform in ±bound, from a linear congruence.
fn random(seed: u32, count: usize, bound: f32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / 8_388_608.0 - 1.0) * bound
    };
    (0..count).map(|_| next()).collect()
}

fn batch(lengths: &[usize], num_virtual_tokens: u32) -> Batch {
    let mut token_starts = vec![0];
    for length in lengths {
        token_starts.push(token_starts[token_starts.len() - 1] + *length as u32);
    }
    let rows = lengths.iter().sum::<usize>() as u32;
    Batch {
        tokens: (0..rows).map(|i| (i * 7 + 3) % VOCABULARY as u32).collect(),
        token_starts,
        labels: (0..lengths.len() as u32)
            .map(|i| i % CLASSES as u32)
            .collect(),
        num_virtual_tokens,
        past: 0,
    }
}

fn parameter(range: &core::ops::Range<usize>, columns: usize) -> Parameter {
    Parameter {
        range: range.clone(),
        shape: [range.len() / columns, columns],
    }
}

/// One post-norm block with every kind of trained part; returns the logits.
fn block(engine: &mut BurnEngine, activation: Activation, mask: AttentionMask) -> Tensor<2> {
    let mut seed = 0;
    let mut frozen = |engine: &mut BurnEngine, rows: usize, columns: usize| {
        seed += 1;
        engine
            .frozen(&random(seed, rows * columns, 0.6), [rows, columns])
            .unwrap()
    };
    let tables = EmbeddingTables {
        word: frozen(engine, VOCABULARY, DIM),
        position: frozen(engine, 16, DIM),
        token_type: Some(frozen(engine, 2, DIM)),
    };
    let norm = NormLayer {
        gain: frozen(engine, 1, DIM),
        bias: frozen(engine, 1, DIM),
        eps: 1e-6,
    };
    let mut layers = Vec::new();
    for at in 0..4 {
        let factors = || LoraFactors {
            a: parameter(&A, RANK),
            b: parameter(&B, DIM),
            scale: 1.5,
        };
        layers.push(LinearLayer {
            weight: Weight::Frozen(frozen(engine, DIM, DIM)),
            bias: Some(Weight::Frozen(frozen(engine, 1, DIM))),
            trained_bias: None,
            lora: (at == 0).then(factors),
            shape: [DIM, DIM],
        });
    }
    let head = LinearLayer {
        weight: Weight::Trained(parameter(&HEAD, CLASSES)),
        bias: Some(Weight::Trained(parameter(&BIAS, CLASSES))),
        trained_bias: None,
        lora: None,
        shape: [DIM, CLASSES],
    };

    let has_prompt = engine
        .step
        .as_ref()
        .is_some_and(|s| s.batch.num_virtual_tokens > 0);
    let prompt = has_prompt.then(|| parameter(&PROMPT, DIM));
    let x = engine.embedding(&tables, prompt.as_ref(), DIM).unwrap();
    let q = engine.linear(&x, &layers[0]).unwrap();
    let k = engine.linear(&x, &layers[1]).unwrap();
    let v = engine.linear(&x, &layers[2]).unwrap();
    let attended = engine.attention(&q, &k, &v, 2, mask).unwrap();
    let x = engine.norm(&attended, Some(&x), &norm).unwrap();
    let y = engine.linear(&x, &layers[3]).unwrap();
    let y = engine.activation(&y, activation).unwrap();
    let x = engine.norm(&y, Some(&x), &norm).unwrap();
    let pooled = engine.mean_pool(&x).unwrap();
    engine.linear(&pooled, &head).unwrap()
}

fn loss(engine: &mut BurnEngine, kind: (Activation, AttentionMask), adapter: &[f32]) -> f32 {
    engine.load_adapter(adapter).unwrap();
    engine.begin(&batch(&[3, 5, 1], VIRTUAL), true).unwrap();
    let logits = block(engine, kind.0, kind.1);
    engine.cross_entropy(&logits).unwrap();
    block_on(engine.read_loss()).unwrap()
}

fn gradients_match_finite_differences(mut engine: BurnEngine) {
    let adapter = random(99, BIAS.end, 0.5);
    let kinds = [
        (Activation::Gelu, AttentionMask::Bidirectional),
        (Activation::Silu, AttentionMask::Causal),
    ];
    for kind in kinds {
        loss(&mut engine, kind, &adapter);
        engine.backward().unwrap();
        let gradient = block_on(engine.read_gradient()).unwrap();
        assert_eq!(gradient.len(), adapter.len());
        for part in [A, B, PROMPT, HEAD, BIAS] {
            let norm = gradient[part.clone()]
                .iter()
                .map(|g| g * g)
                .sum::<f32>()
                .sqrt();
            assert!(norm > 0.0);
            let mut moved = |step: f32| {
                let mut point = adapter.clone();
                for at in part.clone() {
                    point[at] += step * gradient[at] / norm;
                }
                loss(&mut engine, kind, &point)
            };
            let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!(
                (slope - norm).abs() < 0.01 * norm,
                "{part:?}: {slope} against {norm}"
            );
        }
    }
}

#[test]
fn the_optimizer_goes_on_from_a_state_that_was_read() {
    let optimizer = AdamW {
        learning_rate: 1e-2,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.1,
    };
    let kind = (Activation::Gelu, AttentionMask::Bidirectional);
    let start = random(99, BIAS.end, 0.5);
    let mut engine = BurnEngine::flex();
    loss(&mut engine, kind, &start);
    engine.backward().unwrap();
    engine.optimizer_step(&optimizer).unwrap();
    let middle = block_on(engine.read_adapter()).unwrap();
    let state = block_on(engine.read_optimizer()).unwrap();
    assert_eq!(state.steps, 1);
    engine.optimizer_step(&optimizer).unwrap();
    let expected = block_on(engine.read_adapter()).unwrap();

    let mut other = BurnEngine::flex();
    loss(&mut other, kind, &start);
    other.backward().unwrap();
    other.load_adapter(&middle).unwrap();
    other.load_optimizer(&state).unwrap();
    other.optimizer_step(&optimizer).unwrap();
    assert_eq!(block_on(other.read_adapter()).unwrap(), expected);
    assert!(other.load_optimizer(&OptimizerState::default()).is_err());
}

#[test]
fn gradients_match_finite_differences_on_flex() {
    gradients_match_finite_differences(BurnEngine::flex());
}

#[cfg(feature = "burn-wgpu")]
#[test]
fn a_step_on_burn_wgpu_is_that_on_flex() {
    let gpu = match block_on(BurnEngine::webgpu()) {
        Ok(engine) => engine,
        Err(error) => return println!("skipped: {error}"),
    };
    let optimizer = AdamW {
        learning_rate: 1e-2,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-3,
        weight_decay: 0.1,
    };
    let kind = (Activation::Gelu, AttentionMask::Bidirectional);
    let step = |mut engine: BurnEngine| {
        let loss = loss(&mut engine, kind, &random(99, BIAS.end, 0.5));
        engine.backward().unwrap();
        engine.optimizer_step(&optimizer).unwrap();
        let gradient = block_on(engine.read_gradient()).unwrap();
        [
            vec![loss],
            gradient,
            block_on(engine.read_adapter()).unwrap(),
        ]
    };
    for (found, expected) in step(gpu).iter().zip(step(BurnEngine::flex())) {
        let pairs = found.iter().zip(&expected);
        let distance = pairs.map(|(f, e)| (f - e) * (f - e)).sum::<f32>().sqrt();
        let norm = expected.iter().map(|e| e * e).sum::<f32>().sqrt();
        println!("relative error {:.1e}", distance / norm);
        assert!(distance <= 1e-4 * norm);
    }
}

#[cfg(feature = "burn-wgpu")]
#[test]
fn gradients_match_finite_differences_on_burn_wgpu() {
    match block_on(BurnEngine::webgpu()) {
        Ok(engine) => {
            println!("on {:?}", engine.device());
            gradients_match_finite_differences(engine);
        }
        Err(error) => println!("skipped: {error}"),
    }
}

#[test]
fn packed_sequences_do_not_see_each_other() {
    let adapter = random(99, BIAS.end, 0.5);
    let mut engine = BurnEngine::flex();
    engine.load_adapter(&adapter).unwrap();
    let whole = batch(&[3, 5, 1], VIRTUAL);
    engine.begin(&whole, false).unwrap();
    let kind = (Activation::Gelu, AttentionMask::Bidirectional);
    let logits = block(&mut engine, kind.0, kind.1);
    let together = block_on(engine.read(&logits)).unwrap();
    for (at, pair) in whole.token_starts.windows(2).enumerate() {
        let tokens = whole.tokens[pair[0] as usize..pair[1] as usize].to_vec();
        let alone = Batch {
            token_starts: vec![0, tokens.len() as u32],
            tokens,
            labels: vec![],
            num_virtual_tokens: VIRTUAL,
            past: 0,
        };
        engine.begin(&alone, false).unwrap();
        let logits = block(&mut engine, kind.0, kind.1);
        let alone = block_on(engine.read(&logits)).unwrap();
        for (a, b) in alone.iter().zip(&together[at * CLASSES..]) {
            assert!((a - b).abs() < 1e-5, "{a} against {b}");
        }
    }
}

#[test]
fn a_frozen_path_is_not_tracked() {
    let mut engine = BurnEngine::flex();
    engine.load_adapter(&random(99, BIAS.end, 0.5)).unwrap();
    engine.begin(&batch(&[4, 2], 0), true).unwrap();
    let table = engine
        .frozen(&random(1, VOCABULARY * DIM, 1.0), [VOCABULARY, DIM])
        .unwrap();
    let tables = EmbeddingTables {
        word: table.clone(),
        position: table.clone(),
        token_type: Some(table),
    };
    let x = engine.embedding(&tables, None, DIM).unwrap();
    assert!(!x.is_tracked());
    engine.begin(&batch(&[4, 2], 0), false).unwrap();
    let logits = block(&mut engine, Activation::Gelu, AttentionMask::Bidirectional);
    assert!(!logits.is_tracked());
}

#[test]
fn unused_parts_have_a_zero_gradient() {
    let mut engine = BurnEngine::flex();
    engine.load_adapter(&random(99, BIAS.end + 5, 0.5)).unwrap();
    engine.begin(&batch(&[4, 2], 0), true).unwrap();
    let logits = block(&mut engine, Activation::Gelu, AttentionMask::Bidirectional);
    engine.cross_entropy(&logits).unwrap();
    engine.backward().unwrap();
    let gradient = block_on(engine.read_gradient()).unwrap();
    assert_eq!(gradient.len(), BIAS.end + 5);
    assert!(
        gradient[PROMPT]
            .iter()
            .chain(&gradient[BIAS.end..])
            .all(|&g| g == 0.0)
    );
    assert!(gradient[HEAD].iter().any(|&g| g != 0.0));
}

#[test]
fn optimizer_follows_adamw() {
    let optimizer = AdamW {
        learning_rate: 1e-2,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.1,
    };
    let device = Device::flex();
    let mut adapter = Adapter::new(&[0.5, -2.0], &device);
    let mut expected = [(0.5_f64, 0.0_f64, 0.0_f64), (-2.0, 0.0, 0.0)];
    for step in 1..=3 {
        let gradient = [0.3 * step as f32, -1e-3];
        adapter.update(Tensor::from_floats(gradient, &device), &optimizer);
        for ((p, m, v), g) in expected.iter_mut().zip(gradient.map(f64::from)) {
            *p -= 1e-2 * 0.1 * *p;
            *m = 0.9 * *m + 0.1 * g;
            *v = 0.999 * *v + 0.001 * g * g;
            let unbiased = (
                *m / (1.0 - 0.9_f64.powi(step)),
                *v / (1.0 - 0.999_f64.powi(step)),
            );
            *p -= 1e-2 * unbiased.0 / (unbiased.1.sqrt() + 1e-8);
        }
    }
    let found = block_on(values(adapter.flat)).unwrap();
    for (found, (expected, ..)) in found.iter().zip(expected) {
        assert!(
            (f64::from(*found) - expected).abs() < 1e-6,
            "{found} against {expected}"
        );
    }
}

#[test]
fn ids_outside_the_tables_are_refused() {
    let mut engine = BurnEngine::flex();
    let table = engine.frozen(&random(1, 4 * DIM, 1.0), [4, DIM]).unwrap();
    let tables = EmbeddingTables {
        word: table.clone(),
        position: table.clone(),
        token_type: Some(table),
    };
    engine.begin(&batch(&[4], 0), true).unwrap();
    let refused = engine.embedding(&tables, None, DIM);
    assert!(matches!(
        refused,
        Err(EngineError::OutOfRange { what: "token", .. })
    ));
    let empty_sequence = engine.begin(&batch(&[2, 0], 0), true);
    assert!(matches!(empty_sequence, Err(EngineError::Shape { .. })));
}

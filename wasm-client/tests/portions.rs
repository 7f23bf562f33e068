//! A step whose batch is computed in portions is the step of the whole batch: for an encoder of no
//! power of two, sequences of mixed lengths, one example a batch, and more portions than examples.
#![cfg(feature = "cpu")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use choir_shared::task::{AdapterLayout, EncoderShape, Payload, SoftPromptConfig, TaskConfig};
use choir_wasm_client::bench;
use choir_wasm_client::engine::Engine;
use choir_wasm_client::engine::cpu::CpuKernels;
use choir_wasm_client::engine::record::Recorded;
use choir_wasm_client::model::Encoder;
use choir_wasm_client::train::batch::Examples;
use choir_wasm_client::train::step::LossAndGradient;
use choir_wasm_client::train::{TrainError, Trainer};
use pollster::block_on;

type CpuTrainer = Trainer<Recorded<CpuKernels>>;

const SHAPE: EncoderShape = EncoderShape {
    dim: 36,
    layers: 2,
    heads: 3,
    intermediate: 52,
    vocabulary: 61,
    positions: 40,
    norm_eps: 1e-5,
};

fn task(batch_size: u16) -> TaskConfig {
    let mut task = bench::task();
    task.base.shape = SHAPE;
    task.labels = ["a", "b", "c"].map(String::from).to_vec();
    task.training.batch_size = batch_size;
    if let Payload::Adapter(adapter) = &mut task.payload {
        adapter.soft_prompt = Some(SoftPromptConfig {
            num_virtual_tokens: 3,
        });
    }
    task
}

/// Values of both signs without a pattern.
fn values(len: usize, salt: u32) -> Vec<f32> {
    let value = |at: u32| (at.wrapping_mul(2_654_435_761) >> 8) as f32 / 16_777_216.0 - 0.5;
    (0..len as u32).map(|at| value(at + salt)).collect()
}

fn examples() -> Examples {
    let sequences: Vec<Vec<u32>> = (0..23u32)
        .map(|i| {
            (0..2 + i * 7 % 19)
                .map(|j| (i * 31 + j * 17) % 61)
                .collect()
        })
        .collect();
    let labels = (0..23).map(|i| i % 3).collect();
    Examples::pack(sequences.iter().map(Vec::as_slice), labels).unwrap()
}

fn trainer(batch_size: u16) -> CpuTrainer {
    let mut engine = Recorded::new(CpuKernels::new());
    let mut salt = 0;
    let encoder = Encoder::build(SHAPE, |tensor| {
        let [rows, columns] = tensor.shape(&SHAPE);
        // A file may have any number of some.
        let rows = if rows == 0 { 40 } else { rows };
        salt += 1000;
        engine.frozen(&values(rows * columns, salt), [rows, columns])
    });
    let task = task(batch_size);
    let len = AdapterLayout::new(&task).unwrap().len();
    let mut trainer = Trainer::with_encoder(engine, task, encoder.unwrap()).unwrap();
    trainer.set_adapter(&values(len, 7)).unwrap();
    trainer.set_examples(examples(), 11);
    trainer
}

/// The sum over a batch's portions of what `of` says of each, times its weight.
fn summed(
    trainer: &mut CpuTrainer,
    most: usize,
    mut of: impl FnMut(&mut CpuTrainer, &Examples) -> LossAndGradient,
) -> (f64, Vec<f32>) {
    let (mut loss, mut sum) = (0.0, Vec::new());
    for portion in trainer.next_portions(most).unwrap() {
        let found = of(trainer, &portion.examples);
        loss += portion.weight * f64::from(found.loss);
        sum.resize(found.gradient.len(), 0.0);
        for (sum, value) in sum.iter_mut().zip(&found.gradient) {
            *sum = (f64::from(*sum) + portion.weight * f64::from(*value)) as f32;
        }
    }
    (loss, sum)
}

fn own(trainer: &mut CpuTrainer, examples: &Examples) -> LossAndGradient {
    block_on(trainer.gradient(examples)).unwrap()
}

/// `‖found - expected‖ / ‖expected‖`.
fn distance(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let pairs = found.iter().zip(expected);
    let apart = norm(&mut pairs.map(|(f, e)| f64::from(*f) - f64::from(*e)));
    apart / norm(&mut expected.iter().map(|value| f64::from(*value)))
}

#[test]
fn portions_add_up_to_the_gradient_of_the_whole_batch() {
    for (batch_size, most) in [(1, 2), (2, 2), (7, 2), (8, 3), (5, 9), (40, 4)] {
        let (mut whole, mut parts) = (trainer(batch_size), trainer(batch_size));
        for _ in 0..3 {
            let (loss, expected) = summed(&mut whole, 1, own);
            let (found_loss, found) = summed(&mut parts, most, own);
            let error = distance(&found, &expected);
            assert!(error <= 1e-6, "{batch_size} in {most}: {error}");
            assert!(
                (found_loss - loss).abs() <= 1e-6 * loss,
                "{found_loss} for {loss}"
            );
        }
    }
}

#[test]
fn steps_in_portions_are_the_steps_of_one_thread() {
    for (batch_size, most) in [(1, 2), (7, 2), (8, 3)] {
        let (mut alone, mut first, mut second) = (
            trainer(batch_size),
            trainer(batch_size),
            trainer(batch_size),
        );
        let start = block_on(alone.adapter()).unwrap();
        for step in 0..12 {
            let expected = block_on(alone.step()).unwrap();
            assert_eq!(expected.step, step);
            // What another thread holds: the same weights, and the adapter as it is handed over.
            second
                .set_adapter(&block_on(first.adapter()).unwrap())
                .unwrap();
            let mut others = 0;
            let (loss, gradient) = summed(&mut first, most, |first, examples| {
                others += 1;
                own(if others == 1 { first } else { &mut second }, examples)
            });
            first.apply_gradient(&gradient).unwrap();
            let error = (loss - f64::from(expected.loss)).abs() / f64::from(expected.loss);
            assert!(error <= 1e-5, "step {step}: {loss} for {}", expected.loss);
        }
        let [found, expected] = [&mut first, &mut alone].map(|one| {
            let adapter = block_on(one.adapter()).unwrap();
            let moved = adapter
                .iter()
                .zip(&start)
                .map(|(after, before)| after - before);
            moved.collect::<Vec<_>>()
        });
        let error = distance(&found, &expected);
        assert!(error <= 1e-3, "{batch_size} in {most}: {error}");
        let [found, expected] = [first, alone].map(|mut one| {
            let state = block_on(one.optimizer_state()).unwrap();
            (state.steps, state.first)
        });
        assert_eq!(found.0, expected.0);
        assert!(distance(&found.1, &expected.1) <= 1e-3);
    }
}

#[test]
fn a_thread_that_is_gone_costs_no_bit() {
    let run = |another: bool| {
        let (mut first, mut second) = (trainer(7), trainer(7));
        for _ in 0..5 {
            second
                .set_adapter(&block_on(first.adapter()).unwrap())
                .unwrap();
            let mut others = 0;
            let (_, gradient) = summed(&mut first, 2, |first, examples| {
                others += 1;
                own(
                    if another && others == 2 {
                        &mut second
                    } else {
                        first
                    },
                    examples,
                )
            });
            first.apply_gradient(&gradient).unwrap();
        }
        block_on(first.adapter()).unwrap()
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn portions_before_examples_and_gradients_of_another_length_are_refused() {
    let mut one = trainer(4);
    assert!(matches!(
        one.apply_gradient(&[0.0; 3]),
        Err(TrainError::Engine(_))
    ));
    one.set_examples(Examples::default(), 1);
    assert!(matches!(
        one.next_portions(2),
        Err(TrainError::TooEarly("set the examples"))
    ));
}

//! The memory that is planned for a training is what it takes: planned in a rehearsal without a
//! model, measured in a step with one, by engine *wgsl*.
#![cfg(all(feature = "wgsl", not(target_arch = "wasm32")))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use choir_shared::task::{AdapterLayout, DecoderLoraConfig, EncoderShape, TaskConfig};
use choir_wasm_client::bench::{self, OPTIMIZER, decoder};
use choir_wasm_client::engine::decoder::DecoderEngine;
use choir_wasm_client::engine::quantised::WeightPrecision;
use choir_wasm_client::engine::record::Recorded;
use choir_wasm_client::engine::wgsl::{Tuning, WgslKernels};
use choir_wasm_client::engine::{Batch, Engine, EngineError, MemoryPlan};
use choir_wasm_client::model::Encoder;
use choir_wasm_client::model::decoder::{
    Decoder, DecoderAdapter, DecoderShape, DecoderTarget, DecoderTensor,
};
use choir_wasm_client::train::batch::Examples;
use choir_wasm_client::train::{TrainError, Trainer};
use pollster::block_on;

type Wgsl = Recorded<WgslKernels>;

const PRECISIONS: [WeightPrecision; 3] = [
    WeightPrecision::F32,
    WeightPrecision::Int8,
    WeightPrecision::Int4,
];

/// An encoder of no power of two.
const ODD: EncoderShape = EncoderShape {
    dim: 36,
    layers: 3,
    heads: 3,
    intermediate: 100,
    vocabulary: 211,
    positions: 40,
    norm_eps: 1e-5,
};

fn engine() -> Option<Wgsl> {
    match block_on(WgslKernels::open_tuned(Tuning::HARDWARE)) {
        Ok(kernels) => Some(Recorded::new(kernels)),
        Err(EngineError::NoDevice(reason)) => {
            println!("skipped, no Vulkan device: {reason}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Within a twentieth of what was measured.
#[track_caller]
fn assert_right(plan: MemoryPlan, measured: u64, what: &str) {
    let parts = plan.frozen_bytes + plan.adapter_bytes + plan.activation_bytes;
    println!("{what}: planned {plan:?}, measured {measured}");
    assert_eq!(parts, plan.peak_bytes, "{what}");
    let difference = plan.peak_bytes.abs_diff(measured) as f64;
    assert!(
        difference <= 0.05 * measured as f64,
        "{what}: planned {plan:?}, measured {measured}"
    );
}

/// Values without a pattern, for memory that only their number matters to.
fn values(shape: [usize; 2]) -> Vec<f32> {
    (0..shape[0] * shape[1])
        .map(|at| (at % 17) as f32 / 170.0 - 0.05)
        .collect()
}

/// A task on an encoder of this shape.
fn task(shape: EncoderShape, batch_size: u16, max_length: u16) -> TaskConfig {
    let mut task = bench::task();
    task.base.shape = shape;
    task.max_length = max_length;
    task.training.batch_size = batch_size;
    task.training.local_steps = 12;
    task
}

/// Sequences of these lengths.
fn examples(lengths: impl IntoIterator<Item = usize>) -> Examples {
    let tokens: Vec<Vec<u32>> = lengths.into_iter().map(|length| vec![7; length]).collect();
    let labels = vec![0; tokens.len()];
    Examples::pack(tokens.iter().map(Vec::as_slice), labels).unwrap()
}

/// A trainer with weights and adapter, on the engine of one that only planned.
fn loaded(planner: Trainer<Wgsl>, precision: WeightPrecision, recomputes: bool) -> Trainer<Wgsl> {
    let task = planner.task().clone();
    let shape = task.base.shape;
    let mut engine = planner.into_engine();
    let encoder = Encoder::build(shape, |tensor| {
        let [rows, columns] = tensor.shape(&shape);
        let shape = [rows.max(1), columns];
        engine.frozen_in(tensor.precision(precision), &values(shape), shape)
    });
    let layout = AdapterLayout::new(&task).unwrap();
    let mut trainer = Trainer::with_encoder(engine, task, encoder.unwrap()).unwrap();
    trainer.set_recomputation(recomputes);
    trainer.set_adapter(&vec![0.01; layout.len()]).unwrap();
    trainer
}

/// Plans a training, takes its steps, and compares.
fn check_encoder(task: &TaskConfig, lengths: &[usize], steps: u32, what: &str) {
    for precision in PRECISIONS {
        for recomputes in [false, true] {
            let Some(engine) = engine() else { return };
            let mut planner = Trainer::new(engine, task.clone()).unwrap();
            planner.set_precision(precision).unwrap();
            planner.set_recomputation(recomputes);
            planner.set_examples(examples(lengths.iter().copied()), 5);
            let plan = planner.plan(None).unwrap().unwrap();
            assert_eq!(plan.recomputes, recomputes);
            let mut trainer = loaded(planner, precision, recomputes);
            trainer.set_examples(examples(lengths.iter().copied()), 5);
            let mut measured = 0;
            for _ in 0..steps {
                block_on(trainer.step()).unwrap();
                measured = measured.max(trainer.counts().peak_bytes);
            }
            assert_right(
                plan.memory,
                measured,
                &format!("{what}, {precision:?}, {recomputes}"),
            );
        }
    }
}

#[test]
fn an_encoder_of_odd_sizes_takes_what_was_planned() {
    check_encoder(&task(ODD, 5, 40), &[40, 3, 17, 31, 9], 2, "odd encoder");
}

#[test]
fn batches_of_many_lengths_take_no_more_than_was_planned_for_the_longest() {
    let lengths: Vec<usize> = (0..48).map(|at| 3 + at * 11 % 38).collect();
    check_encoder(&task(ODD, 4, 40), &lengths, 12, "many lengths");
    // From short to long: nothing is left of the short ones.
    let lengths: Vec<usize> = (1..=40).collect();
    check_encoder(&task(ODD, 1, 40), &lengths, 12, "one by one");
}

#[test]
fn the_encoder_workload_takes_what_was_planned() {
    let task = bench::task();
    let count = usize::from(task.training.batch_size);
    let lengths = vec![usize::from(task.max_length); count];
    check_encoder(&task, &lengths, 1, "workload encoder");
}

#[test]
fn a_training_that_takes_more_than_is_granted_makes_activations_again_or_is_refused() {
    let Some(engine) = engine() else { return };
    let mut trainer = Trainer::new(engine, task(ODD, 4, 40)).unwrap();
    let whole = trainer.plan(None).unwrap().unwrap();
    assert!(!whole.recomputes);
    let bytes = whole.memory.peak_bytes;
    assert_eq!(trainer.plan(Some(bytes)).unwrap(), Some(whole));
    let less = trainer.plan(Some(bytes - 1)).unwrap().unwrap();
    assert!(less.recomputes && less.memory.peak_bytes < bytes);
    let refused = trainer.plan(Some(less.memory.peak_bytes - 1));
    let Err(TrainError::Engine(EngineError::TooLarge { bytes, limit, .. })) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(
        [bytes, limit],
        [less.memory.peak_bytes, less.memory.peak_bytes - 1]
    );
}

/// What is on an engine is there after a rehearsal.
#[test]
fn a_plan_leaves_a_training_as_it_was() {
    let Some(engine) = engine() else { return };
    let planner = Trainer::new(engine, task(ODD, 4, 40)).unwrap();
    let mut trainer = loaded(planner, WeightPrecision::F32, false);
    trainer.set_examples(examples([9, 30, 4, 12]), 5);
    let first = block_on(trainer.step()).unwrap();
    let adapter = block_on(trainer.adapter()).unwrap();
    trainer.plan(None).unwrap().unwrap();
    assert_eq!(block_on(trainer.adapter()).unwrap(), adapter);
    let second = block_on(trainer.step()).unwrap();
    assert!(
        second.loss.is_finite() && second.loss < first.loss,
        "{first:?} {second:?}"
    );
}

/// A step of a decoder on `rows` of its tokens.
fn decoder_step<E: DecoderEngine>(
    engine: &mut E,
    shape: DecoderShape,
    lengths: &[u32],
    take: impl Fn(&mut E, DecoderTensor) -> Result<E::Tensor, EngineError>,
) -> Result<(), EngineError> {
    let lora = DecoderLoraConfig {
        rank: 4,
        alpha: 8.0,
        rank_stabilised: false,
        dropout: 0.0,
        targets: vec![DecoderTarget::Q, DecoderTarget::V, DecoderTarget::Down],
    };
    let adapter = DecoderAdapter::new(&shape, &lora, 0);
    engine.load_adapter(&vec![0.01; adapter.len])?;
    let decoder = Decoder::build(shape, adapter, |tensor| take(engine, tensor))?;
    let mut token_starts = vec![0];
    for length in lengths {
        token_starts.push(token_starts[token_starts.len() - 1] + length);
    }
    let rows = token_starts[lengths.len()] as usize;
    let batch = Batch {
        tokens: vec![3; rows],
        token_starts,
        ..Batch::default()
    };
    engine.begin(&batch, true)?;
    decoder.loss(engine, &vec![5; rows])?;
    engine.backward()?;
    engine.optimizer_step(&OPTIMIZER)?;
    engine.end_step()
}

#[test]
fn a_decoder_of_odd_sizes_takes_what_was_planned() {
    let odd = DecoderShape {
        dim: 36,
        layers: 3,
        heads: 6,
        kv_heads: 2,
        head_dim: 12,
        intermediate: 92,
        vocabulary: 300,
        tied: true,
        ..decoder::SHAPE
    };
    let deep = DecoderShape {
        layers: 5,
        tied: false,
        ..odd
    };
    for (shape, lengths) in [(odd, &[70, 1, 33][..]), (deep, &[17][..])] {
        for precision in PRECISIONS {
            check_decoder(shape, lengths, precision);
        }
    }
}

/// Plans a step, takes it, and compares.
fn check_decoder(shape: DecoderShape, lengths: &[u32], precision: WeightPrecision) {
    for recomputes in [false, true] {
        let Some(mut engine) = engine() else { return };
        engine.set_recomputation(recomputes);
        // The layers of blocks; tables stay as they are.
        let precision_of = |tensor| match tensor {
            DecoderTensor::Weight(..) => precision,
            _ => WeightPrecision::F32,
        };
        let plan = MemoryPlan::of(&mut engine, |engine| {
            decoder_step(engine, shape, lengths, |engine, tensor| {
                engine.placeholder(precision_of(tensor), tensor.shape(&shape))
            })
        });
        let taken = decoder_step(&mut engine, shape, lengths, |engine, tensor| {
            let shape = tensor.shape(&shape);
            engine.frozen_in(precision_of(tensor), &values(shape), shape)
        });
        taken.unwrap();
        let what = format!("odd decoder, {precision:?}, {shape:?}");
        assert_right(plan.unwrap().unwrap(), engine.counts().peak_bytes, &what);
    }
}

#[test]
fn the_decoder_workload_takes_what_was_planned() {
    let Some(mut engine) = engine() else { return };
    let plan = decoder::Workload::plan(&mut engine).unwrap().unwrap();
    let mut workload = decoder::Workload::new(engine).unwrap();
    block_on(workload.step()).unwrap();
    assert_right(
        plan,
        workload.engine().counts().peak_bytes,
        "workload decoder",
    );
}

//! What a training step asks of the device: dispatches, submits and readbacks of both workloads.
//! More of any of them than written here is a step backwards; fewer are to be written down.
#![cfg(feature = "wgsl")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use choir_shared::task::{
    AdapterConfig, AdapterLayout, EncoderShape, LoraConfig, Payload, SoftPromptConfig, Target,
    TaskConfig,
};
use choir_wasm_client::adapter::AdapterViews;
use choir_wasm_client::bench::{self, decoder};
use choir_wasm_client::engine::quantised::WeightPrecision;
use choir_wasm_client::engine::record::Recorded;
use choir_wasm_client::engine::wgsl::WgslKernels;
use choir_wasm_client::engine::{Engine, EngineError, StepCounts};
use choir_wasm_client::model::{Encoder, Model};
use choir_wasm_client::train::batch::Examples;
use choir_wasm_client::train::{Trainer, step};
use pollster::block_on;

type Wgsl = Recorded<WgslKernels>;

fn engine() -> Option<Wgsl> {
    match block_on(WgslKernels::open()) {
        Ok(kernels) => Some(Recorded::new(kernels)),
        Err(error) => {
            println!("skipped: WGSL kernels: {error}");
            None
        }
    }
}

fn asked(counts: StepCounts) -> [u32; 3] {
    [counts.dispatches, counts.submits, counts.readbacks]
}

#[test]
fn a_step_of_the_decoder_takes_138_dispatches() {
    let Some(engine) = engine() else { return };
    let mut workload = decoder::Workload::new(engine).unwrap();
    for _ in 0..2 {
        block_on(workload.step()).unwrap();
        assert_eq!(asked(workload.engine().counts()), [138, 1, 1]);
    }
}

#[test]
fn a_step_of_the_encoder_takes_156_dispatches_and_ends_without_a_readback() {
    let Some(mut engine) = engine() else { return };
    let model = encoder(&mut engine, WeightPrecision::F32).unwrap();
    for step in 0..2 {
        send_step(&mut engine, &model, step).unwrap();
        assert_eq!(asked(engine.counts()), [156, 1, 0]);
    }
    let losses = block_on(engine.read_losses()).unwrap();
    assert_eq!(asked(engine.counts()), [156, 1, 1]);
    assert_eq!(losses.len(), 2);
    for (found, expected) in losses.iter().zip(bench::REFERENCE_LOSSES) {
        assert!((found - expected).abs() <= 1e-3, "{found} for {expected}");
    }
    assert!(block_on(engine.read_losses()).unwrap().is_empty());
}

#[test]
fn an_encoder_in_int8_makes_some_values_again() {
    let Some(mut engine) = engine() else { return };
    let model = encoder(&mut engine, WeightPrecision::Int8).unwrap();
    engine.set_recomputation(true);
    send_step(&mut engine, &model, 0).unwrap();
    assert_eq!(asked(engine.counts()), [178, 1, 0]);
}

#[test]
fn a_rehearsal_names_every_kernel_that_training_and_measuring_need() {
    for precision in [WeightPrecision::F32, WeightPrecision::Int8] {
        for virtual_tokens in [None, Some(2)] {
            let Some(engine) = engine() else { return };
            rehearse_and_train(engine, &small_task(virtual_tokens), precision);
        }
    }
}

/// Fails where a kernel is made behind the rehearsal.
fn rehearse_and_train(engine: Wgsl, task: &TaskConfig, precision: WeightPrecision) {
    let mut trainer = Trainer::new(engine, task.clone()).unwrap();
    trainer.set_precision(precision).unwrap();
    let preparation = trainer.prepare().unwrap();
    block_on(preparation.done).unwrap();
    let mut engine = trainer.into_engine();
    let made = engine.kernels().kernels_made();
    assert_eq!(made, preparation.kernels);
    assert!(made > 10);
    let shape = task.base.shape;
    let encoder = Encoder::build(shape, |tensor| {
        let [rows, columns] = tensor.shape(&shape);
        let shape = [rows.max(1), columns];
        let values = vec![0.01; shape[0] * columns];
        engine.frozen_in(tensor.precision(precision), &values, shape)
    });
    let mut trainer = Trainer::with_encoder(engine, task.clone(), encoder.unwrap()).unwrap();
    let flat = vec![0.01; trainer.layout().len()];
    trainer.set_adapter(&flat).unwrap();
    let tokens = (0..200).map(|token| token % 30).collect();
    let texts = || Examples::new(Vec::clone(&tokens), vec![0, 7, 100, 200], vec![0, 1, 2]);
    trainer.set_examples(texts().unwrap(), 1);
    block_on(trainer.steps(2)).unwrap();
    block_on(trainer.evaluate(&texts().unwrap())).unwrap();
    assert_eq!(trainer.into_engine().kernels().kernels_made(), made);
}

/// Three blocks, everything trained that can be; a soft prompt only where there are virtual tokens.
fn small_task(virtual_tokens: Option<u16>) -> TaskConfig {
    let mut task = bench::task();
    task.base.shape = EncoderShape {
        dim: 64,
        layers: 3,
        heads: 4,
        intermediate: 128,
        vocabulary: 32,
        positions: 128,
        norm_eps: 1e-12,
    };
    task.labels = ["a", "b", "c"].map(String::from).to_vec();
    task.payload = Payload::Adapter(AdapterConfig {
        lora: Some(LoraConfig {
            rank: 3,
            alpha: 4.0,
            targets: Target::ALL.to_vec(),
        }),
        soft_prompt: virtual_tokens
            .map(|num_virtual_tokens| SoftPromptConfig { num_virtual_tokens }),
        head: true,
    });
    task
}

fn encoder<E: Engine>(
    engine: &mut E,
    precision: WeightPrecision,
) -> Result<Model<E::Tensor>, EngineError> {
    let task = bench::task();
    let encoder = Encoder::build(bench::SHAPE, |tensor| {
        let (values, shape) = bench::frozen(tensor);
        engine.frozen_in(tensor.precision(precision), &values, shape)
    })?;
    let layout = AdapterLayout::new(&task).unwrap();
    engine.load_adapter(&bench::adapter(&task).unwrap())?;
    let views = AdapterViews::new(&layout, &task);
    Ok(Model::new(encoder, views, None))
}

fn send_step<E: Engine>(
    engine: &mut E,
    model: &Model<E::Tensor>,
    step: usize,
) -> Result<(), EngineError> {
    let batch = bench::batch(step % bench::BATCHES);
    step::send_step(engine, model, &batch, &bench::OPTIMIZER)
}

//! Engine *cpu* against the reference losses of the workloads.
#![cfg(feature = "cpu")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use choir_shared::task::AdapterLayout;
use choir_wasm_client::adapter::AdapterViews;
use choir_wasm_client::bench::{self, decoder};
use choir_wasm_client::engine::cpu::CpuKernels;
use choir_wasm_client::engine::record::Recorded;
use choir_wasm_client::engine::{Engine, EngineError};
use choir_wasm_client::model::{Encoder, Model};
use choir_wasm_client::train::step::send_step;

#[test]
fn losses_of_the_first_eleven_steps_match_the_reference() {
    let mut engine = Recorded::new(CpuKernels::new());
    let losses = pollster::block_on(train(&mut engine, bench::REFERENCE_LOSSES.len())).unwrap();
    assert_near(&losses, &bench::REFERENCE_LOSSES);
}

#[test]
fn losses_of_the_decoder_match_the_reference() {
    let engine = Recorded::new(CpuKernels::new());
    let mut workload = decoder::Workload::new(engine).unwrap();
    let (mut losses, mut bytes) = (Vec::new(), Vec::new());
    for _ in decoder::REFERENCE_LOSSES {
        losses.push(pollster::block_on(workload.step()).unwrap());
        bytes.push(workload.engine().counts().peak_bytes);
    }
    eprintln!("decoder: {:?}", workload.engine().counts());
    assert_near(&losses, &decoder::REFERENCE_LOSSES);
    assert_eq!(bytes[4], bytes[10], "memory grows from step to step");
}

fn assert_near(losses: &[f32], reference: &[f32]) {
    for (step, (found, expected)) in losses.iter().zip(reference).enumerate() {
        assert!(
            (found - expected).abs() <= 1e-3,
            "step {step}: {found} for {expected}"
        );
    }
}

async fn train<E: Engine>(engine: &mut E, steps: usize) -> Result<Vec<f32>, EngineError> {
    let task = bench::task();
    let encoder = Encoder::build(bench::SHAPE, |tensor| {
        let (values, shape) = bench::frozen(tensor);
        engine.frozen(&values, shape)
    })?;
    let layout = AdapterLayout::new(&task).unwrap();
    let model = Model::new(encoder, AdapterViews::new(&layout, &task), None);
    engine.load_adapter(&bench::adapter(&task).unwrap())?;
    let mut losses = Vec::new();
    let mut bytes = Vec::new();
    for step in 0..steps {
        let started = std::time::Instant::now();
        let batch = bench::batch(step % bench::BATCHES);
        send_step(engine, &model, &batch, &bench::OPTIMIZER)?;
        losses.extend(engine.read_losses().await?);
        bytes.push(engine.counts().peak_bytes);
        eprintln!(
            "step {step}: {:?}, {:?}",
            started.elapsed(),
            engine.counts()
        );
    }
    assert_eq!(bytes[4], bytes[steps - 1], "memory grows from step to step");
    Ok(losses)
}

//! The published training workload: losses of each engine against JAX's.

use choir_shared::task::AdapterLayout;
use choir_wasm_client::adapter::AdapterViews;
use choir_wasm_client::bench::{self, decoder};
use choir_wasm_client::engine::Engine;
use choir_wasm_client::engine::burn::BurnEngine;
use choir_wasm_client::engine::cpu::CpuKernels;
use choir_wasm_client::engine::decoder::DecoderEngine;
use choir_wasm_client::engine::record::Recorded;
use choir_wasm_client::engine::wgsl::WgslKernels;
use choir_wasm_client::model::{Encoder, Model};
use choir_wasm_client::train::step::send_step;
use pollster::block_on;

const TOLERANCE: f32 = 1e-3;

fn losses_are_those_of_jax<E: Engine>(mut engine: E) {
    let task = bench::task();
    let layout = AdapterLayout::new(&task).expect("the workload's task is valid");
    let encoder = Encoder::build(bench::SHAPE, |tensor| {
        let (values, shape) = bench::frozen(tensor);
        engine.frozen(&values, shape)
    });
    let views = AdapterViews::new(&layout, &task);
    let model = Model::new(encoder.expect("encoder"), views, None);
    engine
        .load_adapter(&bench::adapter(&task).expect("adapter"))
        .expect("adapter");

    let mut worst = 0.0_f32;
    for (step, expected) in bench::REFERENCE_LOSSES.into_iter().enumerate() {
        let batch = bench::batch(step % bench::BATCHES);
        send_step(&mut engine, &model, &batch, &bench::OPTIMIZER).expect("step");
        let loss = block_on(engine.read_losses()).expect("loss")[0];
        worst = worst.max((loss - expected).abs());
        assert!(worst <= TOLERANCE, "step {step}: {loss} against {expected}");
    }
    println!(
        "{}: losses off by at most {worst:.1e}",
        engine.device().adapter
    );
}

fn losses_of_the_decoder_are_those_of_jax<E: DecoderEngine>(engine: E) {
    let mut workload = decoder::Workload::new(engine).expect("workload");
    let mut worst = 0.0_f32;
    for (step, expected) in decoder::REFERENCE_LOSSES.into_iter().enumerate() {
        let loss = block_on(workload.step()).expect("loss");
        worst = worst.max((loss - expected).abs());
        assert!(worst <= TOLERANCE, "step {step}: {loss} against {expected}");
    }
    let engine = workload.engine();
    println!(
        "decoder, {}: losses off by at most {worst:.1e}; {:?}",
        engine.device().adapter,
        engine.counts()
    );
}

#[test]
fn burn_has_the_losses_of_jax_for_the_decoder() {
    losses_of_the_decoder_are_those_of_jax(BurnEngine::flex());
}

#[test]
fn wgsl_kernels_have_the_losses_of_jax_for_the_decoder() {
    match block_on(WgslKernels::open()) {
        Ok(kernels) => losses_of_the_decoder_are_those_of_jax(Recorded::new(kernels)),
        Err(error) => println!("skipped: WGSL kernels: {error}"),
    }
}

#[test]
fn cpu_kernels_have_the_losses_of_jax_for_the_decoder() {
    losses_of_the_decoder_are_those_of_jax(Recorded::new(CpuKernels::new()));
}

#[test]
fn burn_has_the_losses_of_jax() {
    losses_are_those_of_jax(BurnEngine::flex());
}

#[test]
fn wgsl_kernels_have_the_losses_of_jax() {
    match block_on(WgslKernels::open()) {
        Ok(kernels) => losses_are_those_of_jax(Recorded::new(kernels)),
        Err(error) => println!("skipped: WGSL kernels: {error}"),
    }
}

#[test]
fn cpu_kernels_have_the_losses_of_jax() {
    losses_are_those_of_jax(Recorded::new(CpuKernels::new()));
}

//! Bytes that a step of the workload "encoder" takes on a GPU, by what its weights are kept in.
#![cfg(all(feature = "wgsl", not(target_arch = "wasm32")))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use choir_shared::task::AdapterLayout;
use choir_wasm_client::adapter::AdapterViews;
use choir_wasm_client::bench;
use choir_wasm_client::engine::quantised::WeightPrecision;
use choir_wasm_client::engine::record::Recorded;
use choir_wasm_client::engine::wgsl::{Tuning, WgslKernels};
use choir_wasm_client::engine::{Engine, EngineError};
use choir_wasm_client::model::{Encoder, Model};

/// Most bytes held in a step. The step is queued and never sent off: what it holds is known by then.
fn peak_bytes(precision: WeightPrecision) -> Option<u64> {
    let kernels = match pollster::block_on(WgslKernels::open_tuned(Tuning::HARDWARE)) {
        Ok(kernels) => kernels,
        Err(EngineError::NoDevice(reason)) => {
            println!("skipped, no Vulkan device: {reason}");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    let engine = &mut Recorded::new(kernels);
    engine.set_recomputation(precision != WeightPrecision::F32);
    let encoder = Encoder::build(bench::SHAPE, |tensor| {
        let (values, shape) = bench::frozen(tensor);
        engine.frozen_in(tensor.precision(precision), &values, shape)
    });
    let task = bench::task();
    let layout = AdapterLayout::new(&task).unwrap();
    let model = Model::new(encoder.unwrap(), AdapterViews::new(&layout, &task), None);
    engine
        .load_adapter(&bench::adapter(&task).unwrap())
        .unwrap();
    engine.begin(&bench::batch(0), true).unwrap();
    let logits = model.logits(engine).unwrap();
    engine.cross_entropy(&logits).unwrap();
    drop(logits);
    engine.backward().unwrap();
    engine.optimizer_step(&bench::OPTIMIZER).unwrap();
    let counts = engine.counts();
    println!("{precision:?}: {counts:?}");
    Some(counts.peak_bytes)
}

#[test]
fn int8_weights_keep_the_encoder_workload_within_sixty_megabytes() {
    let Some(whole) = peak_bytes(WeightPrecision::F32) else {
        return;
    };
    let int8 = peak_bytes(WeightPrecision::Int8).unwrap();
    let int4 = peak_bytes(WeightPrecision::Int4).unwrap();
    assert!(int8 <= 60_000_000, "{int8} bytes");
    assert!(int4 < int8 && int8 < whole / 2);
}

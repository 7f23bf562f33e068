//! What a training takes is known, and its kernels are made, before the weights are there.

use choir_shared::task::{LanguageConfig, Payload, TaskConfig};
use choir_wasm_client::engine::EngineError;
use choir_wasm_client::engine::record::Recorded;
use choir_wasm_client::engine::wgsl::WgslKernels;
use choir_wasm_client::language::dataset::sliding;
use choir_wasm_client::train::TrainError;
use choir_wasm_client::train::language_task::LanguageTaskTrainer;
use pollster::block_on;

use super::adapters::adapters;
use super::{checkpoint, language, task, version_zero};

type Wgsl = LanguageTaskTrainer<Recorded<WgslKernels>>;

fn opened(task: &TaskConfig) -> Option<Wgsl> {
    match block_on(WgslKernels::open()) {
        Ok(kernels) => {
            let engine = Recorded::new(kernels);
            Some(LanguageTaskTrainer::new(engine, task.clone()).expect("a trainer"))
        }
        Err(error) => {
            println!("skipped: WGSL kernels: {error}");
            None
        }
    }
}

/// Loads the decoder and takes two steps on rows of the task's longest.
fn train(trainer: &mut Wgsl, task: &TaskConfig) {
    trainer.add_weights(&checkpoint()).expect("weights");
    trainer.finish_weights().expect("a decoder");
    trainer
        .set_adapter(&version_zero(task))
        .expect("an adapter");
    let tokens: Vec<u32> = (0..80).map(|at| at * at % 7 + 3).collect();
    let rows = sliding(&tokens, 16, 16).expect("rows");
    trainer.set_rows(rows, 7).expect("rows");
    block_on(trainer.steps(2)).expect("steps");
}

#[test]
fn every_adapter_takes_what_was_planned_on_kernels_made_before() {
    for adapter in adapters() {
        let mut task = task();
        task.payload = Payload::Language(LanguageConfig {
            adapter: adapter.clone(),
            ..language()
        });
        let Some(mut trainer) = opened(&task) else {
            return;
        };
        let plan = trainer.plan(None).expect("a plan").expect("counted");
        let preparation = trainer.prepare().expect("kernels");
        block_on(preparation.done).expect("kernels");
        train(&mut trainer, &task);
        let measured = trainer.counts().expect("counts").peak_bytes as f64;
        let planned = plan.memory.peak_bytes as f64;
        // 5 % of a model this small is less than one more buffer.
        let difference = (planned - measured).abs();
        assert!(
            difference <= (0.05 * measured).max(4096.0),
            "{adapter:?}: planned {planned}, measured {measured}"
        );
        let (engine, _) = trainer.parts().expect("a decoder");
        let made = engine.kernels().kernels_made();
        assert_eq!(made, preparation.kernels, "{adapter:?}");
        assert!(made > 10, "{adapter:?}");
    }
}

#[test]
fn a_training_that_takes_more_than_is_granted_is_refused_with_both_numbers() {
    let Some(mut trainer) = opened(&task()) else {
        return;
    };
    let plan = trainer.plan(None).expect("a plan").expect("counted");
    let refused = trainer.plan(Some(1000));
    assert!(matches!(
        refused,
        Err(TrainError::Engine(EngineError::TooLarge { bytes, limit: 1000, .. }))
            if bytes > 1000 && bytes <= plan.memory.peak_bytes
    ));
    let granted = trainer.plan(Some(plan.memory.peak_bytes));
    assert!(granted.expect("a plan").is_some());
    // A refused plan has changed nothing.
    assert_eq!(trainer.plan(None).expect("a plan"), Some(plan));
}

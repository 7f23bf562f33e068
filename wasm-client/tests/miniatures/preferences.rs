//! Direct preference optimisation of the llama miniature's adapter, against PyTorch (`dpo/`).

use std::fs;

use choir_wasm_client::engine::AdamW;
use choir_wasm_client::engine::Engine;
use choir_wasm_client::engine::kernels::generation::GenerationKernels;
use choir_wasm_client::engine::record::Recorded;
use choir_wasm_client::language::dataset;
use choir_wasm_client::language::dpo::{self, Pair, Score};
use choir_wasm_client::model::decoder::DecoderAdapter;
use choir_wasm_client::train::language::LanguageTrainer;
use choir_wasm_client::train::preferences::ReferredPair;
use serde_json::Value;

use super::case::{Case, Check, assert_near, numbers, on_both_engines, tensors};
use super::decoders::{adapter, assert_gradients, load, shape};

/// The llama miniature, with the pairs and what PyTorch found for them in place of its own reference.
fn case() -> Case {
    let llama = Case::read("llama");
    let folder = llama.folder.with_file_name("dpo");
    let text = fs::read_to_string(folder.join("reference.json")).unwrap();
    Case {
        reference: tensors(&fs::read(folder.join("reference.safetensors")).unwrap()),
        json: serde_json::from_str(&text).unwrap(),
        ..llama
    }
}

/// The case's pairs, referred to the decoder without its adapter.
fn pairs<K: GenerationKernels>(
    case: &Case,
    trainer: &mut LanguageTrainer<Recorded<K>>,
) -> Vec<ReferredPair> {
    let row = |pair: &Value, answer: &str| {
        let [prompt, answer] = ["prompt", answer].map(|key| numbers(&pair[key]));
        dataset::prompt_and_response(None, &prompt, &answer, 32).unwrap()
    };
    let pairs = case.json["pairs"].as_array().unwrap().iter();
    pairs
        .map(|pair| {
            let [chosen, rejected] = ["chosen", "rejected"].map(|answer| row(pair, answer));
            pollster::block_on(trainer.referred(chosen, rejected)).unwrap()
        })
        .collect()
}

fn assert_log_probabilities(case: &Case, found: &[Pair]) {
    let pairs = case.json["pairs"].as_array().unwrap();
    assert_eq!(pairs.len(), found.len());
    for (expected, found) in pairs.iter().zip(found) {
        let (chosen, rejected) = (found.chosen, found.rejected);
        for (name, found) in [
            ("chosen_log_probability", chosen.policy),
            ("rejected_log_probability", rejected.policy),
            ("reference_chosen_log_probability", chosen.reference),
            ("reference_rejected_log_probability", rejected.reference),
        ] {
            let expected = expected[name].as_f64().unwrap() as f32;
            assert_near(&[found as f32], &[expected], name);
        }
    }
}

/// The trainer of the adapter with the reference's values, and these.
fn trainer<K: GenerationKernels>(
    case: &Case,
    mut engine: Recorded<K>,
    optimizer: AdamW,
) -> (LanguageTrainer<Recorded<K>>, DecoderAdapter, Vec<f32>) {
    let (views, flat) = DecoderAdapter::of_lora(&adapter(case), &shape(case));
    engine.load_adapter(&flat).unwrap();
    let mut decoder = load(case, &mut engine).unwrap();
    decoder.attach(views.clone());
    (
        LanguageTrainer::new(engine, decoder, optimizer),
        views,
        flat,
    )
}

const OPTIMIZER: AdamW = AdamW {
    learning_rate: 1e-3,
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weight_decay: 0.0,
};

#[test]
fn log_probabilities_loss_and_gradients_are_those_of_pytorch() {
    struct Preferences;
    impl Check for Preferences {
        fn on<K: GenerationKernels>(&self, engine: Recorded<K>) {
            let case = case();
            let beta = case.json["beta"].as_f64().unwrap();
            let (mut trainer, views, _) = trainer(&case, engine, OPTIMIZER);
            let pairs = pairs(&case, &mut trainer);
            let pairs: Vec<&ReferredPair> = pairs.iter().collect();
            let found = pollster::block_on(trainer.preference_gradient(&pairs, beta)).unwrap();
            assert_log_probabilities(&case, &found);
            let loss = dpo::mean_loss(&found, beta).unwrap() as f32;
            assert_near(&[loss], &[case.number("loss")], "loss");
            let accuracy = dpo::comparisons(&found, Score::Reward).accuracy().unwrap();
            assert_eq!(accuracy, case.json["reward_accuracy"].as_f64().unwrap());
            let gradient = pollster::block_on(trainer.engine_mut().read_gradient()).unwrap();
            assert_gradients(&case, &views.lora_map(&gradient));
        }
    }
    on_both_engines(&Preferences);
}

#[test]
fn steps_lower_the_loss_and_leave_the_reference_alone() {
    struct Steps;
    impl Check for Steps {
        fn on<K: GenerationKernels>(&self, engine: Recorded<K>) {
            let case = case();
            let (mut trainer, _, mut flat) = trainer(&case, engine, OPTIMIZER);
            let pairs = pairs(&case, &mut trainer);
            let pairs: Vec<&ReferredPair> = pairs.iter().collect();
            let before = pollster::block_on(trainer.compared(&pairs)).unwrap();
            for _ in 0..5 {
                pollster::block_on(trainer.preference_step(&pairs, 0.1)).unwrap();
            }
            let after = pollster::block_on(trainer.compared(&pairs)).unwrap();
            let loss = |pairs: &[Pair]| dpo::mean_loss(pairs, 0.1).unwrap();
            assert!(loss(&after) < loss(&before) - 0.01, "{after:?}");
            let rows: Vec<_> = pairs.iter().map(|pair| &pair.chosen.row).collect();
            let again = pollster::block_on(trainer.reference_log_probabilities(&rows)).unwrap();
            for (before, again) in before.iter().zip(again) {
                assert_eq!(before.chosen.reference, again);
            }
            // Without A and B, model and reference are the same: nobody is ahead.
            flat.fill(0.0);
            trainer.set_adapter(&flat).unwrap();
            let off = pollster::block_on(trainer.compared(&pairs)).unwrap();
            assert_eq!(dpo::comparisons(&off, Score::Reward).tied, off.len());
        }
    }
    on_both_engines(&Steps);
}

//! A task of GPT-2: its file is read, says what transformers says of it, and is trained.

use choir_shared::task::{
    BaseFiles, DecoderAdapterConfig, DecoderBiases, DecoderLoraConfig, DecoderStyle, EncoderShape,
    LanguageConfig, Payload, TaskConfig,
};
use choir_wasm_client::engine::cpu::CpuKernels;
use choir_wasm_client::engine::decoder::NOT_SCORED;
use choir_wasm_client::language::dataset::Row;
use choir_wasm_client::train::language_task::LanguageTaskTrainer;
use pollster::block_on;

use super::{Engine, language, task, version_zero};

const WEIGHTS: &[u8] = include_bytes!("../miniatures/gpt2/model.safetensors");
const REFERENCE: &str = include_str!("../miniatures/gpt2/reference.json");

fn gpt2() -> TaskConfig {
    let mut task = task();
    task.base.shape = EncoderShape {
        dim: 32,
        layers: 2,
        heads: 4,
        intermediate: 48,
        vocabulary: 96,
        positions: 32,
        norm_eps: 1e-5,
    };
    task.base.weights_bytes = WEIGHTS.len() as u64;
    let mut language = LanguageConfig {
        files: BaseFiles::HuggingFace,
        adapter: DecoderAdapterConfig::of_lora(DecoderLoraConfig {
            rank: 4,
            alpha: 8.0,
            rank_stabilised: false,
            dropout: 0.0,
            targets: DecoderStyle::Gpt2.targets().to_vec(),
        }),
        ..language()
    };
    language.decoder.style = DecoderStyle::Gpt2;
    language.decoder.kv_heads = 4;
    language.decoder.head_dim = 8;
    language.decoder.biases = DecoderBiases::ALL;
    task.payload = Payload::Language(language);
    task
}

/// The sequences of the reference, each token with its next as label.
fn rows(reference: &serde_json::Value) -> Vec<Row> {
    let sequences = reference["sequences"].as_array().expect("sequences");
    let row = |sequence: &serde_json::Value| {
        let ids = sequence.as_array().expect("ids").iter();
        let tokens: Vec<u32> = ids.map(|id| id.as_u64().expect("an id") as u32).collect();
        let mut labels = tokens[1..].to_vec();
        labels.push(NOT_SCORED);
        Row { tokens, labels }
    };
    sequences.iter().map(row).collect()
}

#[test]
fn a_task_of_gpt2_begins_as_transformers_has_it_and_is_trained() {
    let task = gpt2();
    assert_eq!(task.check(), Ok(()));
    let engine = Engine::new(CpuKernels::new());
    let mut trainer = LanguageTaskTrainer::new(engine, task.clone()).expect("a trainer");
    for chunk in WEIGHTS.chunks(1000) {
        trainer.add_weights(chunk).expect("weights");
    }
    trainer.finish_weights().expect("a decoder");
    trainer.set_adapter(&version_zero(&task)).expect("zero");
    let reference: serde_json::Value = serde_json::from_str(REFERENCE).expect("JSON");
    let expected = reference["loss"].as_f64().expect("a loss");
    let rows = rows(&reference);
    let before = block_on(trainer.score(&rows)).expect("a score").mean();
    assert!(
        (before - expected).abs() < 1e-4 * expected,
        "{before} for {expected}"
    );
    trainer.set_rows(rows.clone(), 3).expect("rows");
    block_on(trainer.steps(20)).expect("steps");
    let after = block_on(trainer.score(&rows)).expect("a score").mean();
    assert!(after < 0.9 * before, "{before}, then {after}");
}

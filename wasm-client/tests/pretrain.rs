//! A small decoder made from a small corpus, written, and read back by the engine of the native tools.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use choir_wasm_client::bench::OPTIMIZER;
use choir_wasm_client::engine::cpu::CpuKernels;
use choir_wasm_client::engine::quantised::WeightPrecision;
use choir_wasm_client::engine::record::Recorded;
use choir_wasm_client::language::bits::bits_per_character;
use choir_wasm_client::language::dataset::pack;
use choir_wasm_client::model::config::{ModelConfig, ModelShape};
use choir_wasm_client::model::decoder::DecoderAdapter;
use choir_wasm_client::model::decoder_loader::DecoderLoader;
use choir_wasm_client::pretrain::run::Report;
use choir_wasm_client::pretrain::{PretrainError, Settings, run};
use choir_wasm_client::train::language::LanguageTrainer;
use tokenizers::Tokenizer;

const SENTENCES: [&str; 4] = [
    "The client reads its own texts and never sends them to the aggregator.",
    "The aggregator adds what the clients have masked, and learns the sum alone.",
    "A round ends when enough clients have sent what they promised to send.",
    "Those who leave a round early are missed by nobody but the round itself.",
];

/// A folder of its own, with documents in it.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("choir-pretrain-{name}-{}", std::process::id()));
    let documents = folder.join("documents");
    fs::create_dir_all(&documents).unwrap();
    for number in 0..60 {
        let turned = (0..8).map(|at| SENTENCES[(number + at * (1 + number % 3)) % 4]);
        let text = turned.collect::<Vec<_>>().join("\n\n");
        fs::write(documents.join(format!("page-{number:02}.rst")), text).unwrap();
    }
    folder
}

fn settings(folder: &Path) -> Settings {
    Settings {
        documents: folder.join("documents"),
        out: folder.join("model"),
        pieces: 320,
        dim: 64,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        intermediate: 96,
        context: 32,
        batch: 4,
        steps: 40,
        learning_rate: 4e-3,
        ..Settings::default()
    }
}

fn made(name: &str, change: impl Fn(&mut Settings)) -> (PathBuf, Report) {
    let folder = folder(name);
    let mut settings = settings(&folder);
    change(&mut settings);
    let report = run::run(&settings, &|line| println!("{line}")).unwrap();
    (folder, report)
}

/// Bits a character of the document held out, by the model's files on engine *cpu*.
fn bits_of_files(folder: &Path, precision: WeightPrecision) -> f64 {
    let model = folder.join("model");
    let config = fs::read_to_string(model.join("config.json")).unwrap();
    let config = ModelConfig::parse(&config).unwrap();
    let ModelShape::Decoder(shape) = config.shape else {
        panic!("{config:?} is no decoder");
    };
    let mut engine = Recorded::new(CpuKernels::new());
    let mut loader = DecoderLoader::new(config.architecture, shape, precision);
    let bytes = fs::read(model.join("model.safetensors")).unwrap();
    loader.push(&mut engine, &bytes).unwrap();
    loader.end_file().unwrap();
    let decoder = loader.finish(DecoderAdapter::default()).unwrap();
    let tokenizer = Tokenizer::from_file(model.join("tokenizer.json")).unwrap();
    // The first of every fifty documents is held out.
    let held_out = [0, 50].map(|number| {
        let path = folder.join(format!("documents/page-{number:02}.rst"));
        fs::read_to_string(path).unwrap().replace("\n\n", "\n")
    });
    let encodings = held_out.each_ref().map(|text| {
        let encoding = tokenizer.encode(text.as_str(), false).unwrap();
        assert_eq!(tokenizer.decode(encoding.get_ids(), false).unwrap(), *text);
        encoding
    });
    let rows = pack(encodings.iter().map(|e| e.get_ids()), 0, 32).unwrap();
    let mut trainer = LanguageTrainer::new(engine, decoder, OPTIMIZER);
    trainer.set_adapter(&[]).unwrap();
    let score = pollster::block_on(trainer.score(&rows, 4)).unwrap();
    let characters = held_out.iter().map(|text| text.chars().count()).sum();
    bits_per_character(score.nats, characters).unwrap()
}

#[test]
fn a_small_model_learns_and_is_read_back_as_it_was_written() {
    let (folder, report) = made("alone", |_| {});
    assert!(report.held_out_loss < 0.6 * report.first_loss, "{report:?}");
    assert!((report.held_out_bits_int8 / report.held_out_bits - 1.0).abs() < 0.01);
    for precision in [WeightPrecision::F32, WeightPrecision::Int8] {
        let bits = bits_of_files(&folder, precision);
        let expected = report.held_out_bits_int8;
        assert!(
            (bits / expected - 1.0).abs() < 1e-4,
            "{precision:?}: {bits}, not {expected}"
        );
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn clients_that_keep_their_texts_make_one_too() {
    let (folder, report) = made("federated", |settings| {
        settings.clients = 3;
        settings.local_steps = 5;
    });
    assert!(report.held_out_loss < 0.7 * report.first_loss, "{report:?}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_cannot_be_made_is_refused_by_name() {
    let folder = folder("refused");
    let refusal = |change: fn(&mut Settings)| {
        let mut settings = settings(&folder);
        change(&mut settings);
        run::run(&settings, &|_| {}).unwrap_err()
    };
    let error = refusal(|settings| settings.heads = 5).to_string();
    assert_eq!(error, "dim has to be an even multiple of heads");
    let error = refusal(|settings| settings.batch = 100_000);
    assert!(matches!(error, PretrainError::Setting(_)), "{error}");
    let error = refusal(|settings| settings.documents.push("absent"));
    assert!(matches!(error, PretrainError::File { .. }), "{error}");
    fs::remove_dir_all(folder).unwrap();
}

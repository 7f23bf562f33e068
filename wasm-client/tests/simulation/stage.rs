//! A tiny model in a folder of its own, a small data set, and experiments on them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use choir_shared::sim::random::Stream;
use choir_shared::task::{AdapterConfig, EncoderShape, LoraConfig, Payload, Target, TaskConfig};
use choir_wasm_client::bench;
use choir_wasm_client::sim::config::{
    Baselines, Clients, Data, Evaluation, HeadStart, Split, Sum, Training,
};
use choir_wasm_client::sim::strategy::Strategy;
use choir_wasm_client::sim::{self, Config, Event, Options, Summary};
use safetensors::tensor::{Dtype, TensorView, serialize};

/// Values of the tiny model's LoRA (rank 2 on q and v of two layers), prompt and head.
pub(crate) const DIM: usize = 8;
pub(crate) const LORA: usize = 2 * 2 * 2 * (DIM * 2);
pub(crate) const LABELS: usize = 3;
pub(crate) const HEAD: usize = (DIM + 1) * LABELS;

/// A folder with model and data, and the options of an experiment there.
pub(crate) struct Stage {
    folder: PathBuf,
    pub(crate) options: Options,
}

impl Stage {
    pub(crate) fn new(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("sim-{name}"));
        drop(fs::remove_dir_all(&folder));
        let model = folder.join("model");
        fs::create_dir_all(&model).unwrap();
        fs::write(model.join("config.json"), CONFIG).unwrap();
        fs::write(model.join("tokenizer.json"), tokenizer()).unwrap();
        fs::write(model.join("model.safetensors"), weights()).unwrap();
        fs::write(folder.join("train.csv"), table(0..120)).unwrap();
        fs::write(folder.join("test.csv"), table(200..245)).unwrap();
        let options = Options {
            out: folder.join("out"),
            model,
            workers: Some(2),
            ..Options::default()
        };
        Self { folder, options }
    }

    pub(crate) fn config(&self, strategies: Vec<Strategy>) -> Config {
        Config {
            name: "tiny".to_owned(),
            rounds: 3,
            seeds: vec![1],
            data: Data {
                train: self.folder.join("train.csv"),
                test: Some(self.folder.join("test.csv")),
                labels: None,
                max_length: 8,
            },
            clients: Clients {
                count: 8,
                per_round: 5,
                partition: Split::Dirichlet { alpha: 0.5 },
                drop_out: 0.0,
            },
            training: Training {
                steps: 8,
                batch: 4,
                learning_rate: 0.02,
                weight_decay: 0.01,
                head: HeadStart::Zero,
                head_scale: 4.0,
            },
            sum: Sum {
                secure: false,
                ..Sum::default()
            },
            evaluation: Evaluation { texts: 0 },
            baselines: Baselines {
                central: false,
                local_clients: 0,
            },
            personalization: None,
            strategies,
        }
    }

    /// Runs an experiment and its events are forgotten.
    pub(crate) fn run(&self, config: &Config) -> Summary {
        sim::run(config, &self.options, &mut |_: Event| {}).unwrap()
    }

    /// The whole adapter that a run has reached.
    pub(crate) fn adapter(&self, config: &Config, strategy: usize) -> Vec<f32> {
        let (strategy, seed) = (&config.strategies[strategy], config.seeds[0]);
        sim::stored_adapter(config, &self.options, strategy, seed).unwrap()
    }

    /// The adapter before any round.
    pub(crate) fn version_zero(&self, config: &Config, strategy: usize) -> Vec<f32> {
        let start = Self {
            folder: self.folder.clone(),
            options: Options {
                out: self.folder.join("start"),
                until_round: Some(0),
                ..self.options.clone()
            },
        };
        start.run(config);
        start.adapter(config, strategy)
    }

    /// The task of a tab that trains as the experiment's clients do.
    pub(crate) fn task(&self, config: &Config) -> TaskConfig {
        let mut task = bench::task();
        task.base.shape = EncoderShape {
            dim: DIM as u32,
            layers: 2,
            heads: 2,
            intermediate: 12,
            vocabulary: 32,
            positions: 16,
            norm_eps: 1e-5,
        };
        task.labels = (0..LABELS).map(|label| format!("class {label}")).collect();
        task.max_length = config.data.max_length;
        task.payload = Payload::Adapter(AdapterConfig {
            lora: Some(LoraConfig {
                rank: 2,
                alpha: 4.0,
                targets: vec![Target::Q, Target::V],
            }),
            soft_prompt: None,
            head: true,
        });
        task.training.batch_size = config.training.batch as u16;
        task.training.optimizer.learning_rate = config.training.learning_rate;
        task.training.optimizer.weight_decay = config.training.weight_decay;
        task
    }

    /// A user column beside text and label.
    pub(crate) fn with_users(&self, config: &mut Config, users: usize) {
        let rows = table(0..120);
        let mut lines = rows.lines();
        let header = lines.next().unwrap();
        let mut text = format!("{header},user\n");
        for (row, line) in lines.enumerate() {
            text.push_str(&format!("{line},user {}\n", row % users));
        }
        config.data.train = self.folder.join("users.csv");
        fs::write(&config.data.train, text).unwrap();
        config.clients.partition = Split::User;
    }
}

/// LoRA and head by FedAvg.
pub(crate) fn fedavg() -> Strategy {
    Strategy {
        name: "FedAvg".to_owned(),
        rank: 2,
        ..Strategy::default()
    }
}

/// Texts of three classes: each has a word of its class among others.
fn table(rows: core::ops::Range<usize>) -> String {
    let row = |n: usize| format!("w{} k{} k{},class {}\n", 3 + n % 17, n % 3, n % 3, n % 3);
    rows.map(row)
        .fold("text,label\n".to_owned(), |text, row| text + &row)
}

const CONFIG: &str = r#"{"hidden_size":8,"num_hidden_layers":2,"num_attention_heads":2,
"intermediate_size":12,"vocab_size":32,"max_position_embeddings":16,"layer_norm_eps":1e-5}"#;

fn tokenizer() -> String {
    let mut words = vec!["[UNK]".to_owned(), "[CLS]".to_owned(), "[SEP]".to_owned()];
    words.extend((3..29).map(|n| format!("w{n}")));
    words.extend((0..3).map(|n| format!("k{n}")));
    let vocabulary: Vec<String> = words
        .iter()
        .enumerate()
        .map(|(id, word)| format!("\"{word}\":{id}"))
        .collect();
    format!(
        r#"{{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,
"pre_tokenizer":{{"type":"Whitespace"}},"post_processor":{{"type":"BertProcessing",
"sep":["[SEP]",2],"cls":["[CLS]",1]}},"decoder":null,
"model":{{"type":"WordLevel","vocab":{{{}}},"unk_token":"[UNK]"}}}}"#,
        vocabulary.join(",")
    )
}

/// Values from a fixed generator under the names of BERT's checkpoints.
fn weights() -> Vec<u8> {
    let mut tensors = BTreeMap::from([
        (
            "embeddings.word_embeddings.weight".to_owned(),
            vec![32, DIM],
        ),
        (
            "embeddings.position_embeddings.weight".to_owned(),
            vec![16, DIM],
        ),
        (
            "embeddings.token_type_embeddings.weight".to_owned(),
            vec![2, DIM],
        ),
    ]);
    let mut norms = vec!["embeddings.LayerNorm".to_owned()];
    for layer in 0..2 {
        let place = format!("encoder.layer.{layer}");
        norms.push(format!("{place}.attention.output.LayerNorm"));
        norms.push(format!("{place}.output.LayerNorm"));
        for (name, [outputs, inputs]) in [
            ("attention.self.query", [DIM, DIM]),
            ("attention.self.key", [DIM, DIM]),
            ("attention.self.value", [DIM, DIM]),
            ("attention.output.dense", [DIM, DIM]),
            ("intermediate.dense", [12, DIM]),
            ("output.dense", [DIM, 12]),
        ] {
            tensors.insert(format!("{place}.{name}.weight"), vec![outputs, inputs]);
            tensors.insert(format!("{place}.{name}.bias"), vec![outputs]);
        }
    }
    for norm in norms {
        tensors.insert(format!("{norm}.weight"), vec![DIM]);
        tensors.insert(format!("{norm}.bias"), vec![DIM]);
    }
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .into_iter()
        .map(|(name, shape)| {
            let gain = name.ends_with("LayerNorm.weight");
            let mut stream = Stream::new(1, &name);
            let mut value = || {
                let noise = 2.0 * stream.uniform() as f32 - 1.0;
                if gain { 1.0 + 0.1 * noise } else { noise }
            };
            let len = shape.iter().product();
            let bytes = (0..len).flat_map(|_| value().to_le_bytes()).collect();
            (name, shape, bytes)
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap();
        (name.as_str(), view)
    });
    serialize(views, None).unwrap()
}

//! A decoder of the Hugging Face layout in a folder: loaded, with an adapter of PEFT's or not, its
//! logits and loss on sequences of tokens, and a short training whose adapter is written as PEFT keeps
//! it. What another program computes on the same files can be held against it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use choir_shared::task::{
    DecoderAdapterConfig, DecoderLoraConfig, VirtualTokens, VirtualTokensConfig,
};

use super::{CpuEngine, CpuTensor, EvalError, read};
use crate::adapter::peft::{export_decoder, import_decoder};
use crate::engine::cpu::CpuKernels;
use crate::engine::quantised::WeightPrecision;
use crate::engine::{Batch, Engine};
use crate::language::dataset::{Row, sliding};
use crate::model::Decoder;
use crate::model::config::{Architecture, ModelConfig, ModelShape};
use crate::model::decoder::{DecoderAdapter, DecoderShape, DecoderTensor};
use crate::model::decoder_loader::DecoderLoader;
use crate::model::loader::LoadError;
use crate::train::language::LanguageTrainer;

/// Bytes of a file that are read at once.
const CHUNK: usize = 1 << 20;

/// What is asked. Each is an option of that name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The folder of `config.json` and the weights.
    pub model: PathBuf,
    /// The folder of `adapter_config.json` and `adapter_model.safetensors`.
    #[serde(default)]
    pub adapter: Option<PathBuf>,
    /// Sequences of tokens, `{"sequences": [[...], ...]}`.
    pub sequences: PathBuf,
    /// Steps of training on them, before the logits.
    #[serde(default)]
    pub steps: usize,
    /// What is trained in those steps.
    #[serde(default)]
    pub train: Trained,
    /// Where the trained adapter is written.
    #[serde(default)]
    pub export: Option<PathBuf>,
    /// What the frozen matrices are kept in: f32, int8 or int4.
    #[serde(default)]
    pub precision: WeightPrecision,
}

/// An adapter that PEFT has a file for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trained {
    /// Low-rank factors of all linear layers.
    #[default]
    Lora,
    /// Embeddings of virtual tokens.
    SoftPrompt,
    /// Their keys and values.
    Prefix,
}

impl Trained {
    fn adapter(self, shape: &DecoderShape) -> DecoderAdapterConfig {
        let trained = match self {
            Self::Lora => {
                return DecoderAdapterConfig::of_lora(DecoderLoraConfig {
                    rank: 4,
                    alpha: 8.0,
                    rank_stabilised: false,
                    dropout: 0.0,
                    targets: shape.targets().to_vec(),
                });
            }
            Self::SoftPrompt => VirtualTokens::SoftPrompt,
            Self::Prefix => VirtualTokens::Prefix,
        };
        DecoderAdapterConfig {
            virtual_tokens: Some(VirtualTokensConfig {
                num_virtual_tokens: 3,
                trained,
            }),
            ..DecoderAdapterConfig::default()
        }
    }
}

#[derive(Deserialize)]
struct Sequences {
    sequences: Vec<Vec<u32>>,
}

/// What the model says.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Its kind.
    pub architecture: &'static str,
    /// Values of the frozen tensors.
    pub parameters: usize,
    /// Values of the adapter.
    pub adapter_parameters: usize,
    /// Mean loss of the next token before each step, in nats.
    pub losses: Vec<f32>,
    /// The same after the last.
    pub loss: f64,
    /// As they were given.
    pub sequences: Vec<Vec<u32>>,
    /// Logits of each token's row, sequence after sequence.
    pub logits: Vec<Vec<f32>>,
}

/// Loads, trains and evaluates.
///
/// # Errors
/// [`EvalError`] names the file and what is wrong with it.
pub fn run(request: &Request) -> Result<Report, EvalError> {
    let given: Sequences = json(&request.sequences)?;
    let mut engine = CpuEngine::new(CpuKernels::new());
    let (architecture, mut decoder) = load(&request.model, &mut engine, request.precision)?;
    let shape = *decoder.shape();
    let (adapter, values) = match &request.adapter {
        Some(folder) => {
            let config = text(&folder.join("adapter_config.json"))?;
            let tensors = read(&folder.join("adapter_model.safetensors"))?;
            import_decoder(&config, &tensors, architecture, &shape)?
        }
        None if request.steps > 0 => {
            let config = request.train.adapter(&shape);
            let adapter = DecoderAdapter::of_config(&shape, &config);
            let values = adapter.initial(1);
            (adapter, values)
        }
        None => (DecoderAdapter::default(), Vec::new()),
    };
    decoder.attach(adapter);
    let mut trainer = LanguageTrainer::new(engine, decoder, crate::bench::OPTIMIZER);
    trainer.set_adapter(&values)?;
    let rows = rows(&given.sequences, &request.sequences, shape.context)?;
    let losses = (0..request.steps)
        .map(|_| pollster::block_on(trainer.step(&rows.iter().collect::<Vec<_>>())))
        .collect::<Result<Vec<f32>, _>>()?;
    let loss = pollster::block_on(trainer.score(&rows, rows.len()))?.mean();
    if let Some(folder) = &request.export {
        let flat = pollster::block_on(trainer.adapter())?;
        let adapter = trainer.decoder().adapter();
        let (config, tensors) = export_decoder(adapter, &flat, architecture, &shape)?;
        write(&folder.join("adapter_config.json"), config.as_bytes())?;
        write(&folder.join("adapter_model.safetensors"), &tensors)?;
    }
    let (mut engine, decoder) = trainer.into_parts();
    let mut logits = Vec::new();
    for sequence in &given.sequences {
        logits.extend(logits_of(&mut engine, &decoder, sequence)?);
    }
    let tensors = DecoderTensor::all(&shape);
    let sizes = tensors.iter().map(|tensor| tensor.shape(&shape));
    Ok(Report {
        architecture: architecture.name(),
        parameters: sizes.map(|[rows, columns]| rows * columns).sum(),
        adapter_parameters: values.len(),
        losses,
        loss,
        sequences: given.sequences,
        logits,
    })
}

/// A decoder from a folder of the Hugging Face layout, whole or in shards.
///
/// # Errors
/// [`EvalError`] names the file and what is wrong with it.
pub fn load(
    folder: &Path,
    engine: &mut CpuEngine,
    precision: WeightPrecision,
) -> Result<(Architecture, Decoder<CpuTensor>), EvalError> {
    let path = folder.join("config.json");
    let wrong = |reason: String| EvalError::Content {
        path: path.clone(),
        reason,
    };
    let config = ModelConfig::parse(&text(&path)?).map_err(|error| wrong(error.to_string()))?;
    let ModelShape::Decoder(shape) = config.shape else {
        return Err(wrong(format!(
            "{} is no decoder",
            config.architecture.name()
        )));
    };
    let mut loader = DecoderLoader::new(config.architecture, shape, precision);
    for name in files(folder)? {
        let path = folder.join(name);
        let failed = |error| EvalError::File {
            path: path.clone(),
            error,
        };
        let refused = |error: LoadError| EvalError::Content {
            path: path.clone(),
            reason: error.to_string(),
        };
        let mut file = File::open(&path).map_err(failed)?;
        let mut chunk = vec![0; CHUNK];
        loop {
            let len = file.read(&mut chunk).map_err(failed)?;
            if len == 0 {
                break;
            }
            loader.push(engine, &chunk[..len]).map_err(refused)?;
        }
        loader.end_file().map_err(refused)?;
    }
    let decoder = loader.finish(DecoderAdapter::default());
    let decoder = decoder.map_err(|error| EvalError::Content {
        path: folder.to_owned(),
        reason: error.to_string(),
    })?;
    Ok((config.architecture, decoder))
}

/// The names of the weights' files: those of the index, or the one file.
fn files(folder: &Path) -> Result<Vec<String>, EvalError> {
    let index = folder.join("model.safetensors.index.json");
    if !index.exists() {
        return Ok(vec!["model.safetensors".to_owned()]);
    }
    #[derive(Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    let Index { weight_map } = json(&index)?;
    let mut names: Vec<String> = weight_map.into_values().collect();
    names.sort();
    names.dedup();
    match names
        .iter()
        .find(|name| Path::new(name).components().count() != 1)
    {
        Some(name) => Err(EvalError::Content {
            path: index,
            reason: format!("{name:?} is no file beside it"),
        }),
        None => Ok(names),
    }
}

fn rows(sequences: &[Vec<u32>], path: &Path, context: usize) -> Result<Vec<Row>, EvalError> {
    let mut rows = Vec::new();
    for sequence in sequences {
        let cut = sliding(sequence, context, context).map_err(|error| EvalError::Content {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        rows.extend(cut);
    }
    if rows.iter().all(|row| row.scored() == 0) {
        return Err(EvalError::Content {
            path: path.to_owned(),
            reason: "no sequence has two tokens".to_owned(),
        });
    }
    Ok(rows)
}

fn logits_of(
    engine: &mut CpuEngine,
    decoder: &Decoder<CpuTensor>,
    sequence: &[u32],
) -> Result<Vec<Vec<f32>>, EvalError> {
    let prompt = decoder.adapter().num_virtual_tokens();
    let batch = Batch {
        tokens: sequence.to_vec(),
        token_starts: vec![0, sequence.len() as u32],
        num_virtual_tokens: prompt,
        ..Batch::default()
    };
    engine.begin(&batch, false)?;
    let hidden = decoder.hidden(engine)?;
    let logits = decoder.logits(engine, &hidden)?;
    let values = pollster::block_on(engine.read(&logits))?;
    let rows = values.chunks_exact(decoder.shape().vocabulary);
    Ok(rows.skip(prompt as usize).map(<[f32]>::to_vec).collect())
}

fn text(path: &Path) -> Result<String, EvalError> {
    String::from_utf8(read(path)?).map_err(|error| EvalError::Content {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

fn json<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T, EvalError> {
    serde_json::from_slice(&read(path)?).map_err(|error| EvalError::Content {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), EvalError> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, bytes));
    written.map_err(|error| EvalError::File {
        path: path.to_owned(),
        error,
    })
}

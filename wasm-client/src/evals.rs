//! Evaluations of language models on this machine: `cargo xtask eval NAME`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::adapter::peft::PeftError;
use crate::engine::EngineError;
use crate::engine::cpu::{CpuBuffer, CpuKernels};
use crate::engine::quantised::WeightPrecision;
use crate::engine::record::{Recorded, Value};
use crate::language::llama2c::{Llama2cTokenizer, TokenizerError};
use crate::language::sampling::SamplingError;
use crate::model::Decoder;
use crate::model::decoder::DecoderAdapter;
use crate::model::llama2c::{Llama2cCheckpoint, Llama2cError};
use crate::sim::SimError;
use crate::train::TrainError;

pub mod checkpoint;
pub mod instructions;
pub mod mean;
pub mod preferences;
pub mod progress;
pub mod shakespeare;
pub mod start;
pub mod stories;
pub mod workers;

/// The engine of the evaluations.
pub type CpuEngine = Recorded<CpuKernels>;

/// Tensors of every [`CpuEngine`].
pub type CpuTensor = Value<CpuBuffer>;

/// What can go wrong in an evaluation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] Llama2cError),
    /// The tokenizer.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The choice of a token.
    #[error(transparent)]
    Sampling(#[from] SamplingError),
    /// An adapter of PEFT's.
    #[error(transparent)]
    Peft(#[from] PeftError),
    /// Training.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A round of the secure sum.
    #[error(transparent)]
    Sum(#[from] SimError),
    /// The published sum is not the plain one: a fault of the program.
    #[error("round {round}: the secure sum is not the plain sum")]
    SumDiffers {
        /// The round.
        round: u32,
    },
    /// A thread ended before its work did.
    #[error("a worker ended early")]
    Worker,
    /// An option that cannot be.
    #[error("{0}")]
    Option(String),
}

/// A file's bytes.
///
/// # Errors
/// [`EvalError::File`] names it.
pub fn read(path: &Path) -> Result<Vec<u8>, EvalError> {
    std::fs::read(path).map_err(|error| EvalError::File {
        path: path.to_owned(),
        error,
    })
}

/// Settings from a command line's options, by their names.
///
/// # Errors
/// [`EvalError::Option`] says which cannot be.
pub fn settings<T: DeserializeOwned>(options: &BTreeMap<String, String>) -> Result<T, EvalError> {
    let field = |(name, value): (&String, &String)| {
        let read = serde_json::from_str(value);
        let value = read.unwrap_or_else(|_| serde_json::Value::from(value.as_str()));
        (name.trim_start_matches('-').to_owned(), value)
    };
    let fields: serde_json::Map<String, serde_json::Value> = options.iter().map(field).collect();
    serde_json::from_value(fields.into()).map_err(|error| EvalError::Option(error.to_string()))
}

/// Writes a file.
///
/// # Errors
/// [`EvalError::File`] names it.
pub fn write(path: &Path, text: &str) -> Result<(), EvalError> {
    std::fs::write(path, text).map_err(|error| EvalError::File {
        path: path.to_owned(),
        error,
    })
}

/// stories260K with its tokenizer, from the folder of shared data.
pub struct Stories {
    /// The decoder, without an adapter. Its tensors serve any number of engines.
    pub decoder: Decoder<CpuTensor>,
    /// Its tokenizer.
    pub tokenizer: Llama2cTokenizer,
}

impl Stories {
    /// Reads both files.
    ///
    /// # Errors
    /// [`EvalError`] names the file, or what is wrong with it.
    pub fn read(shared: &Path, engine: &mut CpuEngine) -> Result<Self, EvalError> {
        let folder = shared.join("models/stories260K");
        let bytes = read(&folder.join("stories260K.bin"))?;
        let checkpoint = Llama2cCheckpoint::read(&bytes)?;
        let adapter = DecoderAdapter::default();
        let decoder = checkpoint.load(engine, WeightPrecision::F32, adapter)?;
        let vocabulary = checkpoint.shape().vocabulary;
        let tokenizer = read(&folder.join("tok512.bin"))?;
        Ok(Self {
            decoder,
            tokenizer: Llama2cTokenizer::read(&tokenizer, vocabulary)?,
        })
    }
}

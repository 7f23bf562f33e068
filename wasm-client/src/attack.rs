//! Reconstruction: what an update gives away of the text behind it.
//!
//! An attacker sees one client's plain update, or a sum of several, with noise or without, and
//! guesses the words of one text whose length it is told. Attacked are the gradient of every
//! weight, and the update that Choir's clients make (LoRA and the head). The attacks:
//!
//! - *span* (DAGER, Petrov et al. 2024), over the whole vocabulary, or with the frequencies of
//!   public texts and an own calibration ([`span`](self), `guess`);
//! - *assembly*: of the tokens that the span of a sum allows, the sentence whose hidden states lie
//!   in the span of the second block's gradient (DAGER's second step, searched place by place);
//! - *retrieval* of the public text whose embedding the head's gradient shows;
//! - *matching* of gradients by optimisation (DLG, TAG, LAMP), on a few texts;
//! - *embedding rows* (FILM, Gupta et al. 2022): rows of a trained word embedding.
//!
//! All are scored by [`crate::metrics`] and compared with the guess of the most frequent words.
//! This is a measurement of what was tried. It proves leaks; it does not prove their absence.

use std::path::{Path, PathBuf};

use choir_shared::task::TaskError;
use serde::{Deserialize, Serialize};

use crate::engine::EngineError;
use crate::model::weights::WeightsError;
use crate::native::NativeError;
use crate::train::TrainError;

mod adapter;
mod assembly;
mod campaign;
mod cell;
mod guess;
mod matching;
mod network;
mod observation;
pub mod report;
mod retrieval;
mod span;
mod texts;
mod weights;

pub use campaign::run;

/// What to attack, as it stands in JSON.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Job {
    /// Folder with `model.safetensors` and `tokenizer.json`.
    pub model_dir: PathBuf,
    /// CSV of texts that the attacker has.
    pub public: PathBuf,
    /// CSV of texts that clients train on.
    pub private: PathBuf,
    /// Class names.
    pub labels: Vec<String>,
    /// Seed of all choices.
    pub seed: u64,
    /// How much of everything.
    pub sizes: Sizes,
}

/// How much of everything.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Sizes {
    /// Texts under attack.
    pub targets: usize,
    /// Further clients that make up the cohorts.
    pub others: usize,
    /// Clients that the attacker simulates on public texts to learn what its evidence is worth.
    pub shadows: usize,
    /// Public texts that the attacker embeds.
    pub library: usize,
    /// Numbers of clients in a sum; 1 is a plain update.
    pub clients: Vec<usize>,
    /// Standard deviation of the noise over the clip norm.
    pub noise_multiplier: f64,
    /// Whether LoRA and the head are attacked too.
    pub lora: bool,
    /// Texts under gradient matching.
    pub matching: usize,
    /// Steps of gradient matching.
    pub matching_steps: usize,
}

/// What can go wrong in an attack.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttackError {
    /// A file cannot be read.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The job or the data make no attack.
    #[error("{0}")]
    Data(String),
    /// The model or a table.
    #[error(transparent)]
    Native(#[from] NativeError),
    /// The model's file.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Training.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The task.
    #[error(transparent)]
    Task(#[from] TaskError),
}

impl AttackError {
    fn file(path: &Path, error: std::io::Error) -> Self {
        Self::File {
            path: path.to_owned(),
            error,
        }
    }
}

impl Job {
    /// Reads a job from JSON.
    ///
    /// # Errors
    /// [`AttackError::File`], [`AttackError::Data`].
    pub fn read(path: &Path) -> Result<Self, AttackError> {
        let bytes = std::fs::read(path).map_err(|error| AttackError::file(path, error))?;
        serde_json::from_slice(&bytes)
            .map_err(|error| AttackError::Data(format!("{}: {error}", path.display())))
    }
}

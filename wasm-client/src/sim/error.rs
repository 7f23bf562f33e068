//! What can go wrong in an experiment.

use std::path::{Path, PathBuf};

use choir_shared::ids::Digest;
use choir_shared::sim::partition::PartitionError;
use choir_shared::task::TaskError;

use crate::engine::EngineError;
use crate::native::NativeError;
use crate::train::TrainError;

/// What can go wrong in an experiment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// The experiment's file asks for something that cannot be.
    #[error("{0}")]
    Config(String),
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A data set without what is needed.
    #[error("{}: {reason}", path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A stored state of other settings.
    #[error(
        "{} is of other settings (wanted {wanted}): choose another --out, or start without --resume",
        path.display()
    )]
    OtherSettings {
        /// The file.
        path: PathBuf,
        /// Digest of the settings that it should be of.
        wanted: Digest,
    },
    /// A stored state that is none.
    #[error("{} is no state of a run: start without --resume", path.display())]
    BrokenState {
        /// The file.
        path: PathBuf,
    },
    /// An update that no round can carry.
    #[error("{strategy}, seed {seed}, round {round}: an update is not finite; lower the step size")]
    NotFinite {
        /// The strategy.
        strategy: String,
        /// The seed.
        seed: u64,
        /// The round.
        round: u32,
    },
    /// The published sum is not the plain one: a fault of the program.
    #[error("{strategy}, seed {seed}, round {round}: the secure sum is not the plain sum")]
    SumDiffers {
        /// The strategy.
        strategy: String,
        /// The seed.
        seed: u64,
        /// The round.
        round: u32,
    },
    /// A thread ended before its work did.
    #[error("a worker ended early")]
    Worker,
    /// Dealing out the texts.
    #[error("the texts cannot be dealt out: {0}")]
    Partition(#[from] PartitionError),
    /// The task's settings.
    #[error("the strategy makes no task: {0}")]
    Task(#[from] TaskError),
    /// The model, the tokenizer, a table.
    #[error(transparent)]
    Native(#[from] NativeError),
    /// Training.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl SimError {
    pub(super) fn file(path: &Path, error: std::io::Error) -> Self {
        Self::File {
            path: path.to_owned(),
            error,
        }
    }

    pub(super) fn data(path: &Path, reason: impl Into<String>) -> Self {
        Self::Data {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }
}

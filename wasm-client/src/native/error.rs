//! What can go wrong in a native job.

use std::path::PathBuf;

use choir_shared::task::TaskError;

use crate::engine::EngineError;
use crate::model::loader::LoadError;
use crate::train::TrainError;

/// What can go wrong in a native job.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NativeError {
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file of f32 whose size is not a multiple of four.
    #[error("{}: {bytes} bytes are not whole f32 values", path.display())]
    Floats {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: usize,
    },
    /// The file of the task.
    #[error("the task cannot be read: {0}")]
    Task(String),
    /// The tokenizer.
    #[error("the tokenizer: {0}")]
    Tokenizer(String),
    /// A table that is no table of labelled texts.
    #[error("{}, line {line}: {reason}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A text that cannot be used.
    #[error("{}: {reason}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The job names no file to write to.
    #[error("the job needs `out`")]
    NoOutput,
    /// The task's payload is no adapter.
    #[error("the task trains no adapter")]
    NoAdapter,
    /// The head is frozen and its file is not named.
    #[error("the task's head is frozen: the job needs `frozen_head`")]
    NoHead,
    /// The task's settings.
    #[error(transparent)]
    TaskSettings(#[from] TaskError),
    /// The model's file.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Training.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

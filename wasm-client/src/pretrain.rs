//! Pre-training of the built-in decoder, natively on burn: `cargo xtask pretrain`.
//!
//! Every weight is trained, by the same decoder ([`crate::model::Decoder`]) and the same engine
//! *burn* that are the reference for adapters. The corpus is prose of permissively licensed
//! documentation and the plays of tinyshakespeare less what is held out of each speaker; the
//! tokenizer is trained on it too.

use std::path::PathBuf;

use crate::engine::EngineError;

mod corpus;
pub mod federated;
mod files;
mod model;
mod prose;
pub mod run;
mod schedule;
pub mod settings;
mod tokenizer;

pub use settings::Settings;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PretrainError {
    /// A file or folder cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
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
    /// The tokenizer cannot be trained or used.
    #[error("the tokenizer: {0}")]
    Tokenizer(String),
    /// A setting that cannot be.
    #[error("{0}")]
    Setting(String),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

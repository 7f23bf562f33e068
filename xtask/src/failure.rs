//! What can go wrong in a command of the project, said so that a person knows what to do next.

use std::path::{Path, PathBuf};

/// Why a command stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line makes no sense.
    #[error("{0}\n\nrun `cargo xtask help` for what there is")]
    Usage(String),
    /// Something this machine lacks, with what to do about it.
    #[error("{what} is missing.\n{remedy}")]
    Missing {
        /// What is missing.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// A program that was started did not end well; its output is shown as it was.
    #[error("`{program}` failed ({status})\n{output}")]
    Program {
        /// The program with its first arguments.
        program: String,
        /// How it ended.
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The aggregator answered something else than it should.
    #[error("{method} {path}: {answer}")]
    Http {
        /// The method.
        method: &'static str,
        /// The path.
        path: String,
        /// Status and body, or why there was none.
        answer: String,
    },
    /// Data that cannot be used as it is.
    #[error("{0}")]
    Data(String),
    /// A check of the project did not hold.
    #[error("{0}")]
    Check(String),
}

/// The result of every command.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// Names the file in an error of the file system.
pub(crate) trait AtPath<T> {
    /// Adds `path` to the error.
    fn at(self, path: &Path) -> Outcome<T>;
}

impl<T> AtPath<T> for std::io::Result<T> {
    fn at(self, path: &Path) -> Outcome<T> {
        self.map_err(|source| Failure::File {
            path: path.to_owned(),
            source,
        })
    }
}

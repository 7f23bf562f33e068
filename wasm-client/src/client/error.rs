//! What ends a native client.

use choir_shared::ids::Digest;
use choir_shared::policy::PolicyError;
use choir_shared::round::JoinError;
use choir_shared::task::TaskError;
use choir_shared::update::UpdateError;
use choir_shared::wire::WireError;

use crate::native::NativeError;
use crate::train::TrainError;

/// What ends a native client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The aggregator gave no answer.
    #[error("{path}: no answer: {reason}")]
    Network {
        /// The route.
        path: String,
        /// What the last attempt came to.
        reason: String,
    },
    /// The aggregator refused.
    #[error("{path}: status {status}")]
    Refused {
        /// The route.
        path: String,
        /// HTTP.
        status: u16,
    },
    /// The aggregator answered something else than it should.
    #[error("{path}: {error}")]
    Unreadable {
        /// The route.
        path: String,
        /// What is wrong with it.
        error: WireError,
    },
    /// An object has another content than its digest says.
    #[error("the object {0} has another content")]
    Object(Digest),
    /// The task names another base model than the one that this client has.
    #[error("the task's base model is not the one in the folder that `model` names")]
    BaseModel,
    /// The share is of another kind than the task.
    #[error("the task is {task}: name {expected} in the plan")]
    Source {
        /// What the task is.
        task: &'static str,
        /// What such a task's clients have.
        expected: &'static str,
    },
    /// A text that has no token to learn.
    #[error("the text has no passage of two tokens")]
    NoText,
    /// The adapter has another length than the task's.
    #[error("the adapter has {found} values, not {expected}")]
    Adapter {
        /// Of the task.
        expected: usize,
        /// In the object.
        found: usize,
    },
    /// The task adds up by two aggregators, which native clients do not report to.
    #[error("the task adds up by two aggregators: native clients join rounds of one")]
    TwoAggregators,
    /// The threads that train are gone.
    #[error("no thread is left that trains")]
    Desk,
    /// A file for a test cannot be written.
    #[error("{path}: {error}", path = path.display())]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The task's settings make no sense.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The policy does not allow the task.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The update cannot be frozen.
    #[error(transparent)]
    Update(#[from] UpdateError),
    /// The round is not joined.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The base model or the examples.
    #[error(transparent)]
    Native(#[from] NativeError),
    /// Training.
    #[error(transparent)]
    Train(#[from] TrainError),
}

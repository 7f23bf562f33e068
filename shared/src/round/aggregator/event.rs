//! What goes into the aggregator's round and what comes out.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::ids::{ConnectionId, Digest, RoundId, TaskId, Timestamp, Version};
use crate::messages::{AbortReason, AggregatorMessage, ClientMessage, Receipt, Upload};
use crate::task::{TaskConfig, TaskError};
use crate::wire::WireError;

/// What a round is opened with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundSetup {
    /// The task's settings.
    pub task: TaskConfig,
    /// The task.
    pub task_id: TaskId,
    /// The round.
    pub round_id: RoundId,
    /// What its clients start from.
    pub version: Version,
    /// The global adapter of that version.
    pub adapter: Digest,
}

/// A round that cannot be opened.
pub type SetupError = TaskError;

/// Stored parts that are no round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The small part is of a task that makes no sense.
    #[error("the stored state is of no sound task: {0}")]
    Task(#[from] TaskError),
    /// A part does not decode.
    #[error("the stored state does not decode: {0}")]
    Wire(#[from] WireError),
    /// A part is missing, or of no such round.
    #[error("a stored part is missing or of another round")]
    Part,
    /// The sum is missing, or has another length than the round's.
    #[error("the stored sum does not fit the state")]
    Sum,
}

/// What happens to a round.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A client said something.
    Message {
        /// On this connection.
        from: ConnectionId,
        /// What.
        message: ClientMessage,
    },
    /// A masked vector arrived.
    Upload {
        /// The vector and its sender.
        upload: Upload<'a>,
        /// SHA-256 of its packed words, which the signature is over: where the platform hashes
        /// faster than this crate, the caller has it do so.
        digest: Digest,
    },
    /// What [`Effect::Expand`] asked for: the sum of the masks, one word for each coordinate.
    Expanded(Vec<u32>),
    /// A connection closed.
    Disconnected(ConnectionId),
    /// Time has passed.
    Tick,
    /// The operator stops the task.
    Stop,
}

/// What is to be done, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send this.
    Send {
        /// On each of these connections.
        to: Vec<ConnectionId>,
        /// What.
        message: AggregatorMessage,
    },
    /// Give a [`Event::Tick`] at this time; replaces the one before.
    WakeAt(Timestamp),
    /// Every seed is known: expand the masks of [`Round::expansion`](super::Round::expansion), here
    /// or in parts elsewhere, and give their sum by [`Event::Expanded`].
    Expand,
    /// The round is closed: store its results, then go on with the effects after this one.
    Publish(Outcome),
    /// The round is over without a result.
    Aborted(AbortReason),
}

/// A share that does not fit the seed that its owner committed to, found because the seed first came
/// out wrong: the owner dealt it so, or the holder opened another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispute {
    /// Whose seed it is a share of.
    pub owner: u16,
    /// Who opened it.
    pub holder: u16,
}

/// What came of a closed round.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The integer sum, the total weight last.
    pub sum: Vec<u32>,
    /// The weighted mean update.
    pub mean: Vec<f32>,
    /// Sum of the survivors' weights.
    pub total_weight: u32,
    /// Clients whose update is in the sum, by index.
    pub survivors: Vec<u16>,
    /// Clients in the roster.
    pub clients: u16,
    /// Clients of the roster whose update is not in the sum.
    pub dropped: u16,
    /// Shares that were found wrong, and left out.
    pub disputes: Vec<Dispute>,
    /// SHA-256 of the sum object.
    pub sum_digest: Digest,
    /// What the clients are told.
    pub receipt: Receipt,
}

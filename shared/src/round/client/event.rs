//! What goes into a client's round and what comes out.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::ids::{Digest, RoundId, TaskId, Timestamp, Version};
use crate::messages::{AbortReason, AggregatorMessage, Receipt};
use crate::policy::{Policy, PolicyError};
use crate::reject::RejectCode;
use crate::round::PhaseName;
use crate::task::{TaskConfig, TaskError};

/// What a client joins with.
#[derive(Clone, Copy, Debug)]
pub struct JoinSetup<'a> {
    /// The page's conditions.
    pub policy: Policy,
    /// The task's settings.
    pub task: &'a TaskConfig,
    /// The task.
    pub task_id: TaskId,
    /// The round.
    pub round_id: RoundId,
    /// What the update started from.
    pub version: Version,
    /// The global adapter of that version.
    pub adapter: Digest,
}

/// A round that is not joined. Nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// The task's settings make no sense.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The page's policy does not allow the task.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The update has another length than the task's payload.
    #[error("the update is not one of this task")]
    WrongLength,
    /// The task asks for a token and there is none, there is one and the task asks for none, or it
    /// is not its issuer's for these keys.
    #[error("the task's issuer does not vouch for these keys")]
    Token,
}

/// What happens to a client.
#[derive(Clone, Debug)]
pub enum ClientEvent {
    /// The aggregator said something.
    Message(AggregatorMessage),
    /// The upload was taken.
    Uploaded,
    /// The upload was refused.
    UploadRefused(RejectCode),
    /// The connection closed. Nothing is to be done: open another and say so.
    Disconnected,
    /// There is a new connection.
    Reconnected,
}

/// What the client is to do, or what it has to tell.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientEffect {
    /// Send these bytes over the socket.
    Send(Vec<u8>),
    /// Post these bytes as the upload.
    Upload(Vec<u8>),
    /// How full the lobby is.
    Lobby {
        /// Clients in it.
        joined: u16,
        /// The round starts at once with this many.
        cohort_size: u16,
        /// The round starts at the deadline with this many.
        min_cohort: u16,
        /// The lobby's deadline.
        deadline: Option<Timestamp>,
    },
    /// The client has entered this phase.
    Phase(PhaseName),
    /// The round is over and the update is in the sum.
    Finished(Receipt),
    /// The client has left, for good; its keys and its update are gone.
    Left(LeaveReason),
}

/// Why a client left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum LeaveReason {
    /// The update starts from an old version; this is the current one.
    #[error("the update starts from an old version")]
    StaleVersion(Version),
    /// The aggregator refused a message.
    #[error("refused: {0}")]
    Refused(RejectCode),
    /// The round was aborted.
    #[error("the round was aborted: {0}")]
    Aborted(AbortReason),
    /// The aggregator did something that an honest one does not.
    #[error(transparent)]
    Fault(#[from] ClientFault),
    /// The visitor wanted to.
    #[error("left on request")]
    Stopped,
}

impl LeaveReason {
    /// Whether the client may train again and join another round. The update that it had is burned
    /// in every case: one vector is never offered twice.
    #[must_use]
    pub const fn may_retrain(self) -> bool {
        match self {
            Self::StaleVersion(_) | Self::Aborted(_) => true,
            Self::Refused(code) => matches!(
                code,
                RejectCode::WrongPhase
                    | RejectCode::Late
                    | RejectCode::StaleVersion
                    | RejectCode::WrongModel
                    | RejectCode::RoundAborted
                    | RejectCode::UnknownClient
            ),
            Self::Fault(_) | Self::Stopped => false,
        }
    }
}

/// What a client found wrong with what it was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ClientFault {
    /// A message came before its turn.
    #[error("a message came before its turn")]
    OutOfOrder,
    /// The roster is malformed, or its size is outside of what the task and the policy allow.
    #[error("the roster's size is not one that was agreed to")]
    CohortSize,
    /// The header is not the one that the client makes by itself.
    #[error("the round's header is not the agreed one")]
    Header,
    /// Some key is not canonical, of small order, or there twice.
    #[error("the roster has a bad or repeated key")]
    RosterKeys,
    /// The client's own keys are not where it is told to be.
    #[error("the roster does not have the client's own keys")]
    NotInRoster,
    /// The list of those who shared is malformed, too short, or lacks the client.
    #[error("the list of those who shared is not acceptable")]
    Sharers,
    /// A box is missing, or not sealed by its sender for this client.
    #[error("a sealed box does not open")]
    ShareBox,
    /// The list of survivors is malformed, too short, no part of those who shared, or lacks the
    /// client.
    #[error("the list of survivors is not acceptable")]
    Survivors,
    /// Fewer valid signatures on the client's own list than the quorum.
    #[error("too few clients signed the same list of survivors")]
    Quorum,
    /// A message was repeated with other content.
    #[error("a message was repeated with other content")]
    Equivocation,
    /// The receipt is of another round, version or list of survivors.
    #[error("the receipt is not of this round")]
    Receipt,
    /// Some client's token is not the issuer's for its keys.
    #[error("the roster has a client that the issuer does not vouch for")]
    Token,
}

//! Bodies of the plain HTTP routes: what a site, a task and a round look like from outside, and
//! what an operator asks for. All travel through `wire::encode`.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::ids::{Digest, RoundId, TaskId, Timestamp, Version};
use crate::messages::AbortReason;
use crate::round::PhaseName;
use crate::task::TaskConfig;

/// Which task the page joins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteStatus {
    /// None before an operator has named one.
    pub task: Option<TaskId>,
}

/// Whether a task opens further rounds. Append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// A round is open.
    Running,
    /// No round is open.
    Stopped,
}

/// A task from outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskStatus {
    /// Its settings.
    pub config: TaskConfig,
    /// The newest global adapter.
    pub version: Version,
    /// The newest global adapter's object.
    pub adapter: Digest,
    /// The open round.
    pub round: Option<RoundId>,
    /// Whether rounds are opened.
    pub state: TaskState,
    /// Rounds still to run.
    pub rounds_left: u32,
    /// The task that follows this one.
    pub successor: Option<TaskId>,
    /// The last closed rounds, oldest first.
    pub history: Vec<RoundSummary>,
}

/// A closed round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundSummary {
    /// The round.
    pub round: RoundId,
    /// What its clients started from.
    pub version_before: Version,
    /// Clients in the roster.
    pub clients: u16,
    /// Clients whose update is in the sum.
    pub survivors: u16,
    /// Clients of the roster whose update is not.
    pub dropped: u16,
    /// The sum object.
    pub sum: Digest,
    /// The adapter object that it made.
    pub adapter: Digest,
    /// When it closed.
    pub closed_at: Timestamp,
    /// Payload bytes of all clients, to the aggregator.
    pub bytes_up: u64,
    /// Payload bytes of all clients, from the aggregator.
    pub bytes_down: u64,
}

/// An operator's request: a new task, whose version 0 is an object stored before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CreateTask {
    /// Its name on the wire.
    pub task_id: TaskId,
    /// Its settings.
    pub config: TaskConfig,
    /// The object of version 0.
    pub adapter: Digest,
    /// How many rounds to run.
    pub rounds: u32,
}

/// An operator's request: the task that follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuccessorRequest {
    /// The next task.
    pub task: TaskId,
}

/// A round from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundStatus {
    /// The round.
    pub round: RoundId,
    /// The task.
    pub task: TaskId,
    /// What its clients start from.
    pub version: Version,
    /// Where it stands.
    pub phase: PhaseName,
    /// Who is where.
    pub counts: RoundCounts,
    /// When the phase ends at the latest.
    pub deadline: Option<Timestamp>,
    /// With phase aborted: why.
    pub abort_reason: Option<AbortReason>,
}

/// How many clients have come how far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundCounts {
    /// In the lobby or the roster.
    pub joined: u16,
    /// The round starts at once with this many.
    pub cohort_size: u16,
    /// The round starts at the lobby's deadline with this many.
    pub min_cohort: u16,
    /// Whose socket is open.
    pub connected: u16,
    /// Who shared.
    pub shared: u16,
    /// Whose masked update arrived.
    pub survivors: u16,
    /// Who signed.
    pub acknowledged: u16,
    /// Who opened shares.
    pub opened: u16,
}

//! Both sides of a round as sans-IO state machines.
//!
//! Events and the time go in, effects come out. A refusal is `Err` and leaves the aggregator's round
//! as it was; a client that finds anything wrong leaves, silently and for good.

use core::fmt;

use serde::{Deserialize, Serialize};

pub mod aggregator;
pub mod client;

pub use aggregator::{Effect, Event, Outcome, Round, RoundSetup, SetupError, StateError};
#[cfg(feature = "test-util")]
pub use client::InsecureQuorum;
pub use client::{
    ClientEffect, ClientEvent, ClientFault, ClientRound, JoinError, JoinSetup, LeaveReason,
};

/// The steps of a round. Append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseName {
    /// JOIN until ROSTER: the lobby.
    Enroll,
    /// SHARE until DELIVER.
    ShareKeys,
    /// UPLOAD until SURVIVORS.
    Collect,
    /// ACK until ACKS.
    Confirm,
    /// OPEN until DONE.
    Unmask,
    /// DONE.
    Closed,
    /// Over without a result.
    Aborted,
}

impl PhaseName {
    /// The name in JSON and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enroll => "enroll",
            Self::ShareKeys => "share_keys",
            Self::Collect => "collect",
            Self::Confirm => "confirm",
            Self::Unmask => "unmask",
            Self::Closed => "closed",
            Self::Aborted => "aborted",
        }
    }
}

impl fmt::Display for PhaseName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

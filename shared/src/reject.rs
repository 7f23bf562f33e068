//! Refusals of the aggregator: one code for each reason, and nothing changed by what was refused.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::Version;
use crate::wire::WireError;

macro_rules! reject_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// Why a message was refused. The order is the wire format: append only.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(rename_all = "snake_case")]
        #[repr(u16)]
        pub enum RejectCode {
            $($(#[$doc])* $name = $code,)*
        }

        impl RejectCode {
            /// Every code, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code's name in JSON and logs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

reject_codes! {
    /// More bytes than the receiver takes.
    TooLarge = 1, "too_large";
    /// The bytes end before the message does.
    Truncated = 2, "truncated";
    /// Bytes are left after the message.
    TrailingBytes = 3, "trailing_bytes";
    /// Another wire version.
    WireVersion = 4, "wire_version";
    /// The bytes do not follow the message's format.
    Malformed = 5, "malformed";
    /// The message names another round.
    WrongRound = 10, "wrong_round";
    /// The round is not in the phase that takes this message.
    WrongPhase = 11, "wrong_phase";
    /// This client has sent this message before.
    Duplicate = 12, "duplicate";
    /// The phase that takes this message is over.
    Late = 13, "late";
    /// A vector or list has another length than the round's.
    WrongLength = 14, "wrong_length";
    /// The sender is no client of this round.
    UnknownClient = 15, "unknown_client";
    /// The update starts from an old version; the answer names the current one.
    StaleVersion = 16, "stale_version";
    /// The signature does not verify.
    BadSignature = 17, "bad_signature";
    /// A key is not canonical, of small order, or equal to another.
    BadKey = 18, "bad_key";
    /// The client has another model, task config or adapter.
    WrongModel = 19, "wrong_model";
    /// The out-list is not the one of the round's graph.
    WrongNeighbours = 20, "wrong_neighbours";
    /// A share is not a canonical scalar.
    BadShare = 21, "bad_share";
    /// The cohort is full.
    Full = 22, "full";
    /// A counter does not grow: a replay.
    Replay = 23, "replay";
    /// The round is aborted.
    RoundAborted = 24, "round_aborted";
    /// The task is stopped.
    TaskStopped = 25, "task_stopped";
    /// The token is missing, not one of the task's issuer for these keys, or not asked for.
    BadToken = 26, "bad_token";
}

impl RejectCode {
    /// The code's number.
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
    }
}

impl fmt::Display for RejectCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A refused message. The round is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("refused: {code}")]
pub struct Reject {
    /// The reason.
    pub code: RejectCode,
    /// With [`RejectCode::StaleVersion`]: the current version.
    pub version: Option<Version>,
}

impl From<RejectCode> for Reject {
    fn from(code: RejectCode) -> Self {
        Self {
            code,
            version: None,
        }
    }
}

impl From<WireError> for RejectCode {
    fn from(error: WireError) -> Self {
        match error {
            WireError::TooLarge => Self::TooLarge,
            WireError::Truncated => Self::Truncated,
            WireError::TrailingBytes => Self::TrailingBytes,
            WireError::WireVersion(_) => Self::WireVersion,
            WireError::Malformed => Self::Malformed,
        }
    }
}

impl From<WireError> for Reject {
    fn from(error: WireError) -> Self {
        RejectCode::from(error).into()
    }
}

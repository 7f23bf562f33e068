//! What answers of an aggregator mean for a client, in a tab as in a native process: the two carry
//! bytes differently and must not differ in anything else.

use choir_shared::messages::AggregatorMessage;
use choir_shared::reject::RejectCode;
use choir_shared::round::{ClientEvent, LeaveReason};
use choir_shared::wire::{self, limits};

/// What follows after a client left its round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The update is stale or burned: train again, then join.
    Retrain,
    /// The round would not take the client. An update of which nothing was sent, not even masked,
    /// may join the next round of its version, rounded and masked afresh; else train again.
    Again,
    /// The aggregator cannot be trusted with another update.
    Stop,
}

impl Next {
    /// What follows `reason`.
    #[must_use]
    pub fn after(reason: LeaveReason) -> Self {
        match reason {
            LeaveReason::Refused(
                RejectCode::WrongPhase | RejectCode::Full | RejectCode::RoundAborted,
            ) => Self::Again,
            LeaveReason::Refused(RejectCode::TaskStopped) => Self::Retrain,
            reason if reason.may_retrain() => Self::Retrain,
            _ => Self::Stop,
        }
    }

    /// The name in events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retrain => "retrain",
            Self::Again => "again",
            Self::Stop => "stop",
        }
    }
}

/// What the answer to an upload, HTTP status and body, tells the client. A vector that the
/// aggregator already has counts as taken: the first answer was lost.
#[must_use]
pub fn upload_event(status: u16, body: &[u8]) -> ClientEvent {
    if (200..300).contains(&status) {
        return ClientEvent::Uploaded;
    }
    match wire::decode(body, limits::AGGREGATOR_MESSAGE) {
        Ok(AggregatorMessage::Refused {
            code: RejectCode::Duplicate,
            ..
        }) => ClientEvent::Uploaded,
        Ok(AggregatorMessage::Refused { code, .. }) => ClientEvent::UploadRefused(code),
        _ => ClientEvent::UploadRefused(RejectCode::Malformed),
    }
}

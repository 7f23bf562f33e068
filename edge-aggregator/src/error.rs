//! Refusals and faults, and the one table that turns them into HTTP.
//!
//! A refusal is the sender's: it is named. A fault is ours: it is logged and answered bare.

use choir_shared::ids::Version;
use choir_shared::messages::AggregatorMessage;
use choir_shared::reject::{Reject, RejectCode};
use choir_shared::report::EvaluationError;
use choir_shared::task::TaskError;
use choir_shared::two_aggregators::{BatchRefusal, BatchReply, HelperTaskError};
use choir_shared::wire;
use thiserror::Error;
use worker::{Headers, Response, ResponseBuilder};

/// Everything that ends a request other than by success.
#[derive(Debug, Error)]
pub enum EdgeError {
    /// The round refused an event.
    #[error("{code}")]
    Rejected {
        /// Why.
        code: RejectCode,
        /// The current version, where the client's was stale.
        version: Option<Version>,
    },
    /// No or a wrong operator's secret.
    #[error("unauthorized")]
    Unauthorized,
    /// A page of another origin that is not on the list.
    #[error("origin-not-allowed")]
    OriginNotAllowed,
    /// No such route.
    #[error("unknown-route")]
    UnknownRoute,
    /// No such task.
    #[error("unknown-task")]
    UnknownTask,
    /// Not a round of this task, or one that is forgotten.
    #[error("unknown-round")]
    UnknownRound,
    /// No object of that digest.
    #[error("unknown-object")]
    UnknownObject,
    /// The route exists, the method does not; these do.
    #[error("method-not-allowed")]
    MethodNotAllowed(&'static str),
    /// A body without a declared length.
    #[error("length-required")]
    LengthRequired,
    /// A body longer than its limit.
    #[error("too-large")]
    TooLarge,
    /// A body that does not decode.
    #[error("malformed")]
    Malformed,
    /// A body whose SHA-256 is not the one in the path.
    #[error("wrong-digest")]
    WrongDigest,
    /// A task with settings that no round can run with.
    #[error("bad-task: {0}")]
    BadTask(#[from] TaskError),
    /// A task that this helper does not serve.
    #[error("bad-task: {0}")]
    NotServed(#[from] HelperTaskError),
    /// A batch that the helper refuses.
    #[error("{0}")]
    Batch(#[from] BatchRefusal),
    /// An evaluation that cannot be one.
    #[error("bad-evaluation: {0}")]
    BadEvaluation(#[from] EvaluationError),
    /// A call that names an object which is missing or has another length.
    #[error("bad-object: {0}")]
    BadObject(&'static str),
    /// The socket route without a WebSocket upgrade.
    #[error("upgrade-required")]
    UpgradeRequired,
    /// A call that does not fit the task's state.
    #[error("{0}")]
    Conflict(&'static str),
    /// Too much at once; to be repeated.
    #[error("busy")]
    Busy,
    /// The deployment lacks something; the operator's to mend.
    #[error("misconfigured: {0}")]
    Misconfigured(String),
    /// Our own fault, for the log.
    #[error("fault: {0}")]
    Fault(String),
}

impl EdgeError {
    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Rejected { code, .. } => status_of_reject(*code),
            Self::Batch(refusal) => status_of_refusal(refusal),
            Self::Malformed => 400,
            Self::Unauthorized => 401,
            Self::OriginNotAllowed => 403,
            Self::UnknownRoute | Self::UnknownTask | Self::UnknownRound | Self::UnknownObject => {
                404
            }
            Self::MethodNotAllowed(_) => 405,
            Self::Conflict(_) => 409,
            Self::LengthRequired => 411,
            Self::TooLarge => 413,
            Self::WrongDigest
            | Self::BadTask(_)
            | Self::NotServed(_)
            | Self::BadObject(_)
            | Self::BadEvaluation(_) => 422,
            Self::UpgradeRequired => 426,
            Self::Misconfigured(_) | Self::Fault(_) => 500,
            Self::Busy => 503,
        }
    }

    /// The answer itself.
    ///
    /// # Errors
    /// Only if the runtime refuses a header.
    pub fn into_response(self) -> worker::Result<Response> {
        let headers = Headers::new();
        match &self {
            Self::MethodNotAllowed(allowed) => headers.set("allow", allowed)?,
            Self::Busy => headers.set("retry-after", "1")?,
            Self::Unauthorized => headers.set("www-authenticate", "Bearer")?,
            _ => {}
        }
        let answer = ResponseBuilder::new()
            .with_status(self.status())
            .with_headers(headers);
        match self {
            Self::Rejected { code, version } => {
                answer.from_bytes(wire::encode(&AggregatorMessage::Refused { code, version }))
            }
            Self::Batch(refusal) => answer.from_bytes(wire::encode(&BatchReply::Refused(refusal))),
            Self::Fault(fault) => {
                worker::console_error!("fault: {fault}");
                answer.ok("internal error\n")
            }
            named => answer.ok(format!("{named}\n")),
        }
    }
}

/// The status of a refusal by the round. Its body says which one it was.
fn status_of_reject(code: RejectCode) -> u16 {
    match code {
        RejectCode::TooLarge => 413,
        RejectCode::Truncated
        | RejectCode::TrailingBytes
        | RejectCode::WireVersion
        | RejectCode::Malformed => 400,
        RejectCode::BadSignature | RejectCode::BadToken | RejectCode::UnknownClient => 403,
        RejectCode::WrongRound
        | RejectCode::WrongPhase
        | RejectCode::Duplicate
        | RejectCode::Late
        | RejectCode::StaleVersion
        | RejectCode::Full
        | RejectCode::Replay => 409,
        RejectCode::RoundAborted | RejectCode::TaskStopped => 410,
        RejectCode::WrongLength
        | RejectCode::BadKey
        | RejectCode::WrongModel
        | RejectCode::WrongNeighbours
        | RejectCode::BadShare => 422,
    }
}

/// The status of a batch's refusal. Its body says which one it was.
const fn status_of_refusal(refusal: &BatchRefusal) -> u16 {
    match refusal {
        BatchRefusal::Malformed => 400,
        BatchRefusal::UnknownTask => 404,
        BatchRefusal::TooMany => 413,
        BatchRefusal::Header | BatchRefusal::OtherHelper => 422,
        BatchRefusal::TooFew { .. }
        | BatchRefusal::Repeated(_)
        | BatchRefusal::Used(_)
        | BatchRefusal::TooFewOpened(_) => 409,
    }
}

impl From<Reject> for EdgeError {
    fn from(reject: Reject) -> Self {
        Self::Rejected {
            code: reject.code,
            version: reject.version,
        }
    }
}

impl From<RejectCode> for EdgeError {
    fn from(code: RejectCode) -> Self {
        Self::Rejected {
            code,
            version: None,
        }
    }
}

impl From<worker::Error> for EdgeError {
    fn from(error: worker::Error) -> Self {
        Self::Fault(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_a_round_is_the_senders() {
        for code in RejectCode::ALL {
            let status = EdgeError::from(*code).status();
            assert!((400..500).contains(&status), "{code}: {status}");
        }
    }

    #[test]
    fn a_fault_is_ours() {
        assert_eq!(EdgeError::Fault("disk".into()).status(), 500);
    }
}

//! What the kinds of object say to each other. None of these paths is public: the router
//! forwards only paths that begin with `/v1/`.

use choir_shared::control::RoundSummary;
use choir_shared::ids::{Digest, RoundId, TaskId, Version};
use choir_shared::messages::AbortReason;
use choir_shared::report::RoundFigures;
use choir_shared::task::TaskConfig;
use choir_shared::wire;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use worker::js_sys::Uint8Array;
use worker::{Env, Method, Request, RequestInit, Response, Stub};

use crate::error::EdgeError;
use crate::limits::INTERNAL_MAX_BYTES;

/// Path of [`CreateTask`](choir_shared::control::CreateTask), to a task.
pub const CREATE: &str = "/internal/create";
/// Path of a question for an [`Opening`], to a task; the body is the round's identifier.
pub const OPENING: &str = "/internal/opening";
/// The same question of a round with two aggregators; a task answers that of its own mode.
pub const REPORT_OPENING: &str = "/internal/report-opening";
/// Path of a [`Report`], to a task.
pub const REPORT: &str = "/internal/report";
/// Path of a question for the task's [`TaskFigures`](choir_shared::report::TaskFigures).
pub const FIGURES: &str = "/internal/figures";
/// Path of a task to be listed, to the site; the body is its identifier.
pub const LIST: &str = "/internal/list";
/// Path of a question for the [`TaskList`](choir_shared::report::TaskList), to the site.
pub const LISTED: &str = "/internal/listed";
/// Path of masks to be expanded, to a lane.
pub const EXPAND: &str = "/internal/expand";
/// Path of a stop, to a round; answered by [`Stopping`].
pub const STOP: &str = "/internal/stop";

/// What a round is opened with.
#[derive(Debug, Serialize, Deserialize)]
pub struct Opening {
    /// The task's settings.
    pub config: TaskConfig,
    /// The version that the round's clients start from.
    pub version: Version,
    /// Its object.
    pub adapter: Digest,
}

/// How a round ended. To be repeated until it is answered; a repetition changes nothing.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    /// It made the next version.
    Closed(RoundSummary, RoundFigures),
    /// It made none.
    Aborted {
        /// The round.
        round: RoundId,
        /// Why.
        reason: AbortReason,
        /// The round in numbers.
        figures: RoundFigures,
    },
}

/// What came of a stop.
#[derive(Debug, Serialize, Deserialize)]
pub enum Stopping {
    /// The round is over without a result, or never began.
    Over,
    /// Its sum was already known: it closes by itself and reports.
    Closing,
}

/// The object of a task.
///
/// # Errors
/// [`EdgeError::Fault`] where the binding is missing.
pub fn task(env: &Env, task: TaskId) -> Result<Stub, EdgeError> {
    Ok(env
        .durable_object("TASKS")?
        .get_by_name(&task.to_string())?)
}

/// The object that names the site's task.
///
/// # Errors
/// [`EdgeError::Fault`] where the binding is missing.
pub fn site(env: &Env) -> Result<Stub, EdgeError> {
    Ok(env.durable_object("TASKS")?.get_by_name("site")?)
}

/// The object of a round.
///
/// # Errors
/// [`EdgeError::Fault`] where the binding is missing.
pub fn round(env: &Env, round: RoundId) -> Result<Stub, EdgeError> {
    Ok(env
        .durable_object("ROUNDS")?
        .get_by_name(&round.to_string())?)
}

/// The object that expands one range of coordinates of a round's masks.
///
/// # Errors
/// [`EdgeError::Fault`] where the binding is missing.
pub fn lane(env: &Env, round: RoundId, number: usize) -> Result<Stub, EdgeError> {
    Ok(env
        .durable_object("LANES")?
        .get_by_name(&format!("{round}/{number}"))?)
}

/// The object of a round with two aggregators, at the leader.
///
/// # Errors
/// [`EdgeError::Fault`] where the binding is missing.
pub fn reports(env: &Env, round: RoundId) -> Result<Stub, EdgeError> {
    Ok(env
        .durable_object("REPORTS")?
        .get_by_name(&round.to_string())?)
}

/// The object of a task's batches, at the helper.
///
/// # Errors
/// [`EdgeError::Fault`] where the binding is missing.
pub fn helper(env: &Env, task: TaskId) -> Result<Stub, EdgeError> {
    Ok(env
        .durable_object("HELPERS")?
        .get_by_name(&task.to_string())?)
}

/// Sends `body` to another object.
///
/// # Errors
/// [`EdgeError::Fault`] where it cannot be reached.
pub async fn post(stub: &Stub, path: &str, body: &[u8]) -> Result<Response, EdgeError> {
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_body(Some(Uint8Array::from(body).into()));
    let request = Request::new_with_init(&format!("https://choir.internal{path}"), &init)?;
    Ok(stub.fetch_with_request(request).await?)
}

/// Sends `question` to another object and decodes its answer.
///
/// # Errors
/// [`EdgeError::UnknownRound`] where the other knows nothing of it, else [`EdgeError::Fault`].
pub async fn ask<A: DeserializeOwned>(
    stub: &Stub,
    path: &str,
    question: &impl Serialize,
) -> Result<A, EdgeError> {
    let mut response = post(stub, path, &wire::encode(question)).await?;
    match response.status_code() {
        200 => {
            let bytes = response.bytes().await?;
            wire::decode(&bytes, INTERNAL_MAX_BYTES)
                .map_err(|error| EdgeError::Fault(format!("answer to {path}: {error}")))
        }
        404 => Err(EdgeError::UnknownRound),
        status => Err(EdgeError::Fault(format!(
            "{path} was answered with {status}"
        ))),
    }
}

/// The body of a call from another object.
///
/// # Errors
/// [`EdgeError::Malformed`].
pub async fn body<B: DeserializeOwned>(mut request: Request) -> Result<B, EdgeError> {
    let bytes = request.bytes().await?;
    wire::decode(&bytes, INTERNAL_MAX_BYTES).map_err(|_| EdgeError::Malformed)
}

/// An answer in the wire's form.
///
/// # Errors
/// Only if the runtime refuses to build it.
pub fn answer(value: &impl Serialize) -> Result<Response, EdgeError> {
    Ok(Response::from_bytes(wire::encode(value))?)
}

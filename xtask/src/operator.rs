//! The operator's calls to an aggregator, and what anyone may read from it.

use crate::failure::{Failure, Outcome};
use choir_shared::control::{CreateTask, RoundStatus, SiteStatus, SuccessorRequest, TaskStatus};
use choir_shared::ids::{Digest, RoundId, TaskId};
use choir_shared::wire::{self, limits};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// An aggregator, and the secret that makes its operator.
#[derive(Clone)]
pub(crate) struct Operator {
    base: String,
    secret: String,
    agent: ureq::Agent,
}

impl Operator {
    /// Speaks to the aggregator at `base`.
    pub(crate) fn new(base: &str, secret: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build();
        Self {
            base: base.trim_end_matches('/').to_owned(),
            secret: secret.to_owned(),
            agent: config.into(),
        }
    }

    /// Where it is.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// What makes its operator.
    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    /// Its port.
    pub(crate) fn port(&self) -> Option<u16> {
        self.base.rsplit(':').next()?.parse().ok()
    }

    /// Stores an object under its digest.
    ///
    /// # Errors
    /// `Http` where the aggregator refuses.
    pub(crate) fn put_object(&self, content: &[u8]) -> Outcome<Digest> {
        let digest = Digest::of(content);
        self.send("PUT", &format!("/v1/objects/{digest}"), content)?;
        Ok(digest)
    }

    /// Reads an object and checks its digest.
    ///
    /// # Errors
    /// `Http` without an answer, `Check` where the content is another.
    pub(crate) fn object(&self, digest: Digest) -> Outcome<Vec<u8>> {
        let content = self.read(&format!("/v1/objects/{digest}"), OBJECT_BYTES)?;
        if Digest::of(&content) != digest {
            return Err(Failure::Check(format!(
                "object {digest} has another digest"
            )));
        }
        Ok(content)
    }

    /// Creates a task and opens its first round.
    ///
    /// # Errors
    /// `Http` where the aggregator refuses.
    pub(crate) fn create(&self, request: &CreateTask) -> Outcome<()> {
        self.prepare(request)?;
        self.begin(request.task_id)
    }

    /// Creates a task that waits for its start.
    ///
    /// # Errors
    /// `Http` where the aggregator refuses.
    pub(crate) fn prepare(&self, request: &CreateTask) -> Outcome<()> {
        self.post("/v1/tasks", request)
    }

    /// Starts a task.
    ///
    /// # Errors
    /// `Http` where the aggregator refuses.
    pub(crate) fn begin(&self, task: TaskId) -> Outcome<()> {
        self.send("POST", &format!("/v1/tasks/{task}/start"), &[])
    }

    /// Registers a task with a helper.
    ///
    /// # Errors
    /// `Http` where the helper refuses.
    pub(crate) fn register(&self, request: &CreateTask) -> Outcome<()> {
        let path = format!("/v1/helper/tasks/{}", request.task_id);
        self.send("PUT", &path, &wire::encode(request))
    }

    /// Names the task that follows.
    ///
    /// # Errors
    /// `Http` where the aggregator refuses.
    pub(crate) fn succeed(&self, task: TaskId, next: TaskId) -> Outcome<()> {
        self.post(
            &format!("/v1/tasks/{task}/successor"),
            &SuccessorRequest { task: next },
        )
    }

    /// Names the task that the page joins.
    ///
    /// # Errors
    /// `Http` where the aggregator refuses.
    pub(crate) fn point_site(&self, task: TaskId) -> Outcome<()> {
        let body = wire::encode(&SiteStatus { task: Some(task) });
        self.send("PUT", "/v1/site", &body)
    }

    /// A task from outside.
    ///
    /// # Errors
    /// `Http` without an answer.
    pub(crate) fn task(&self, task: TaskId) -> Outcome<TaskStatus> {
        self.get(&format!("/v1/tasks/{task}"), limits::TASK_STATUS)
    }

    /// A round from outside.
    ///
    /// # Errors
    /// `Http` without an answer.
    pub(crate) fn round(&self, task: TaskId, round: RoundId) -> Outcome<RoundStatus> {
        self.get(
            &format!("/v1/tasks/{task}/rounds/{round}"),
            limits::SMALL_STATUS,
        )
    }

    fn get<T: DeserializeOwned>(&self, path: &str, max_bytes: usize) -> Outcome<T> {
        let body = self.read(path, max_bytes)?;
        wire::decode(&body, max_bytes).map_err(|error| refused("GET", path, error))
    }

    fn read(&self, path: &str, max_bytes: usize) -> Outcome<Vec<u8>> {
        let mut answer = self
            .agent
            .get(format!("{}{path}", self.base))
            .call()
            .map_err(|error| refused("GET", path, error))?;
        let status = answer.status();
        let body = answer
            .body_mut()
            .with_config()
            .limit(max_bytes as u64 + 1)
            .read_to_vec()
            .map_err(|error| refused("GET", path, error))?;
        if status.is_success() {
            Ok(body)
        } else {
            Err(refused("GET", path, status))
        }
    }

    fn post(&self, path: &str, request: &impl Serialize) -> Outcome<()> {
        self.send("POST", path, &wire::encode(request))
    }

    fn send(&self, method: &'static str, path: &str, body: &[u8]) -> Outcome<()> {
        let url = format!("{}{path}", self.base);
        let request = if method == "PUT" {
            self.agent.put(url)
        } else {
            self.agent.post(url)
        };
        let mut answer = request
            .header("authorization", format!("Bearer {}", self.secret))
            .header("content-type", "application/octet-stream")
            .send(body)
            .map_err(|error| refused(method, path, error))?;
        let status = answer.status();
        let text = answer.body_mut().read_to_vec().unwrap_or_default();
        if status.is_success() {
            return Ok(());
        }
        Err(refused(
            method,
            path,
            format!("{status} {}", String::from_utf8_lossy(&text)),
        ))
    }
}

fn refused(method: &'static str, path: &str, answer: impl ToString) -> Failure {
    Failure::Http {
        method,
        path: path.to_owned(),
        answer: answer.to_string(),
    }
}

const PATIENCE: Duration = Duration::from_secs(60);
const OBJECT_BYTES: usize = 256 << 20;

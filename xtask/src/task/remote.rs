//! Calls to an aggregator that may be anywhere, with errors that say what to do.

use crate::failure::{Failure, Outcome};
use choir_shared::control::TaskStatus;
use choir_shared::ids::{Digest, TaskId};
use choir_shared::report::TaskReport;
use choir_shared::wire::{self, limits};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Where the secret comes from.
const SECRET: &str = "OPERATOR_SECRET";

/// An aggregator.
pub(super) struct Remote {
    base: String,
    secret: Option<String>,
    agent: ureq::Agent,
}

/// What it answered.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Remote {
    /// The aggregator at `address`, with the secret of the environment.
    ///
    /// # Errors
    /// `Usage` for an address that is none.
    pub(super) fn new(address: &str) -> Outcome<Self> {
        Self::with_secret(address, std::env::var(SECRET).ok())
    }

    fn with_secret(address: &str, secret: Option<String>) -> Outcome<Self> {
        if !address.starts_with("http://") && !address.starts_with("https://") {
            return Err(Failure::Usage(format!(
                "`{address}` is no address of an aggregator: write https://host"
            )));
        }
        // An object of 100 MB may take minutes to send; an answer does not.
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .build();
        Ok(Self {
            base: address.trim_end_matches('/').to_owned(),
            secret: secret.map(|secret| secret.trim().to_owned()),
            agent: config.into(),
        })
    }

    /// Where it is.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// True where the operator's secret is at hand.
    pub(super) const fn has_secret(&self) -> bool {
        self.secret.is_some()
    }

    /// A task, as anyone sees it.
    ///
    /// # Errors
    /// `Check` where there is no such task or no answer.
    pub(super) fn status(&self, task: TaskId) -> Outcome<TaskStatus> {
        let path = format!("/v1/tasks/{task}");
        let answer = self.get(&path, limits::TASK_STATUS, false)?;
        wire::decode(&answer.body, limits::TASK_STATUS).map_err(|error| {
            Failure::Check(format!(
                "{}{path} answered something else than a task ({error}): is it an aggregator of \
                 this version?",
                self.base
            ))
        })
    }

    /// A task, as its operator sees it.
    ///
    /// # Errors
    /// As [`Self::status`], and for a wrong secret.
    pub(super) fn report(&self, task: TaskId) -> Outcome<TaskReport> {
        self.json(&format!("/v1/tasks/{task}/report"))
    }

    /// Reads a body of JSON that only the operator may see.
    ///
    /// # Errors
    /// `Check`, `Missing` without a secret.
    pub(super) fn json<T: DeserializeOwned>(&self, path: &str) -> Outcome<T> {
        let answer = self.get(path, JSON_BYTES, true)?;
        serde_json::from_slice(&answer.body).map_err(|error| {
            Failure::Check(format!(
                "{}{path} answered something else: {error}",
                self.base
            ))
        })
    }

    /// An object with the digest that it is asked for by.
    ///
    /// # Errors
    /// `Check` where it is missing or another.
    pub(super) fn object(&self, digest: Digest) -> Outcome<Vec<u8>> {
        let answer = self.get(&format!("/v1/objects/{digest}"), OBJECT_BYTES, false)?;
        if Digest::of(&answer.body) == digest {
            Ok(answer.body)
        } else {
            Err(Failure::Check(format!(
                "{} answered other bytes for the object {digest}",
                self.base
            )))
        }
    }

    /// Whether there is an object of that digest.
    ///
    /// # Errors
    /// `Check` without an answer.
    pub(super) fn has_object(&self, digest: Digest) -> Outcome<bool> {
        let url = format!("{}/v1/objects/{digest}", self.base);
        let answer = self.agent.head(url).call();
        let answer = answer.map_err(|error| self.unreachable(&error))?;
        match answer.status().as_u16() {
            200 => Ok(true),
            404 => Ok(false),
            status => Err(Failure::Check(format!(
                "{} answered {status} to the question for an object",
                self.base
            ))),
        }
    }

    /// Stores an object under its digest, unless it is there.
    ///
    /// # Errors
    /// As [`Self::operate`].
    pub(super) fn put_object(&self, content: &[u8]) -> Outcome<Digest> {
        let digest = Digest::of(content);
        if !self.has_object(digest)? {
            self.send("PUT", &format!("/v1/objects/{digest}"), content)?;
        }
        Ok(digest)
    }

    /// An operator's call.
    ///
    /// # Errors
    /// `Missing` without a secret, `Check` where it is refused.
    pub(super) fn operate(&self, path: &str, body: &[u8]) -> Outcome<()> {
        self.send("POST", path, body)
    }

    /// An operator's call that puts something in its place.
    ///
    /// # Errors
    /// As [`Self::operate`].
    pub(super) fn put(&self, path: &str, body: &[u8]) -> Outcome<()> {
        self.send("PUT", path, body)
    }

    fn send(&self, method: &str, path: &str, body: &[u8]) -> Outcome<()> {
        let url = format!("{}{path}", self.base);
        let request = match method {
            "PUT" => self.agent.put(url),
            _ => self.agent.post(url),
        };
        let answer = request
            .header("authorization", format!("Bearer {}", self.need_secret()?))
            .header("content-type", "application/octet-stream")
            .send(body);
        let answer = self.take(answer, ERROR_BYTES)?;
        self.accepted(path, answer).map(drop)
    }

    fn get(&self, path: &str, max_bytes: usize, secretly: bool) -> Outcome<Answer> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if secretly {
            request = request.header("authorization", format!("Bearer {}", self.need_secret()?));
        }
        let answer = self.take(request.call(), max_bytes)?;
        self.accepted(path, answer)
    }

    fn take(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
        max_bytes: usize,
    ) -> Outcome<Answer> {
        let mut answer = answer.map_err(|error| self.unreachable(&error))?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(max_bytes as u64 + 1);
        let body = body
            .read_to_vec()
            .map_err(|error| self.unreachable(&error))?;
        Ok(Answer { status, body })
    }

    fn accepted(&self, path: &str, answer: Answer) -> Outcome<Answer> {
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        let said = String::from_utf8_lossy(&answer.body).trim().to_owned();
        Err(Failure::Check(self.explained(path, answer.status, &said)))
    }

    /// What an answer means to the operator.
    fn explained(&self, path: &str, status: u16, said: &str) -> String {
        let base = &self.base;
        match (status, said) {
            (401, _) => format!(
                "{base} refused the operator's secret: {SECRET} is not the one that this \
                 aggregator was given"
            ),
            (404, "unknown-task") => {
                let task = path.split('/').nth(3).unwrap_or_default();
                format!("{base} has no task {task}: `cargo xtask task status` lists those it has")
            }
            (404, "unknown-object") => format!("{base} lacks the object of {path}"),
            (404, _) => {
                format!("{base}{path} is not there: is this an aggregator of this version?")
            }
            (409, "no-rounds-left") => "the task has run all of its rounds: create another".into(),
            (409, "too-many-rounds") => "so many rounds are more than a task can be given".into(),
            (500, said) if said.starts_with("misconfigured") => format!("{base} is {said}"),
            _ => format!("{base}{path} answered {status}: {said}"),
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        Failure::Check(format!(
            "{} does not answer ({error}): is the address right, and the aggregator running?",
            self.base
        ))
    }

    fn need_secret(&self) -> Outcome<&str> {
        let missing = || Failure::Missing {
            what: format!("the operator's secret in the environment variable {SECRET}"),
            remedy: "It is the one that was set by `wrangler secret put OPERATOR_SECRET`.".into(),
        };
        let secret = self.secret.as_deref();
        secret
            .filter(|secret| !secret.is_empty())
            .ok_or_else(missing)
    }
}

const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(120);
const ERROR_BYTES: usize = 64 * 1024;
const JSON_BYTES: usize = 1 << 20;
const OBJECT_BYTES: usize = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(secret: Option<&str>) -> Remote {
        let made = Remote::with_secret("http://127.0.0.1:9/", secret.map(str::to_owned));
        made.unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        let remote = remote(Some("x"));
        let task = "ab".repeat(16);
        let said =
            |status, text| remote.explained(&format!("/v1/tasks/{task}/start"), status, text);
        assert!(said(401, "unauthorized").contains("OPERATOR_SECRET is not the one"));
        assert!(said(404, "unknown-task").contains(&task));
        assert!(said(409, "no-rounds-left").contains("create another"));
        assert!(
            said(500, "misconfigured: the binding TASKS is no Durable Object").contains("TASKS")
        );
        assert!(said(503, "busy").contains("503: busy"));
    }

    #[test]
    fn an_address_that_is_none_and_one_that_is_silent_are_named() {
        assert!(matches!(
            Remote::with_secret("aggregator.example", None),
            Err(Failure::Usage(_))
        ));
        let error = remote(Some("x")).status(TaskId([0; 16])).err();
        let text = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(text.contains("127.0.0.1:9 does not answer"), "{text}");
    }

    #[test]
    fn a_call_of_the_operator_without_a_secret_says_where_it_comes_from() {
        for secret in [None, Some(""), Some("  ")] {
            let error = remote(secret).operate("/v1/tasks", &[]).err();
            let text = error.map(|error| error.to_string()).unwrap_or_default();
            assert!(text.contains("OPERATOR_SECRET"), "{text}");
        }
    }
}

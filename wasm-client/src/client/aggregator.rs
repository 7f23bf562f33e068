//! The aggregator's routes over HTTP, with the SDK's patience: four attempts, each wait about twice
//! the one before.

use std::io::{self, Read};
use std::time::Duration;

use choir_shared::control::TaskStatus;
use choir_shared::ids::{Digest, RoundId, TaskId};
use choir_shared::wire::{self, limits};

use super::entropy;
use super::error::ClientError;
use super::life::{Life, Point};

/// One client's way to the aggregator; its connections are its own.
pub(super) struct Aggregator {
    base: String,
    agent: ureq::Agent,
}

/// What came of an upload.
pub(super) enum Uploaded {
    /// The aggregator answered, with this HTTP status and body.
    Answer { status: u16, body: Vec<u8> },
    /// The client was lost on the way.
    Lost,
}

impl Aggregator {
    /// Speaks to the aggregator at `base`.
    pub(super) fn new(base: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build();
        Self {
            base: base.trim_end_matches('/').to_owned(),
            agent: config.into(),
        }
    }

    /// The task as it stands, its settings checked.
    pub(super) fn task(&self, task: TaskId) -> Result<TaskStatus, ClientError> {
        let path = format!("/v1/tasks/{task}");
        let body = self.get(&path, limits::TASK_STATUS)?;
        let status: TaskStatus = wire::decode(&body, limits::TASK_STATUS)
            .map_err(|error| ClientError::Unreadable { path, error })?;
        status.config.check()?;
        Ok(status)
    }

    /// An object, its digest checked.
    pub(super) fn object(&self, digest: Digest) -> Result<Vec<u8>, ClientError> {
        let content = self.get(&format!("/v1/objects/{digest}"), OBJECT_BYTES)?;
        if Digest::of(&content) == digest {
            Ok(content)
        } else {
            Err(ClientError::Object(digest))
        }
    }

    /// Where the socket of a round is.
    pub(super) fn socket_url(&self, task: TaskId, round: RoundId) -> String {
        // http becomes ws and https wss.
        let rest = self.base.strip_prefix("http").unwrap_or(&self.base);
        format!("ws{rest}/v1/tasks/{task}/rounds/{round}/socket")
    }

    /// Uploads a masked vector. Only a request that got no answer is sent again, and it is the same
    /// request: the aggregator takes a client's vector once.
    pub(super) fn upload(
        &self,
        task: TaskId,
        round: RoundId,
        bytes: &[u8],
        life: &Life,
    ) -> Result<Uploaded, ClientError> {
        let path = format!("/v1/tasks/{task}/rounds/{round}/upload");
        let mut reason = String::new();
        for attempt in 0..ATTEMPTS {
            self.pause_before(attempt);
            let mut body = Body::new(bytes, life);
            let sent = self
                .agent
                .post(format!("{}{path}", self.base))
                .header("content-type", "application/octet-stream")
                .header("content-length", bytes.len().to_string())
                .send(ureq::SendBody::from_reader(&mut body));
            if body.is_lost {
                return Ok(Uploaded::Lost);
            }
            let answered = sent.and_then(|mut answer| {
                let body = answer.body_mut().with_config();
                let body = body
                    .limit(limits::AGGREGATOR_MESSAGE as u64)
                    .read_to_vec()?;
                Ok((answer.status().as_u16(), body))
            });
            match answered {
                Ok((status, body)) if status < 500 => {
                    return Ok(Uploaded::Answer { status, body });
                }
                Ok((status, _)) => reason = format!("status {status}"),
                Err(error) => reason = error.to_string(),
            }
        }
        Err(ClientError::Network { path, reason })
    }

    fn get(&self, path: &str, max_bytes: usize) -> Result<Vec<u8>, ClientError> {
        let mut reason = String::new();
        for attempt in 0..ATTEMPTS {
            self.pause_before(attempt);
            match self.once(path, max_bytes) {
                Ok((200..300, body)) => return Ok(body),
                Ok((status @ 0..500, _)) => {
                    let path = path.to_owned();
                    return Err(ClientError::Refused { path, status });
                }
                Ok((status, _)) => reason = format!("status {status}"),
                Err(error) => reason = error.to_string(),
            }
        }
        let path = path.to_owned();
        Err(ClientError::Network { path, reason })
    }

    fn once(&self, path: &str, max_bytes: usize) -> Result<(u16, Vec<u8>), ureq::Error> {
        let mut answer = self.agent.get(format!("{}{path}", self.base)).call()?;
        let body = answer.body_mut().with_config();
        let body = body.limit(max_bytes as u64 + 1).read_to_vec()?;
        Ok((answer.status().as_u16(), body))
    }

    fn pause_before(&self, attempt: u32) {
        if attempt > 0 {
            std::thread::sleep(jittered(FIRST_WAIT * (1 << attempt)));
        }
    }
}

/// More or less this wait: many clients must not come back at the same moment.
pub(super) fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.75 + entropy::fraction() / 2.0)
}

/// An upload's body, which ends in the middle where the client does.
struct Body<'a> {
    bytes: &'a [u8],
    sent: usize,
    life: &'a Life,
    is_lost: bool,
}

impl<'a> Body<'a> {
    fn new(bytes: &'a [u8], life: &'a Life) -> Self {
        Self {
            bytes,
            sent: 0,
            life,
            is_lost: false,
        }
    }
}

impl Read for Body<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let cut = self.life.ends_at(Point::MidUpload);
        let end = if cut {
            self.bytes.len() / 2
        } else {
            self.bytes.len()
        };
        if self.life.is_over() || (cut && self.sent >= end) {
            self.is_lost = true;
            return Err(io::Error::other("the client is lost"));
        }
        let len = out.len().min(end - self.sent);
        out[..len].copy_from_slice(&self.bytes[self.sent..self.sent + len]);
        self.sent += len;
        Ok(len)
    }
}

const ATTEMPTS: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(120);
const OBJECT_BYTES: usize = 256 << 20;

//! One client's way through one round: carries bytes between [`ClientRound`], which decides
//! everything, and the aggregator. Messages are taken strictly one after the other.

use std::time::Duration;

use choir_shared::ids::{RoundId, TaskId, Version};
use choir_shared::messages::{AggregatorMessage, Receipt};
use choir_shared::round::{ClientEffect, ClientEvent, ClientRound, LeaveReason, PhaseName};
use choir_shared::wire::{self, limits};

use super::aggregator::{Aggregator, Uploaded, jittered};
use super::entropy::SystemEntropy;
use super::error::ClientError;
use super::event::Event;
use super::life::{Life, Point};
use super::socket::{Received, Socket};
use crate::answers::{Next, upload_event};

/// What a round needs of its surroundings.
pub(super) struct Surroundings<'a> {
    pub(super) aggregator: &'a Aggregator,
    pub(super) task: TaskId,
    pub(super) round: RoundId,
    pub(super) version: Version,
    pub(super) life: Life,
    pub(super) say: &'a dyn Fn(Event),
}

/// How a round ended for a client.
pub(super) enum Outcome {
    /// The update is in the published sum.
    Published,
    /// Train again, then join.
    Retrain,
    /// Nothing of the update was sent: it may join another round of the same version.
    Again,
    /// The client is lost, as planned.
    Lost,
    /// The client wants no more of this aggregator.
    Stopped(String),
}

/// Joins the round and stays to its end.
///
/// # Errors
/// [`ClientError::Network`] where an upload gets no answer.
pub(super) fn take_part(
    surroundings: Surroundings<'_>,
    client: ClientRound,
    first: Vec<ClientEffect>,
) -> Result<Outcome, ClientError> {
    let drive = Drive {
        surroundings,
        client,
        socket: None,
        first: Some(first),
        phase: PhaseName::Enroll,
        uploaded: false,
        attempts: 0,
        bytes_up: 0,
        bytes_down: 0,
    };
    drive.run()
}

struct Drive<'a> {
    surroundings: Surroundings<'a>,
    client: ClientRound,
    socket: Option<Socket>,
    /// What to do once there is a socket; nothing once it is done.
    first: Option<Vec<ClientEffect>>,
    phase: PhaseName,
    uploaded: bool,
    attempts: u32,
    bytes_up: u64,
    bytes_down: u64,
}

/// `Some` ends the round.
type Step = Result<Option<Outcome>, ClientError>;

impl Drive<'_> {
    fn run(mut self) -> Result<Outcome, ClientError> {
        loop {
            if let Some(outcome) = self.step()? {
                return Ok(outcome);
            }
        }
    }

    fn step(&mut self) -> Step {
        if self.surroundings.life.is_over() {
            return Ok(Some(self.lost()));
        }
        let Some(socket) = &mut self.socket else {
            return self.connect();
        };
        match socket.next(self.surroundings.life.at_most(POLL)) {
            Received::Nothing => Ok(None),
            Received::Closed => self.closed(),
            Received::Message(bytes) => self.hear(&bytes),
        }
    }

    fn connect(&mut self) -> Step {
        let Surroundings {
            aggregator,
            task,
            round,
            ..
        } = self.surroundings;
        self.socket = Socket::open(&aggregator.socket_url(task, round));
        if self.socket.is_none() {
            return self.closed();
        }
        self.attempts = 0;
        match self.first.take() {
            Some(first) => {
                let version = self.surroundings.version;
                self.surroundings.life.begin();
                self.say(Event::Joining { round, version });
                self.apply(first)
            }
            None => {
                self.say(Event::Connection { open: true });
                let effects = self.tell(ClientEvent::Reconnected);
                self.apply(effects)
            }
        }
    }

    fn closed(&mut self) -> Step {
        self.socket = None;
        self.attempts += 1;
        let has_started = self.first.is_none();
        if !has_started && self.attempts >= ATTEMPTS_TO_START {
            return Ok(Some(Outcome::Again));
        }
        if self.attempts > MOST_ATTEMPTS {
            let reason = "the connection to the aggregator was lost".to_owned();
            return Ok(Some(Outcome::Stopped(reason)));
        }
        if has_started && self.attempts == 1 {
            self.say(Event::Connection { open: false });
            let effects = self.tell(ClientEvent::Disconnected);
            if let Some(outcome) = self.apply(effects)? {
                return Ok(Some(outcome));
            }
        }
        let wait = LONGEST_WAIT.min(FIRST_WAIT * (1 << self.attempts.min(8)));
        std::thread::sleep(self.surroundings.life.at_most(jittered(wait)));
        Ok(None)
    }

    fn hear(&mut self, bytes: &[u8]) -> Step {
        self.bytes_down += bytes.len() as u64;
        let message: AggregatorMessage = match wire::decode(bytes, limits::AGGREGATOR_MESSAGE) {
            Ok(message) => message,
            Err(error) => return Ok(Some(Outcome::Stopped(error.to_string()))),
        };
        let effects = self.tell(ClientEvent::Message(message));
        self.apply(effects)
    }

    fn tell(&mut self, event: ClientEvent) -> Vec<ClientEffect> {
        self.client.handle(event, &mut SystemEntropy)
    }

    fn apply(&mut self, effects: Vec<ClientEffect>) -> Step {
        for effect in effects {
            if let Some(outcome) = self.carry_out(effect)? {
                return Ok(Some(outcome));
            }
        }
        Ok(None)
    }

    fn carry_out(&mut self, effect: ClientEffect) -> Step {
        match effect {
            ClientEffect::Send(bytes) => Ok(self.send(&bytes)),
            ClientEffect::Upload(bytes) => self.upload(&bytes),
            ClientEffect::Lobby { .. } => Ok(None),
            ClientEffect::Phase(phase) => {
                self.phase = phase;
                let milliseconds = self.surroundings.life.milliseconds();
                let phase = phase.as_str();
                self.say(Event::Phase {
                    phase,
                    milliseconds,
                });
                Ok(None)
            }
            ClientEffect::Finished(receipt) => Ok(Some(self.finished(&receipt))),
            ClientEffect::Left(reason) => Ok(Some(self.left(reason))),
        }
    }

    /// A message that is lost with its socket is made good by the Resume over the next one.
    fn send(&mut self, bytes: &[u8]) -> Option<Outcome> {
        let shares = self.phase == PhaseName::ShareKeys;
        let life = self.surroundings.life;
        if life.is_over() || (shares && life.ends_at(Point::BeforeShare)) {
            return Some(self.lost());
        }
        let sent = self.socket.as_mut().is_some_and(|it| it.send(bytes));
        if sent {
            self.bytes_up += bytes.len() as u64;
        }
        (shares && life.ends_at(Point::AfterShare)).then(|| self.lost())
    }

    fn upload(&mut self, bytes: &[u8]) -> Step {
        let Surroundings {
            aggregator,
            task,
            round,
            life,
            ..
        } = self.surroundings;
        self.uploaded = true;
        let (status, body) = match aggregator.upload(task, round, bytes, &life)? {
            Uploaded::Answer { status, body } => (status, body),
            Uploaded::Lost => return Ok(Some(self.lost())),
        };
        self.bytes_up += bytes.len() as u64;
        self.bytes_down += body.len() as u64;
        let event = upload_event(status, &body);
        if matches!(event, ClientEvent::Uploaded) {
            self.say(Event::Uploaded { bytes: bytes.len() });
            if life.ends_at(Point::AfterUpload) {
                return Ok(Some(self.lost()));
            }
        }
        let effects = self.tell(event);
        self.apply(effects)
    }

    fn finished(&self, receipt: &Receipt) -> Outcome {
        self.say(Event::Finished {
            round: receipt.round,
            version: receipt.version,
            clients: receipt.clients,
            survivors: receipt.survivors,
            sum: receipt.sum,
            bytes_up: self.bytes_up,
            bytes_down: self.bytes_down,
            milliseconds: self.surroundings.life.milliseconds(),
        });
        Outcome::Published
    }

    fn left(&self, reason: LeaveReason) -> Outcome {
        let next = match Next::after(reason) {
            // A vector that was masked and sent once is never masked again.
            Next::Again if self.uploaded => Next::Retrain,
            next => next,
        };
        self.say(Event::Left {
            round: self.surroundings.round,
            reason: reason.to_string(),
            next: next.as_str(),
            bytes_up: self.bytes_up,
            bytes_down: self.bytes_down,
        });
        match next {
            Next::Retrain => Outcome::Retrain,
            Next::Again => Outcome::Again,
            Next::Stop => Outcome::Stopped(reason.to_string()),
        }
    }

    fn lost(&mut self) -> Outcome {
        // The connection ends without a closing frame.
        self.socket = None;
        let life = self.surroundings.life;
        self.say(Event::Lost {
            round: self.surroundings.round,
            at: life.point(),
            phase: self.phase.as_str(),
            milliseconds: life.milliseconds(),
        });
        Outcome::Lost
    }

    fn say(&self, event: Event) {
        (self.surroundings.say)(event);
    }
}

const POLL: Duration = Duration::from_millis(500);
const ATTEMPTS_TO_START: u32 = 3;
const MOST_ATTEMPTS: u32 = 12;
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

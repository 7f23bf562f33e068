//! One client: trains, joins, and goes on from the new version, as a visitor's session does.

use std::path::PathBuf;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use choir_shared::control::{TaskState, TaskStatus};
use choir_shared::ids::{RoundId, TaskId, Version};
use choir_shared::policy::Policy;
use choir_shared::round::{ClientEffect, ClientRound, JoinSetup};
use choir_shared::task::Aggregation;
use choir_shared::update::FrozenUpdate;

use super::aggregator::{Aggregator, jittered};
use super::entropy::SystemEntropy;
use super::error::ClientError;
use super::event::Event;
use super::life::{Life, Point};
use super::round::{Outcome, Surroundings, take_part};
use super::updates::{Update, Updates};

/// A client with everything that it needs.
pub(super) struct Machine<'a> {
    #[cfg_attr(
        not(feature = "observe"),
        expect(dead_code, reason = "only an observe build writes plain words")
    )]
    pub(super) number: usize,
    pub(super) aggregator: Aggregator,
    pub(super) task: TaskId,
    pub(super) policy: Policy,
    /// Rounds to take part in.
    pub(super) rounds: u32,
    /// Whether it ends with its first round, however that ends.
    pub(super) once: bool,
    pub(super) updates: Updates,
    pub(super) lose: Option<Point>,
    pub(super) mean_life: Option<Duration>,
    /// Where an observe build writes plain words.
    #[cfg_attr(
        not(feature = "observe"),
        expect(dead_code, reason = "only an observe build writes plain words")
    )]
    pub(super) out: Option<PathBuf>,
    pub(super) gate: Gate,
    pub(super) say: &'a (dyn Fn(Event) + Sync),
}

/// Where clients wait for each other before the first JOIN; one that fails earlier holds nobody up.
pub(super) struct Gate(pub(super) Option<Arc<Barrier>>);

impl Gate {
    fn pass(&mut self) {
        if let Some(barrier) = self.0.take() {
            barrier.wait();
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.pass();
    }
}

/// An update and the version that it started from.
struct Held {
    update: Update,
    version: Version,
}

impl Machine<'_> {
    /// Runs to the end of the session.
    pub(super) fn run(mut self) {
        let (reason, failed) = match self.session() {
            Ok(reason) => (reason, false),
            Err(error) => (error.to_string(), true),
        };
        (self.say)(Event::Ended { reason, failed });
    }

    fn session(&mut self) -> Result<String, ClientError> {
        let mut uploads = 0;
        let mut rounds = 0;
        loop {
            if uploads >= self.policy.uploads {
                return Ok("has given as many updates as its policy allows".to_owned());
            }
            let status = self.running()?;
            self.policy.allows(&status.config)?;
            if status.config.aggregation != Aggregation::OneAggregator {
                return Err(ClientError::TwoAggregators);
            }
            if status.rounds_left == 0 {
                match status.successor {
                    Some(next) => self.task = next,
                    None => return Ok("the task has had all its rounds".to_owned()),
                }
                continue;
            }
            let held = self.train(&status)?;
            match self.contribute(&held)? {
                Outcome::Published => {
                    uploads += 1;
                    rounds += 1;
                    if rounds >= self.rounds {
                        return Ok("took part in as many rounds as asked for".to_owned());
                    }
                }
                Outcome::Retrain | Outcome::Again if self.once => {
                    return Ok("left its only round".to_owned());
                }
                Outcome::Retrain | Outcome::Again => {}
                Outcome::Lost => return Ok("lost".to_owned()),
                Outcome::Stopped(reason) => return Ok(reason),
            }
        }
    }

    fn train(&self, status: &TaskStatus) -> Result<Held, ClientError> {
        let start = Instant::now();
        let update = self.updates.next(&self.aggregator, status)?;
        let version = status.version;
        (self.say)(Event::Trained {
            version,
            steps: update.steps,
            loss: update.loss,
            milliseconds: start.elapsed().as_millis() as u64,
        });
        Ok(Held { update, version })
    }

    /// Takes the update through a round of its version; another round where one would not have it.
    fn contribute(&mut self, held: &Held) -> Result<Outcome, ClientError> {
        loop {
            let status = self.aggregator.task(self.task)?;
            if status.version != held.version || status.rounds_left == 0 {
                return Ok(Outcome::Retrain);
            }
            let open = status.round.filter(|_| status.state == TaskState::Running);
            if let Some(round) = open {
                let (client, first) = self.join(&status, round, &held.update)?;
                self.gate.pass();
                let surroundings = Surroundings {
                    aggregator: &self.aggregator,
                    task: self.task,
                    round,
                    version: status.version,
                    life: Life::new(self.lose, self.mean_life),
                    say: &self.say,
                };
                match take_part(surroundings, client, first)? {
                    Outcome::Again if !self.once => {}
                    outcome => return Ok(outcome),
                }
            }
            std::thread::sleep(jittered(POLL));
        }
    }

    fn join(
        &self,
        status: &TaskStatus,
        round: RoundId,
        update: &Update,
    ) -> Result<(ClientRound, Vec<ClientEffect>), ClientError> {
        let setup = JoinSetup {
            policy: self.policy,
            task: &status.config,
            task_id: self.task,
            round_id: round,
            version: status.version,
            adapter: status.adapter,
        };
        let frozen = FrozenUpdate::new(
            &update.values,
            update.examples,
            &status.config,
            &mut SystemEntropy,
        )?;
        #[cfg(feature = "observe")]
        self.show(round, &frozen)?;
        Ok(ClientRound::join(&setup, frozen, &mut SystemEntropy)?)
    }

    /// Writes what must never leave the client, for a test that compares it with the sum.
    #[cfg(feature = "observe")]
    fn show(&self, round: RoundId, frozen: &FrozenUpdate) -> Result<(), ClientError> {
        let Some(out) = &self.out else { return Ok(()) };
        let file = out.join(format!("plain-{round}-native-{}.bin", self.number));
        let words = frozen.plain_words().iter();
        let bytes: Vec<u8> = words.flat_map(|word| word.to_le_bytes()).collect();
        std::fs::write(&file, bytes).map_err(|error| ClientError::File {
            path: file.clone(),
            error,
        })?;
        (self.say)(Event::Plain { round, file });
        Ok(())
    }

    /// The task's status once it has something to do.
    fn running(&self) -> Result<TaskStatus, ClientError> {
        loop {
            let status = self.aggregator.task(self.task)?;
            if status.rounds_left == 0 || status.state == TaskState::Running {
                return Ok(status);
            }
            std::thread::sleep(jittered(POLL));
        }
    }
}

const POLL: Duration = Duration::from_secs(1);

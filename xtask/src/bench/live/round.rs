//! One round of the live bench: starts the clients, hears them out, asks how the round ended.

use super::Options;
use crate::aggregator::Aggregator;
use crate::failure::{Failure, Outcome};
use crate::natives::{ClientEvent, Natives, Next, Told};
use crate::progress::Step;
use choir_shared::control::RoundStatus;
use choir_shared::ids::{RoundId, TaskId};
use choir_shared::round::PhaseName;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// What a round of the bench stands on.
pub(super) struct Live<'a> {
    pub(super) options: &'a Options,
    /// Mean lifetime in seconds.
    pub(super) mean: f64,
    pub(super) aggregator: &'a Aggregator,
    pub(super) program: &'a Path,
    pub(super) folder: &'a Path,
    pub(super) task: TaskId,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Measured {
    /// Whether the sum was published.
    pub(super) closed: bool,
    /// Why not.
    pub(super) abort: Option<&'static str>,
    /// Clients in the roster.
    pub(super) roster: u16,
    /// Whose update is in the sum; of an aborted round, whose upload had arrived.
    pub(super) survivors: u16,
    /// Clients lost before the roster.
    pub(super) lost_in_lobby: u16,
    /// Clients of the roster that were lost before the end, by the phase that they were in.
    pub(super) lost: BTreeMap<String, u16>,
    /// From a client's JOIN to DONE, median; nothing of an aborted round.
    pub(super) seconds: Option<f64>,
    /// From a client's JOIN to ROSTER, median.
    pub(super) lobby_seconds: Option<f64>,
    /// Of each phase after it: the median client's.
    pub(super) phase_seconds: BTreeMap<String, f64>,
    /// Payload of one client that stayed to the end, mean.
    pub(super) bytes_up: Option<f64>,
    /// Likewise, from the aggregator.
    pub(super) bytes_down: Option<f64>,
    /// CPU time of workerd.
    pub(super) server_cpu_seconds: Option<f64>,
    /// CPU time of all clients together, keys and random updates included.
    pub(super) client_cpu_seconds: Option<f64>,
}

impl Measured {
    /// Clients of the roster that were lost before the end.
    pub(super) fn lost_after_roster(&self) -> u16 {
        self.lost.values().sum()
    }

    /// For the step's line.
    pub(super) fn in_words(&self) -> String {
        let (roster, lost) = (self.roster, self.lost_after_roster());
        let end = match (self.closed, self.abort) {
            (true, _) => format!("closed with {}", self.survivors),
            (false, Some(reason)) => format!("aborted: {reason}"),
            (false, None) => "not over".to_owned(),
        };
        format!("{end}, {roster} in the roster, {lost} of them lost")
    }
}

impl Live<'_> {
    /// One round.
    ///
    /// # Errors
    /// `Check` where a client fails or the round does not end.
    pub(super) fn round(&self, step: &Step) -> Outcome<Measured> {
        let round = self.open_round()?;
        let before = self.aggregator.runtime_cpu_seconds();
        let natives = Natives::start(self.program, &self.plan(), self.folder)?;
        let mut heard = Heard::default();
        let start = Instant::now();
        loop {
            match natives.next(POLL)? {
                Next::Told(told) => heard.take(step, told)?,
                Next::Over => break,
                Next::Nothing if start.elapsed() > PATIENCE => {
                    return Err(Failure::Check("the clients did not end".to_owned()));
                }
                Next::Nothing => {}
            }
        }
        let client_cpu_seconds = natives.cpu_seconds();
        let status = self.ended(round)?;
        let after = self.aggregator.runtime_cpu_seconds();
        let mut measured = heard.measured();
        measured.closed = status.phase == PhaseName::Closed;
        measured.abort = status.abort_reason.map(|reason| reason.as_str());
        // An aborted round has forgotten its roster.
        measured.roster = status.counts.joined.max(measured.roster);
        measured.survivors = status.counts.survivors;
        measured.client_cpu_seconds = client_cpu_seconds;
        measured.server_cpu_seconds = before.zip(after).map(|(before, after)| after - before);
        Ok(measured)
    }

    fn plan(&self) -> Value {
        let client = json!({ "source": "random", "mean_life": self.mean });
        let clients = vec![client; usize::from(self.options.clients)];
        json!({
            "url": self.aggregator.operator.base(),
            "task": self.task,
            "policy": { "min_cohort": self.options.min_cohort() },
            "together": true,
            "once": true,
            "clients": clients,
        })
    }

    fn open_round(&self) -> Outcome<RoundId> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(round) = self.aggregator.operator.task(self.task)?.round {
                return Ok(round);
            }
            std::thread::sleep(POLL);
        }
        Err(Failure::Check("no round was opened".to_owned()))
    }

    /// The round's status once it is over.
    fn ended(&self, round: RoundId) -> Outcome<RoundStatus> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let status = self.aggregator.operator.round(self.task, round)?;
            if matches!(status.phase, PhaseName::Closed | PhaseName::Aborted) {
                return Ok(status);
            }
            std::thread::sleep(POLL);
        }
        Err(Failure::Check("the round did not end".to_owned()))
    }
}

/// What the clients have said.
#[derive(Default)]
struct Heard {
    /// By phase, when each client entered it: milliseconds since its JOIN.
    entered: BTreeMap<String, BTreeMap<usize, u64>>,
    lost: BTreeMap<String, u16>,
    done: Vec<u64>,
    up: Vec<u64>,
    down: Vec<u64>,
}

impl Heard {
    fn take(&mut self, step: &Step, told: Told) -> Outcome<()> {
        match told.event {
            ClientEvent::Phase {
                phase,
                milliseconds,
            } => {
                let clients = self.entered.entry(phase.clone()).or_default();
                clients.insert(told.client, milliseconds);
                step.detail(format!("{phase}: {}", clients.len()));
            }
            ClientEvent::Lost { phase, .. } => *self.lost.entry(phase).or_default() += 1,
            ClientEvent::Finished {
                bytes_up,
                bytes_down,
                milliseconds,
            } => {
                self.done.push(milliseconds);
                self.up.push(bytes_up);
                self.down.push(bytes_down);
            }
            ClientEvent::Ended {
                reason,
                failed: true,
            } => {
                return Err(Failure::Check(format!("client {}: {reason}", told.client)));
            }
            _ => {}
        }
        Ok(())
    }

    fn measured(mut self) -> Measured {
        let entered = |phase: PhaseName| -> Option<f64> {
            let clients = self.entered.get(phase.as_str())?;
            median(clients.values().copied().collect())
        };
        let mut starts: Vec<(String, Option<f64>)> = PHASES
            .iter()
            .map(|phase| (phase.as_str().to_owned(), entered(*phase)))
            .collect();
        starts.push((String::new(), median(self.done.clone())));
        let phase_seconds = starts
            .windows(2)
            .filter_map(|pair| Some((pair[0].0.clone(), (pair[1].1? - pair[0].1?) / 1000.0)))
            .collect();
        let in_lobby = self.lost.remove(PhaseName::Enroll.as_str());
        Measured {
            roster: self
                .entered
                .get(PhaseName::ShareKeys.as_str())
                .map_or(0, |it| it.len() as u16),
            lost_in_lobby: in_lobby.unwrap_or_default(),
            seconds: median(self.done.clone()).map(|ms| ms / 1000.0),
            lobby_seconds: entered_seconds(&self.entered, PhaseName::ShareKeys),
            phase_seconds,
            bytes_up: mean(&self.up),
            bytes_down: mean(&self.down),
            lost: self.lost,
            ..Measured::default()
        }
    }
}

fn entered_seconds(
    entered: &BTreeMap<String, BTreeMap<usize, u64>>,
    phase: PhaseName,
) -> Option<f64> {
    let clients = entered.get(phase.as_str())?;
    median(clients.values().copied().collect()).map(|ms| ms / 1000.0)
}

fn median(mut values: Vec<u64>) -> Option<f64> {
    values.sort_unstable();
    values.get(values.len() / 2).map(|value| *value as f64)
}

fn mean(values: &[u64]) -> Option<f64> {
    let sum: u64 = values.iter().sum();
    (!values.is_empty()).then(|| sum as f64 / values.len() as f64)
}

/// The phases after the lobby.
const PHASES: [PhaseName; 4] = [
    PhaseName::ShareKeys,
    PhaseName::Collect,
    PhaseName::Confirm,
    PhaseName::Unmask,
];
const POLL: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(180);

#[cfg(test)]
mod tests {
    use super::*;

    fn told(client: usize, event: ClientEvent) -> Told {
        Told { client, event }
    }

    #[test]
    fn losses_in_the_lobby_are_not_losses_of_the_roster() {
        let step = Step::start("losses");
        let mut heard = Heard::default();
        for (client, phase) in ["enroll", "collect", "collect", "unmask"]
            .iter()
            .enumerate()
        {
            let phase = (*phase).to_owned();
            let lost = ClientEvent::Lost { at: None, phase };
            heard.take(&step, told(client, lost)).expect("a loss");
        }
        let measured = heard.measured();
        step.done("");
        assert_eq!(measured.lost_in_lobby, 1);
        assert_eq!(measured.lost_after_roster(), 3);
        assert_eq!(measured.lost["collect"], 2);
        assert_eq!(measured.seconds, None);
    }

    #[test]
    fn phases_last_from_one_median_to_the_next() {
        let step = Step::start("phases");
        let mut heard = Heard::default();
        let mut enter = |client, phase: PhaseName, milliseconds| {
            let phase = phase.as_str().to_owned();
            let event = ClientEvent::Phase {
                phase,
                milliseconds,
            };
            heard.take(&step, told(client, event)).expect("a phase");
        };
        for client in 0..3 {
            let late = client as u64;
            enter(client, PhaseName::ShareKeys, 1_000 + late);
            enter(client, PhaseName::Collect, 1_500 + late);
        }
        let measured = heard.measured();
        step.done("");
        assert_eq!(measured.lobby_seconds, Some(1.001));
        assert_eq!(measured.phase_seconds["share_keys"], 0.5);
        assert!(!measured.phase_seconds.contains_key("collect"));
    }
}

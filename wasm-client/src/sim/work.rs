//! Everything that is to be run, shared out to threads: each has a model and a core of its own, so
//! that a run's numbers do not depend on how many there are.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};

use choir_shared::task::EncoderShape;

use super::Event;
use super::baseline::{self, Baseline, Kind};
use super::centroids::StartingPoint;
use super::config::Config;
use super::data::DataSet;
use super::error::SimError;
use super::federated;
use super::state::State;
use crate::engine::quantised::WeightPrecision;
use crate::native::base::Base;

/// What all runs have in common.
pub(super) struct Work<'a> {
    pub(super) config: &'a Config,
    pub(super) data: &'a DataSet,
    /// Where states are kept.
    pub(super) folder: &'a Path,
    /// Whether to go on from them.
    pub(super) resume: bool,
    /// Stop every run after this round.
    pub(super) until_round: Option<u32>,
    /// The base model.
    pub(super) model: &'a Path,
    pub(super) shape: EncoderShape,
}

/// One piece of work.
#[derive(Clone, Copy, Debug)]
enum Job {
    Strategy { index: usize, seed: u64 },
    Baseline { kind: Kind, seed: u64 },
}

/// What came of it.
#[derive(Default)]
pub(super) struct Results {
    /// By the strategy's place and the seed.
    pub(super) runs: Vec<(usize, u64, State)>,
    pub(super) baselines: Vec<Baseline>,
}

enum Message {
    Event(Event),
    Run(usize, u64, State),
    Baseline(Baseline),
    Failed(SimError),
}

impl Work<'_> {
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn last_round(&self) -> u32 {
        let until = self.until_round.unwrap_or(u32::MAX);
        self.config.rounds.min(until)
    }

    /// Runs everything on so many threads.
    pub(super) fn run(
        &self,
        workers: usize,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Results, SimError> {
        let queue = Mutex::new(self.jobs());
        let mut results = Results::default();
        let mut failure = None;
        std::thread::scope(|scope| {
            let (messages, received) = channel();
            for _ in 0..workers.max(1) {
                let messages = messages.clone();
                let queue = &queue;
                scope.spawn(move || {
                    if let Err(error) = self.on_one_core(queue, &messages) {
                        // The other end is gone only where another worker has failed before.
                        drop(messages.send(Message::Failed(error)));
                    }
                });
            }
            drop(messages);
            for message in received {
                match message {
                    Message::Event(event) => on_event(event),
                    Message::Run(index, seed, state) => results.runs.push((index, seed, state)),
                    Message::Baseline(baseline) => {
                        on_event(Event::Note(described(&baseline)));
                        results.baselines.push(baseline);
                    }
                    Message::Failed(error) => {
                        queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
                        failure.get_or_insert(error);
                    }
                }
            }
        });
        match failure {
            Some(error) => Err(error),
            None if results.runs.len() == self.runs() => Ok(results),
            None => Err(SimError::Worker),
        }
    }

    fn runs(&self) -> usize {
        self.config.strategies.len() * self.config.seeds.len()
    }

    /// Seed after seed, so that an early look at the results has all strategies.
    fn jobs(&self) -> VecDeque<Job> {
        let mut jobs = VecDeque::new();
        let baselines = &self.config.baselines;
        for &seed in &self.config.seeds {
            for index in 0..self.config.strategies.len() {
                jobs.push_back(Job::Strategy { index, seed });
            }
            // Baselines count the steps of all rounds: they wait where those do.
            if self.last_round() == self.config.rounds {
                if baselines.central {
                    let kind = Kind::Central;
                    jobs.push_back(Job::Baseline { kind, seed });
                }
                if baselines.local_clients > 0 {
                    let kind = Kind::Local;
                    jobs.push_back(Job::Baseline { kind, seed });
                }
            }
        }
        jobs
    }

    fn on_one_core(
        &self,
        queue: &Mutex<VecDeque<Job>>,
        messages: &Sender<Message>,
    ) -> Result<(), SimError> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let pool = pool.map_err(|_| SimError::Worker)?;
        pool.install(|| {
            let mut start: Option<StartingPoint> = None;
            loop {
                let next = queue
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .pop_front();
                let Some(job) = next else { return Ok(()) };
                let precision = self.precision(job);
                // One model at a time: the last one's memory is free before this one comes.
                start = start.filter(|loaded| loaded.base.precision() == precision);
                let start = match &mut start {
                    Some(loaded) => loaded,
                    none => none.insert(self.load(precision, messages)?),
                };
                let message = self.work_on(job, start, messages)?;
                if messages.send(message).is_err() {
                    return Ok(());
                }
            }
        })
    }

    fn precision(&self, job: Job) -> WeightPrecision {
        let index = match job {
            Job::Strategy { index, .. } => index,
            Job::Baseline { .. } => 0,
        };
        self.config.strategies[index].precision
    }

    fn load(
        &self,
        precision: WeightPrecision,
        messages: &Sender<Message>,
    ) -> Result<StartingPoint, SimError> {
        let base = Base::load_in(self.model, &self.shape, precision)?;
        let mut on_event = |event| drop(messages.send(Message::Event(event)));
        StartingPoint::new(base, self.config, self.data, self.folder, &mut on_event)
    }

    fn work_on(
        &self,
        job: Job,
        start: &StartingPoint,
        messages: &Sender<Message>,
    ) -> Result<Message, SimError> {
        // Nobody hears where the run is over already.
        let on_event = |event| drop(messages.send(Message::Event(event)));
        Ok(match job {
            Job::Strategy { index, seed } => {
                let strategy = &self.config.strategies[index];
                let state = federated::run(self, start, strategy, seed, &on_event)?;
                Message::Run(index, seed, state)
            }
            Job::Baseline { kind, seed } => {
                Message::Baseline(baseline::run(self, start, kind, seed, &on_event)?)
            }
        })
    }
}

fn described(baseline: &Baseline) -> String {
    let (name, seed) = (baseline.kind.name(), baseline.seed);
    let scores = baseline
        .scores
        .iter()
        .map(|score| f64::from(score.accuracy));
    let mean = 100.0 * scores.sum::<f64>() / baseline.scores.len().max(1) as f64;
    format!("{name}, seed {seed}: {mean:.1} %")
}

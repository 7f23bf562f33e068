//! What the strategies stand beside: one trainer with everybody's texts, and clients alone with
//! their own. Both start at version 0 of the first strategy and train its adapter by plain AdamW.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use choir_shared::ids::Digest;
use choir_shared::sim::random::Stream;
use choir_shared::strategy::ServerOptimizer;
use serde::{Deserialize, Serialize};

use super::Event;
use super::centroids::StartingPoint;
use super::client::{ClientTrainer, Lesson};
use super::error::SimError;
use super::record::Final;
use super::state::replace;
use super::strategy::{ClientOptimizer, Strategy};
use super::work::Work;

/// The two that are trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Everybody's texts in one place, the steps of all clients of all rounds.
    Central,
    /// One client's texts, the steps of one client in every round.
    Local,
}

impl Kind {
    /// Its name in tables and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Central => "central",
            Self::Local => "local-only",
        }
    }
}

/// What one seed's baseline came to; of clients alone, one value for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Which.
    pub kind: Kind,
    /// The seed.
    pub seed: u64,
    /// On all test texts.
    pub scores: Vec<Final>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    settings: Digest,
    baseline: Baseline,
}

/// Runs one, or takes it from disk if it was run before.
pub(super) fn run(
    work: &Work<'_>,
    start: &StartingPoint,
    kind: Kind,
    seed: u64,
    on_event: &dyn Fn(Event),
) -> Result<Baseline, SimError> {
    let strategy = plain(&work.config.strategies[0]);
    let steps = (work.config.rounds, work.config.baselines.local_clients);
    let settings = work.config.digest(&strategy, seed, work.data.digest);
    let settings = Digest::of(format!("{settings} {kind:?} {steps:?}").as_bytes());
    let path = work.file(&format!("{}-{seed}.json", kind.name()));
    if work.resume
        && let Some(found) = read(&path, settings)?
    {
        return Ok(found);
    }
    let baseline = Baseline {
        kind,
        seed,
        scores: train(work, start, kind, &strategy, seed, on_event)?,
    };
    let stored = Stored {
        settings,
        baseline: baseline.clone(),
    };
    let bytes =
        serde_json::to_vec(&stored).map_err(|error| SimError::data(&path, error.to_string()));
    replace(&path, &bytes?)?;
    Ok(baseline)
}

fn read(path: &Path, settings: Digest) -> Result<Option<Baseline>, SimError> {
    let Ok(bytes) = fs::read(path) else {
        return Ok(None);
    };
    let stored: Stored = serde_json::from_slice(&bytes).map_err(|_| SimError::BrokenState {
        path: path.to_owned(),
    })?;
    if stored.settings != settings {
        return Err(SimError::OtherSettings {
            path: path.to_owned(),
            wanted: settings,
        });
    }
    Ok(Some(stored.baseline))
}

/// The strategy's adapter by plain AdamW.
fn plain(strategy: &Strategy) -> Strategy {
    Strategy {
        proximal: 0.0,
        client: ClientOptimizer::Adamw,
        server: ServerOptimizer::Average,
        ..strategy.clone()
    }
}

fn train(
    work: &Work<'_>,
    start: &StartingPoint,
    kind: Kind,
    strategy: &Strategy,
    seed: u64,
    on_event: &dyn Fn(Event),
) -> Result<Vec<Final>, SimError> {
    let (config, data) = (work.config, work.data);
    let mut trainer = ClientTrainer::new(start, data, config, strategy, seed)?;
    let values = trainer.values();
    let steps = config.rounds * config.training.steps;
    let (shares, steps) = match kind {
        Kind::Central => {
            let everything = (0..data.train.len()).collect();
            (vec![everything], steps * config.clients.per_round as u32)
        }
        Kind::Local => {
            let all = data.shares(config, seed)?;
            let count = config.baselines.local_clients;
            let chosen = Stream::new(seed, "alone").choose(count, all.len());
            (
                chosen.iter().map(|&client| all[client].clone()).collect(),
                steps,
            )
        }
    };
    let test = data.test.all()?;
    let mut scores = Vec::with_capacity(shares.len());
    let mut last = Instant::now();
    for (place, share) in shares.iter().enumerate() {
        let lesson = Lesson {
            texts: &data.train,
            places: share,
            steps,
            seed: Stream::new(seed, &format!("alone {place}")).next_word(),
        };
        let after = trainer.train(&values, &lesson, |step| {
            if last.elapsed() >= INTERVAL {
                last = Instant::now();
                let (name, of) = (kind.name(), shares.len());
                let part = place + 1;
                on_event(Event::Note(format!(
                    "{name}, seed {seed}: {part} of {of}, step {step} of {steps}"
                )));
            }
        })?;
        let quality = trainer.evaluate(&after, &test)?;
        scores.push(Final {
            accuracy: quality.accuracy,
            loss: quality.loss,
            personal: Vec::new(),
        });
    }
    Ok(scores)
}

const INTERVAL: Duration = Duration::from_secs(10);

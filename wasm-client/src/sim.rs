//! The researcher's simulator: many clients on one machine, with the product's model, adapters,
//! gradients and round machines, and other strategies, partitions and seeds as one file says.
//!
//! A run is a strategy with a seed; its state is on disk after every round, so that a killed
//! experiment goes on where it was and ends with the same numbers. What simulation leaves out:
//! networks, browsers and time; clients train one after the other.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use crate::engine::quantised::WeightPrecision;
use crate::native::base::Base;
use centroids::StartingPoint;
use client::ClientTrainer;
use data::DataSet;
use record::Record;
use strategy::Strategy;
use work::Work;

pub mod baseline;
mod centroids;
mod client;
pub mod config;
mod data;
pub mod error;
mod federated;
pub mod personal;
mod plot;
pub mod record;
mod report;
pub mod state;
pub mod strategy;
pub(crate) mod sum;
mod work;

pub use config::Config;
pub use error::SimError;
pub use report::{Row, Spread, Summary};

/// How to run an experiment.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where results and states go.
    pub out: PathBuf,
    /// The folder of the base model.
    pub model: PathBuf,
    /// Go on from the states there instead of starting anew.
    pub resume: bool,
    /// Threads, each with a model of its own; as many as cores if it is not said.
    pub workers: Option<usize>,
    /// Stop every run after this round, to go on another time.
    pub until_round: Option<u32>,
}

/// What is heard of an experiment while it runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A round is over.
    Round(Record),
    /// A round that was over before this start.
    Stored(Record),
    /// Something else worth a line.
    Note(String),
}

/// Runs an experiment and writes `rounds.jsonl`, `summary.json`, `table.txt` and `plot.svg`.
///
/// # Errors
/// [`SimError`]; what was stored until then can be resumed.
pub fn run(
    config: &Config,
    options: &Options,
    on_event: &mut dyn FnMut(Event),
) -> Result<Summary, SimError> {
    config.check()?;
    let began = Instant::now();
    let folder = options.out.join("state");
    std::fs::create_dir_all(&folder).map_err(|error| SimError::file(&folder, error))?;
    let shape = data::encoder_shape(&options.model)?;
    let base = Base::load(&options.model, &shape)?;
    let data = DataSet::read(config, &base)?;
    on_event(Event::Note(format!(
        "{} texts to train on, {} to test, {} labels",
        data.train.len(),
        data.test.len(),
        data.labels.len()
    )));
    let start = StartingPoint::new(base, config, &data, &folder, on_event)?;
    let centroid_quality = {
        let head = centroids::head_strategy();
        let config = centroids::at_centroids(config);
        let mut trainer = ClientTrainer::new(&start, &data, &config, &head, 0)?;
        let values = trainer.values();
        trainer.evaluate(&values, &data.test.all()?)?
    };
    let accuracy = 100.0 * centroid_quality.accuracy;
    on_event(Event::Note(format!("class centroids: {accuracy:.1} %")));
    drop(start);
    let all = config.strategies.iter().map(|strategy| strategy.precision);
    let others = all.filter(|precision| *precision != WeightPrecision::F32);
    for precision in others.collect::<BTreeSet<_>>() {
        // So that the workers find the centroids.
        let base = Base::load_in(&options.model, &shape, precision)?;
        StartingPoint::new(base, config, &data, &folder, on_event)?;
    }
    let work = Work {
        config,
        data: &data,
        folder: &folder,
        resume: options.resume,
        until_round: options.until_round,
        model: &options.model,
        shape,
    };
    let cores = || std::thread::available_parallelism().map_or(1, core::num::NonZero::get);
    let results = work.run(options.workers.unwrap_or_else(cores), on_event)?;
    let seconds = began.elapsed().as_secs_f32();
    let summary = Summary::new(config, &data, centroid_quality.accuracy, results, seconds);
    summary.write(&options.out)?;
    Ok(summary)
}

/// The whole adapter that a stored run has reached, parts that it does not train included: its
/// layout is that of `strategy` at `seed`.
///
/// # Errors
/// [`SimError`] if there is no such run, or it is of other settings.
pub fn stored_adapter(
    config: &Config,
    options: &Options,
    strategy: &Strategy,
    seed: u64,
) -> Result<Vec<f32>, SimError> {
    let folder = options.out.join("state");
    let shape = data::encoder_shape(&options.model)?;
    let base = Base::load_in(&options.model, &shape, strategy.precision)?;
    let data = DataSet::read(config, &base)?;
    let start = StartingPoint::new(base, config, &data, &folder, &mut |_| {})?;
    let mut trainer = ClientTrainer::new(&start, &data, config, strategy, seed)?;
    let settings = config.digest(strategy, seed, data.digest);
    let path = folder.join(format!("{}-{seed}.state", strategy.slug()));
    match state::State::read(&path, settings)? {
        Some(state) => Ok(trainer.adapter(&state.values).to_vec()),
        None => Err(SimError::data(&path, "there is no such run")),
    }
}

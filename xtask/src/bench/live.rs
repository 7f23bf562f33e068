//! `cargo xtask bench secure-sum --live`: native clients with sockets of their own against workerd,
//! each lost after an exponential time from its JOIN on and replaced by nobody: how many rounds
//! close, in what time, for how many bytes and how much CPU.
//!
//! Updates are random: nothing is trained. A lost client says nothing, its connections just end.
//! Beside the loss that was measured stand what lifetimes of that mean lose within the time that the
//! rounds took, what they lose within the 4 s that the design counts on (1 - exp(-4 s / mean)), and
//! the design's rate of aborted cohorts at the measured loss.

mod round;
mod table;
mod task;

use crate::aggregator::{Aggregator, Settings};
use crate::failure::{AtPath, Failure, Outcome};
use crate::natives;
use crate::paths::Paths;
use crate::progress::Step;
use crate::{build, setup, usage};
use choir_shared::policy::Policy;
use choir_shared::wire::limits;
use lexopt::{Arg, Parser, ValueExt};
use round::{Live, Measured};
use serde_json::json;
use std::fs;
use std::path::PathBuf;

/// What is measured.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    clients: u16,
    rounds: u32,
    /// Of the update, the weight not counted; made of whole columns of a head or ranks of LoRA.
    coordinates: usize,
    /// Bits of the ring.
    ring: u8,
    /// Mean lifetimes from JOIN on, in seconds.
    means: Vec<f64>,
    json: Option<PathBuf>,
    as_built: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clients: 100,
            rounds: 5,
            coordinates: 100_000,
            ring: 24,
            means: vec![15.0, 30.0, 60.0, 120.0],
            json: None,
            as_built: false,
        }
    }
}

/// The bench's options, where `--live` stands among what is left of the command line.
///
/// # Errors
/// `Usage` for what makes no sense.
pub(crate) fn asked(arguments: &Parser) -> Outcome<Option<Options>> {
    if !super::names(arguments, "--live") {
        return Ok(None);
    }
    let mut options = Options::default();
    options.read(&mut arguments.clone()).map_err(usage)?;
    options.check()?;
    Ok(Some(options))
}

impl Options {
    fn read(&mut self, arguments: &mut Parser) -> Result<(), lexopt::Error> {
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Value(word) if word == "secure-sum" => {}
                Arg::Long("live") => {}
                Arg::Long("as-built") => self.as_built = true,
                Arg::Long("clients") => self.clients = arguments.value()?.parse()?,
                Arg::Long("rounds") => self.rounds = arguments.value()?.parse()?,
                Arg::Long("coordinates") => self.coordinates = arguments.value()?.parse()?,
                Arg::Long("ring") => self.ring = arguments.value()?.parse()?,
                Arg::Long("means") => self.means = arguments.value()?.parse_with(means)?,
                Arg::Long("json") => self.json = Some(arguments.value()?.into()),
                other => return Err(other.unexpected()),
            }
        }
        Ok(())
    }

    fn check(&self) -> Outcome<()> {
        let complaint = if !(limits::MIN_COHORT..=limits::MAX_COHORT).contains(&self.clients) {
            format!(
                "--clients goes from {} to {}",
                limits::MIN_COHORT,
                limits::MAX_COHORT
            )
        } else if self.rounds == 0 {
            "--rounds must be at least 1".to_owned()
        } else if ![16, 24, 32].contains(&self.ring) {
            "--ring is 16, 24 or 32".to_owned()
        } else {
            return Ok(());
        };
        Err(Failure::Usage(complaint))
    }

    /// The smallest cohort of the run: the production policy's, and half of fewer clients.
    fn min_cohort(&self) -> u16 {
        let half = (self.clients / 2).max(limits::MIN_COHORT);
        half.min(Policy::default().min_cohort)
    }
}

fn means(text: &str) -> Result<Vec<f64>, String> {
    let seconds = text.split(',').map(|part| match part.parse() {
        Ok(seconds) if seconds > 0.0 => Ok(seconds),
        _ => Err(format!("a mean lifetime in seconds, not {part}")),
    });
    seconds.collect()
}

/// Runs it, prints the table and writes the JSON.
///
/// # Errors
/// The first step that failed; a round that aborts is a result.
pub(crate) fn run(paths: &Paths, options: &Options) -> Outcome<()> {
    if !options.as_built {
        setup::run(paths)?;
        build::run(paths, false)?;
    }
    let program = natives::build_measured(paths)?;
    let folder = paths.out.join("live");
    if folder.exists() {
        fs::remove_dir_all(&folder).at(&folder)?;
    }
    let state = folder.join("aggregator");
    fs::create_dir_all(&state).at(&state)?;
    let aggregator = Aggregator::start(
        paths,
        &Settings {
            port: None,
            state: &state,
            site: None,
            origins: "",
            variables: &[],
        },
    )?;
    let config = task::config(options)?;
    let mut lines = Vec::new();
    for mean in &options.means {
        let live = Live {
            options,
            mean: *mean,
            aggregator: &aggregator,
            program: &program,
            folder: &folder,
            task: task::create(&aggregator.operator, &config)?,
        };
        let mut rounds = Vec::new();
        for number in 1..=options.rounds {
            let step = Step::start(format!(
                "mean life {mean} s, round {number} of {}",
                options.rounds
            ));
            let measured = live.round(&step)?;
            step.done(&measured.in_words());
            rounds.push(measured);
        }
        lines.push(table::Line::of(*mean, rounds));
    }
    drop(aggregator);
    println!("{}", table::text(&lines));
    if let Some(file) = &options.json {
        let found = json!({
            "clients": options.clients,
            "rounds": options.rounds,
            "coordinates": task::coordinates(&config)?,
            "ring": config.ring().bits(),
            "cohort": config.cohort,
            "deadlines": {
                "enroll_ms": config.deadlines.enroll_ms,
                "share_keys_ms": config.deadlines.share_keys_ms,
                "collect_ms": config.deadlines.collect_ms,
                "confirm_ms": config.deadlines.confirm_ms,
                "unmask_ms": config.deadlines.unmask_ms,
            },
            "cores": std::thread::available_parallelism().map_or(1, usize::from),
            "rows": lines,
        });
        fs::write(file, format!("{found:#}\n")).at(file)?;
    }
    Ok(())
}

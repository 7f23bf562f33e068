//! `cargo xtask faults`: rounds with full cryptography under seeded schedules of losses, delays,
//! repetitions, restarts and lies; how often cohorts abort; rounds of a hundred and a thousand
//! clients.
//!
//! Nothing here may be wrong or stuck or panic; every seed for which something is, is printed. So
//! that the counts mean something, the same is run on broken platforms, whose counts must move.

mod svg;

use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use crate::{program, usage};
use lexopt::{Arg, Parser, ValueExt};
use serde_json::{Map, Value};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What to run.
#[derive(Debug)]
pub(crate) struct Faults {
    schedules: u64,
    seed: Option<u64>,
    json: Option<PathBuf>,
    svg: Option<PathBuf>,
    full: bool,
}

impl Faults {
    /// Reads the command line.
    ///
    /// # Errors
    /// `Usage` for an option that there is not.
    pub(crate) fn read(arguments: &mut Parser) -> Outcome<Self> {
        let mut faults = Self {
            full: true,
            ..Self::short(10_000)
        };
        while let Some(argument) = arguments.next().map_err(usage)? {
            let number = |value: std::ffi::OsString| value.parse().map_err(usage);
            match argument {
                Arg::Long("schedules") => {
                    faults.schedules = number(arguments.value().map_err(usage)?)?;
                }
                Arg::Long("seed") => faults.seed = Some(number(arguments.value().map_err(usage)?)?),
                Arg::Long("json") => faults.json = Some(arguments.value().map_err(usage)?.into()),
                Arg::Long("svg") => faults.svg = Some(arguments.value().map_err(usage)?.into()),
                other => return Err(usage(other.unexpected())),
            }
        }
        Ok(faults)
    }

    /// So many schedules and nothing else.
    pub(crate) const fn short(schedules: u64) -> Self {
        Self {
            schedules,
            seed: None,
            json: None,
            svg: None,
            full: false,
        }
    }

    /// Builds the program and runs it.
    ///
    /// # Errors
    /// `Check` with every seed whose round was not as it must be, or with the check that could not
    /// have failed.
    pub(crate) fn run(&self, paths: &Paths) -> Outcome<()> {
        let program = built(paths)?;
        if let Some(seed) = self.seed {
            return tell(&program, seed);
        }
        let step = Step::start(format!("{} schedules of faults", self.schedules));
        let mut command = Command::new(&program);
        command.args(["--schedules", &self.schedules.to_string()]);
        if self.full {
            command.arg("--full");
        }
        let printed = program::run(&step, &mut command)?;
        step.done("");
        let found: Value =
            serde_json::from_str(&printed).map_err(|error| Failure::Data(error.to_string()))?;
        if let Some(file) = &self.json {
            fs::write(file, &printed).at(file)?;
        }
        if let Some(file) = &self.svg {
            fs::write(file, svg::draw(&found)).at(file)?;
        }
        show(&found);
        check(&found)
    }
}

fn built(paths: &Paths) -> Outcome<PathBuf> {
    let step = Step::start("schedules of faults, built");
    let mut build = program::cargo(&paths.root);
    build.args(["build", "--package", "choir-fuzz", "--profile", "fuzz"]);
    build.args(["--bin", NAME]);
    program::run(&step, &mut build)?;
    step.done("");
    Ok(paths.target.join("fuzz").join(NAME))
}

/// One schedule in words, as it happens.
fn tell(program: &Path, seed: u64) -> Outcome<()> {
    let status = Command::new(program)
        .args(["--seed", &seed.to_string()])
        .status()
        .map_err(|error| program::cannot_start(NAME, &error))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::Check(format!(
        "schedule {seed} ended with {status}"
    )))
}

fn show(found: &Value) {
    for (tally, name) in tallies(found) {
        println!(
            "{name}: {} rounds in {:.0} s, {} wrong sums, {} stuck, {} panics",
            tally["rounds"],
            tally["seconds"].as_f64().unwrap_or_default(),
            tally["wrong_sums"],
            tally["stuck_rounds"],
            tally["panics"],
        );
        for (end, rounds) in entries(&tally["outcomes"]) {
            println!("  {rounds:>6} {end}");
        }
    }
    for row in found["abort_rates"].as_array().into_iter().flatten() {
        let percent = |value: &Value| value.as_f64().map(|rate| format!("{:.2} %", rate * 100.0));
        println!(
            "{:>5} clients, each lost with {}: {} abort{}",
            row["clients"].to_string(),
            percent(&row["loss"]).unwrap_or_default(),
            percent(&row["rate"]).unwrap_or_default(),
            percent(&row["design"]).map_or_else(String::new, |rate| format!(" (design {rate})")),
        );
    }
}

/// Everything that must hold, the checks themselves included.
fn check(found: &Value) -> Outcome<()> {
    let mut wrong = Vec::new();
    for (tally, name) in tallies(found) {
        for failure in tally["failures"].as_array().into_iter().flatten() {
            let again = match name.as_str() {
                "schedules" => format!("cargo xtask faults --seed {}", failure[0]),
                _ => format!("seed {}", failure[0]),
            };
            wrong.push(format!("{name}: {} ({again})", failure[1]));
        }
        let rounds = tally["rounds"].as_u64().unwrap_or_default();
        let missing = |part: &str, counts: bool| {
            entries(&tally[part])
                .filter(move |(_, count)| if counts { count[1] == 0 } else { **count == 0 })
                .map(|(kind, _)| kind.clone())
                .collect::<Vec<_>>()
        };
        if name == "schedules" && rounds >= ENOUGH {
            let never = missing("kinds", true);
            if !never.is_empty() {
                wrong.push(format!("no round of these closed: {}", never.join(", ")));
            }
            if entries(&tally["faults"]).count() < FAULTS {
                wrong.push("some fault was never injected".to_owned());
            }
        }
    }
    for (what, count) in entries(&found["self_test"]) {
        if count.as_u64().unwrap_or_default() == 0 {
            wrong.push(format!("a broken platform shows no {what}"));
        }
    }
    for row in found["abort_rates"].as_array().into_iter().flatten() {
        if row["agrees"] == false {
            wrong.push(format!("the abort rate is not the design's: {row}"));
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Failure::Check(wrong.join("\n")))
    }
}

fn tallies(found: &Value) -> impl Iterator<Item = (&Value, String)> {
    let full = entries(&found["full_rounds"]);
    let full = full.map(|(clients, tally)| (tally, format!("{clients} clients")));
    [(&found["schedules"], "schedules".to_owned())]
        .into_iter()
        .chain(full)
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

const NAME: &str = "choir-faults";
/// From so many schedules on, each kind of them and of fault has occurred.
const ENOUGH: u64 = 300;
/// Kinds of faults that are injected.
const FAULTS: usize = 11;

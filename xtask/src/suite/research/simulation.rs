//! The researcher's simulator on the real model and the sample data: every strategy, secure sums
//! with drop-outs, a killed experiment that goes on.

use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use crate::suite::counts::Counts;
use crate::{program, sim};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Runs the scenarios.
pub(super) fn run(paths: &Paths, counts: &mut Counts) {
    let built = sim::built(paths);
    let Ok(simulator) = built else {
        counts.check("the simulator compiles", built);
        return;
    };
    let stage = Stage { paths, simulator };
    counts.check(
        "every strategy trains on the sample data, each secure sum the plain one",
        every_strategy(&stage),
    );
    counts.check(
        "a killed simulation goes on to the same numbers",
        killed_and_resumed(&stage),
    );
}

struct Stage<'a> {
    paths: &'a Paths,
    simulator: PathBuf,
}

/// Two rounds of each: FedAvg above its start, prompt and head too, sums exact, traffic as named.
fn every_strategy(stage: &Stage<'_>) -> Outcome<()> {
    let out = stage.folder("every")?;
    let summary = stage.simulate(&out, &[])?;
    let rows = list(&summary, "rows");
    require(rows.len() >= 10, "strategies are missing")?;
    let mut dropped = 0;
    for row in rows {
        let name = row["strategy"].as_str().unwrap_or_default();
        let sums = number(row, "secure_sums") + number(row, "aborted");
        require(
            sums == 2.0,
            &format!("{name}: not every sum was secure and the plain one"),
        )?;
        require(
            number(row, "rounding_error") < 1e-4,
            &format!("{name}: rounding is too coarse"),
        )?;
        dropped += number(row, "dropped") as u64;
    }
    require(dropped > 0, "no client dropped out")?;
    for name in ["FedAvg-LoRA", "FedProx", "FFA-LoRA", "head only"] {
        let (start, end) = (first(&summary, name)?, last(&summary, name)?);
        require(
            end > start + 0.1,
            &format!("{name} went from {start:.2} to {end:.2}"),
        )?;
    }
    let fetched = |name: &str| Ok::<f64, Failure>(number(row_of(&summary, name)?, "bytes_down"));
    require(
        fetched("FFA-LoRA")? < fetched("FedAvg-LoRA")?
            && fetched("head only")? < fetched("FFA-LoRA")?,
        "a strategy sends more than it trains",
    )?;
    require(out.join("plot.svg").exists(), "there is no picture")
}

/// One run to its end, one killed after its first round and started again.
fn killed_and_resumed(stage: &Stage<'_>) -> Outcome<()> {
    let chosen = ["--strategy", "FedAdam", "--strategy", "FedAvg-LoRA"];
    let whole = stage.simulate(&stage.folder("whole")?, &chosen)?;
    let out = stage.folder("killed")?;
    let mut child = stage
        .command(&out, &chosen)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| program::cannot_start("choir-sim", &error))?;
    if let Some(lines) = child.stderr.take() {
        let mut lines = BufReader::new(lines).lines().map_while(Result::ok);
        lines.find(|line| line.contains("round 1 of"));
    }
    child.kill().at(&out)?;
    let status = child.wait().at(&out)?;
    require(
        !status.success(),
        "the simulation ended before it was killed",
    )?;
    let resumed = stage.simulate(&out, &[chosen.as_slice(), &["--resume"]].concat())?;
    for field in ["rows", "central_accuracy", "local_accuracy"] {
        require(
            resumed[field] == whole[field] && !whole[field].is_null(),
            &format!("{field} differs after the kill"),
        )?;
    }
    Ok(())
}

impl Stage<'_> {
    fn folder(&self, name: &str) -> Outcome<PathBuf> {
        let folder = self.paths.out.join("sim/suite").join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).at(&folder)?;
        }
        fs::create_dir_all(&folder).at(&folder)?;
        Ok(folder)
    }

    fn command(&self, out: &Path, arguments: &[&str]) -> std::process::Command {
        let config = self.paths.root.join("wasm-client/sims/small.toml");
        let mut command = sim::command(&self.simulator, self.paths, &config, out);
        command.args(arguments);
        command
    }

    fn simulate(&self, out: &Path, arguments: &[&str]) -> Outcome<Value> {
        let step = Step::start("simulation on the sample data");
        program::run(&step, &mut self.command(out, arguments))?;
        step.done("");
        let file = out.join("summary.json");
        let text = fs::read_to_string(&file).at(&file)?;
        serde_json::from_str(&text).map_err(|error| Failure::Data(error.to_string()))
    }
}

fn row_of<'a>(summary: &'a Value, name: &str) -> Outcome<&'a Value> {
    let found = list(summary, "rows")
        .iter()
        .find(|row| row["strategy"] == name);
    found.ok_or_else(|| Failure::Check(format!("no row is called {name}")))
}

/// Accuracy of version 0.
fn first(summary: &Value, name: &str) -> Outcome<f64> {
    Ok(number(&row_of(summary, name)?["by_round"][0], "mean"))
}

/// Accuracy of the last version.
fn last(summary: &Value, name: &str) -> Outcome<f64> {
    Ok(number(&row_of(summary, name)?["accuracy"], "mean"))
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

/// A number, or one that no check passes.
fn number(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or(f64::NAN)
}

fn require(holds: bool, otherwise: &str) -> Outcome<()> {
    if holds {
        Ok(())
    } else {
        Err(Failure::Check(otherwise.to_owned()))
    }
}

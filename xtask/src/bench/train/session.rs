//! The browser's session: starts its programme (`e2e/bench/train.mjs`), shows what it is at, and
//! reads what it measured.

use super::LEAST_RATE;
use super::figures::Clock;
use super::plan::{Job, Plan};
use super::row::{Ended, Library, Measured, Row};
use super::workload::Precision;
use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use crate::{program, setup};
use serde::Deserialize;
use serde_json::Value;
use std::fs;

/// What the programme says, a line each.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event {
    Session(Machine),
    Limits(Limits),
    Start {
        id: String,
    },
    Step {
        step: usize,
        loss: Option<f64>,
        ms: f64,
    },
    Row(Ending),
}

/// What the session runs on.
#[derive(Clone, Debug, Default, Deserialize)]
pub(in crate::bench) struct Machine {
    pub(in crate::bench) adapter: String,
    pub(in crate::bench) software: bool,
    pub(in crate::bench) cores: f64,
    pub(in crate::bench) browser: String,
    /// At its start.
    pub(in crate::bench) load: f64,
}

/// The best rates of a plain product, in GFLOP/s.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::bench) struct Limits {
    pub(in crate::bench) rate: f64,
    pub(in crate::bench) wall_rate: f64,
    pub(in crate::bench) kernels: Value,
    pub(in crate::bench) load: f64,
}

#[derive(Deserialize)]
struct Ending {
    id: String,
    load: f64,
    adapter: Option<String>,
    failure: Option<String>,
    measured: Option<Measured>,
}

/// A session that has ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Session {
    pub(super) machine: Machine,
    /// At its start, and at its end where it was long.
    pub(super) limits: Vec<Limits>,
    pub(super) rows: Vec<Row>,
}

impl Session {
    pub(super) fn clock(&self) -> Clock {
        let measured = self.rows.iter().filter_map(|row| row.comparable().ok());
        let mut cpus = measured.flat_map(|measured| &measured.cpus);
        if self.machine.software && cpus.all(Option::is_some) {
            Clock::Cpu {
                cores: self.machine.cores,
            }
        } else {
            Clock::Wall
        }
    }

    /// The limit of the session's WebGPU: the best that was seen; 0 where nobody looked.
    pub(super) fn rate(&self) -> f64 {
        let rates = self.limits.iter().map(|limits| limits.rate);
        rates.fold(0.0, f64::max)
    }

    /// Whether the machine was free enough for the ratio to the limit.
    pub(super) fn is_valid(&self) -> bool {
        !self.machine.software || self.limits.is_empty() || self.rate() >= LEAST_RATE
    }
}

/// Runs the plan.
///
/// # Errors
/// `Program` where the browser does not start; a row that fails is a result.
pub(super) fn run(paths: &Paths, plan: &Plan) -> Outcome<Session> {
    let file = paths.out.join("bench-train.plan.json");
    fs::write(&file, plan.json().to_string()).at(&file)?;
    eprintln!(
        "  {} rows in the order of seed {}",
        plan.jobs.len(),
        plan.seed
    );
    let mut listener = Listener {
        plan,
        session: Session::default(),
        step: None,
        failure: None,
    };
    for job in &plan.jobs {
        if let Err(reason) = &job.script {
            Step::start(job.spec.id()).skipped(reason);
        }
    }
    let mut script = setup::browser_script(paths, "bench/train.mjs");
    script.arg(&file);
    program::watch(&mut script, |line| listener.hear(line))?;
    if let Some(failure) = listener.failure {
        return Err(failure);
    }
    let session = listener.session;
    Ok(with_missing(plan, session))
}

/// Adds the rows whose libraries are not there, in the plan's order.
fn with_missing(plan: &Plan, mut session: Session) -> Session {
    for job in &plan.jobs {
        if let Err(reason) = &job.script {
            let ended = Ended::Failed(reason.clone());
            session
                .rows
                .push(row(job, None, session.machine.load, ended));
        }
    }
    session
}

fn row(job: &Job, adapter: Option<String>, load: f64, ended: Ended) -> Row {
    Row {
        spec: job.spec.clone(),
        version: job.version.clone(),
        adapter,
        load,
        ended,
    }
}

struct Listener<'a> {
    plan: &'a Plan,
    session: Session,
    step: Option<Step>,
    failure: Option<Failure>,
}

impl Listener<'_> {
    fn hear(&mut self, line: &str) {
        if !line.starts_with("{\"event\"") {
            return;
        }
        match serde_json::from_str(line) {
            Ok(event) => self.take(event),
            Err(error) => self.failure = Some(Failure::Data(format!("{error}: {line}"))),
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Session(machine) => {
                eprintln!("  {} on {}", machine.browser, machine.adapter);
                self.session.machine = machine;
            }
            Event::Limits(limits) => {
                eprintln!("  limit of its WebGPU: {:.2} GFLOP/s", limits.rate);
                self.session.limits.push(limits);
            }
            Event::Start { id } => self.step = Some(Step::start(id)),
            Event::Step { step, loss, ms } => self.show(step, loss, ms),
            Event::Row(ending) => self.end(ending),
        }
    }

    fn show(&self, step: usize, loss: Option<f64>, ms: f64) {
        if let Some(shown) = &self.step {
            let loss = loss.map_or_else(|| "no number".to_owned(), |loss| format!("{loss:.5}"));
            shown.detail(format!("step {step}: loss {loss}, {ms:.0} ms"));
        }
    }

    fn end(&mut self, ending: Ending) {
        let Some(job) = self.plan.jobs.iter().find(|job| job.spec.id() == ending.id) else {
            return;
        };
        let ended = match (ending.measured, ending.failure) {
            (Some(measured), _) => {
                let compared = job.spec.steps().min(job.spec.workload.losses.len());
                let precision = match job.spec.library {
                    Library::Choir => self.plan.precision,
                    _ => Precision::F32,
                };
                match job
                    .spec
                    .workload
                    .check(&measured.losses, compared, precision)
                {
                    Ok(most) => Ended::Agrees(measured, most),
                    Err(reason) => Ended::Mismatch(measured, reason),
                }
            }
            (None, failure) => Ended::Failed(failure.unwrap_or_else(|| "no result".to_owned())),
        };
        let row = row(job, ending.adapter, ending.load, ended);
        if let Some(step) = self.step.take() {
            match &row.ended {
                Ended::Agrees(_, most) => step.done(&self.in_words(&row, *most)),
                Ended::Mismatch(_, reason) => step.skipped(&format!("mismatch: {reason}")),
                Ended::Failed(reason) => step.skipped(reason),
            }
        }
        self.session.rows.push(row);
    }

    fn in_words(&self, row: &Row, most: f64) -> String {
        let clock = Clock::Cpu {
            cores: self.session.machine.cores,
        };
        let median = |clock| {
            row.timed(clock)
                .map(|spread| format!("{:.0} ms", spread.median))
        };
        let [cpu, wall] = [clock, Clock::Wall]
            .map(median)
            .map(|ms| ms.unwrap_or_else(|_| "none".to_owned()));
        format!("CPU time over the cores {cpu}, wall {wall}, losses within {most:.1e}")
    }
}

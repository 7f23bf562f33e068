//! The browser's session: starts its programme (`e2e/bench/kernels.mjs`) and reads what it measured.

use super::Options;
use crate::bench::train;
use crate::bench::train::session::{Limits, Machine};
use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use crate::{program, setup};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;

/// Samples of each call.
const ROUNDS: usize = 5;
/// The same in a hurry.
const QUICK_ROUNDS: usize = 3;

/// What the programme says, a line each.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event {
    Session(Machine),
    Limits(Limits),
    Copies(Copies),
    Start {
        workload: String,
    },
    Kernels {
        workload: String,
        kernels: Vec<Call>,
    },
}

/// The best rate of a copy by a kernel, in GB/s, and all of them.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Copies {
    pub(super) rate: f64,
    pub(super) kernels: Value,
}

/// Calls that do the same work.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Call {
    /// The pipeline's: the engine's own name of the kernel.
    pub(super) label: String,
    /// Of the uniform.
    pub(super) words: Vec<u32>,
    /// Attention's table: of each block first row, end, its sequence's first row and end.
    pub(super) blocks: Option<Vec<u32>>,
    /// In a step.
    pub(super) count: u32,
    pub(super) ms: Vec<Ms>,
}

/// Milliseconds of one call.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Ms {
    /// CPU time over the cores, on a software adapter.
    pub(super) cpu: Option<f64>,
    pub(super) wall: f64,
}

/// A session that has ended.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) machine: Machine,
    pub(super) limits: Option<Limits>,
    pub(super) copies: Option<Copies>,
    /// By workload.
    pub(super) kernels: Vec<(String, Vec<Call>)>,
}

impl Session {
    /// The best plain product, in GFLOP/s.
    pub(super) fn product(&self) -> f64 {
        self.limits.as_ref().map_or(0.0, |limits| limits.rate)
    }

    /// The best copy by a kernel, in GB/s.
    pub(super) fn copy(&self) -> f64 {
        self.copies.as_ref().map_or(0.0, |copies| copies.rate)
    }

    /// What all of it was timed by.
    pub(super) fn clock(&self) -> &'static str {
        let mut samples = self.kernels.iter().flat_map(|(_, calls)| calls);
        let by_cpu = samples.any(|call| call.ms.iter().any(|ms| ms.cpu.is_some()));
        let cores = self.machine.cores;
        if by_cpu {
            train::figures::Clock::Cpu { cores }.name()
        } else {
            train::figures::Clock::Wall.name()
        }
    }
}

/// Runs it.
///
/// # Errors
/// `Program` where the browser or a page fails, `Data` where a line cannot be read.
pub(super) fn run(paths: &Paths, options: &Options) -> Outcome<Session> {
    let file = paths.out.join("bench-kernels.plan.json");
    fs::write(&file, plan(paths, options).to_string()).at(&file)?;
    let mut script = setup::browser_script(paths, "bench/kernels.mjs");
    script.arg(&file);
    let step = Step::start("kernels in Chromium");
    let mut session = Session::default();
    let mut failure = None;
    program::watch(&mut script, |line| {
        if !line.starts_with("{\"event\"") {
            return;
        }
        match serde_json::from_str(line) {
            Ok(Event::Session(machine)) => {
                step.detail(&machine.adapter);
                session.machine = machine;
            }
            Ok(Event::Limits(limits)) => session.limits = Some(limits),
            Ok(Event::Copies(copies)) => session.copies = Some(copies),
            Ok(Event::Start { workload }) => step.detail(workload),
            Ok(Event::Kernels { workload, kernels }) => session.kernels.push((workload, kernels)),
            Err(error) => failure = Some(Failure::Data(format!("{error}: {line}"))),
        }
    })?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    step.done("");
    Ok(session)
}

fn plan(paths: &Paths, options: &Options) -> Value {
    let wanted = |name: &&str| options.workload.as_ref().is_none_or(|only| only == name);
    let workloads = ["decoder", "encoder"].into_iter().filter(wanted);
    let rounds = if options.quick { QUICK_ROUNDS } else { ROUNDS };
    json!({
        "folders": { "wasm": paths.out.join("wasm") },
        "rounds": rounds,
        "workloads": workloads.map(|name| json!({
            "name": name,
            "script": format!("/bench/{name}.js"),
            "options": train::plan::own_options(name, crate::build::WGSL.name, "f32"),
        })).collect::<Vec<_>>(),
    })
}

//! `cargo xtask bench train`: a training step in Chromium against the best rate that its WebGPU
//! reaches, in the same session and by the same clock.
//!
//! On a software adapter the clock is the CPU time of the browser's process tree over the cores:
//! what an idle machine could give. Wall times stand beside it.

mod live;
mod secure_sum;

use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use crate::{Files, build, program, setup};
use choir_shared::task::workload::{self, REFERENCE_LOSSES};
use choir_shared::wire;
use lexopt::Parser;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Floating-point operations of one step of the workload, in GFLOP, padding included.
const STEP_GFLOP: f64 = 22.416;
/// Below this rate the machine is too busy for the ratio to mean anything.
const LEAST_RATE: f64 = 7.0;
/// What the loss may differ from the reference's.
const TOLERANCE: f64 = 1e-3;

#[derive(Deserialize)]
struct Measured {
    adapter: String,
    cores: f64,
    warm: usize,
    limits: Limits,
    wgsl: Run,
    cpu: Run,
}

#[derive(Deserialize)]
struct Limits {
    rate: f64,
    wall_rate: f64,
    kernels: Value,
}

#[derive(Deserialize)]
struct Run {
    losses: Vec<f64>,
    walls: Vec<f64>,
    cpus: Vec<Option<f64>>,
    counts: Counts,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    dispatches: u32,
    submits: u32,
    peak_bytes: u64,
}

/// Runs the bench that the words name.
///
/// # Errors
/// `Check` where the losses differ from the reference.
pub(crate) fn run(paths: &Paths, arguments: &mut Parser) -> Outcome<()> {
    if let Some(options) = live::asked(arguments)? {
        return live::run(paths, &options);
    }
    let files = Files::read(arguments)?;
    if files.words() == ["secure-sum"] {
        return secure_sum::run(paths, &files);
    }
    let workload = files.get("workload").unwrap_or_else(|| "encoder".into());
    if files.words() != ["train"] || workload.as_os_str() != "encoder" {
        return Err(Failure::Usage(
            "the benches there are: `train --workload encoder`, `secure-sum` and `secure-sum --live`"
                .to_owned(),
        ));
    }
    let precision = files.get("quant").unwrap_or_else(|| "f32".into());
    setup::run(paths)?;
    build::run(paths, false)?;
    let measured = measure(paths, &precision)?;
    let mut result = summary(&measured, &precision)?;
    result["weights"] = json!(precision);
    println!("{result:#}");
    if let Some(file) = files.get("json") {
        fs::write(&file, format!("{result:#}\n")).at(&file)?;
    }
    if measured.limits.rate < LEAST_RATE {
        eprintln!(
            "  void as a comparison: the limit was {:.2} GFLOP/s, under {LEAST_RATE}; the machine is busy",
            measured.limits.rate
        );
    }
    Ok(())
}

fn measure(paths: &Paths, precision: &Path) -> Outcome<Measured> {
    let step = Step::start("training in Chromium");
    let config = paths.out.join("bench-encoder.task");
    fs::write(&config, wire::encode(&workload::encoder())).at(&config)?;
    let mut script = Command::new("node");
    script
        .current_dir(paths.root.join("e2e"))
        .arg("bench/train.mjs");
    script.arg(paths.out.join("wasm")).arg(&config);
    script.args(["5", "10"]).arg(precision);
    if let Some(chrome) = setup::find_chromium(paths) {
        script.env("CHROME", chrome);
    }
    let printed = program::run(&step, &mut script)?;
    let line = printed.lines().last().unwrap_or_default();
    let measured = serde_json::from_str(line).map_err(|error| Failure::Data(error.to_string()))?;
    step.done("");
    Ok(measured)
}

fn summary(measured: &Measured, precision: &Path) -> Outcome<Value> {
    // The references are of f32 weights; with others the engines answer for each other.
    let (engines, expected): (&[_], _) = if precision.as_os_str() == "f32" {
        let reference = REFERENCE_LOSSES.map(f64::from).to_vec();
        (
            &[("wgsl", &measured.wgsl), ("cpu", &measured.cpu)],
            reference,
        )
    } else {
        (&[("wgsl", &measured.wgsl)], measured.cpu.losses.clone())
    };
    for (engine, run) in engines {
        for (step, (found, expected)) in run.losses.iter().zip(&expected).enumerate() {
            if (found - expected).abs() > TOLERANCE {
                return Err(Failure::Check(format!(
                    "engine {engine}, step {step}: loss {found}, expected was {expected}"
                )));
            }
        }
    }
    let webgpu = timing(&measured.wgsl, measured);
    let cpu = timing(&measured.cpu, measured);
    let floor_ms = STEP_GFLOP / measured.limits.rate * 1000.0;
    let counts = &measured.wgsl.counts;
    Ok(json!({
        "workload": "encoder",
        "adapter": measured.adapter,
        "clock": "CPU time of the browser's process tree over the cores, where there is /proc",
        "ms_per_step": webgpu.clock.json(),
        "wall_ms_per_step": webgpu.wall.json(),
        "cpu_ms_per_step": cpu.clock.median,
        "cpu_wall_ms_per_step": cpu.wall.median,
        "dispatches_per_step": counts.dispatches,
        "submits_per_step": counts.submits,
        "first_step_ms": measured.wgsl.walls.first(),
        "peak_gpu_bytes": counts.peak_bytes,
        "cpu_peak_bytes": measured.cpu.counts.peak_bytes,
        "limit_gflops": measured.limits.rate,
        "limit_wall_gflops": measured.limits.wall_rate,
        "limit_kernels": measured.limits.kernels,
        "floor_ms": floor_ms,
        "floor_ratio": floor_ms / webgpu.clock.median,
        "valid": measured.limits.rate >= LEAST_RATE,
        "steps_checked": REFERENCE_LOSSES.len(),
        "cores": measured.cores,
    }))
}

struct Timing {
    clock: Spread,
    wall: Spread,
}

struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |place: usize| sorted.get(place).copied().unwrap_or_default();
        Self {
            median: at(sorted.len() / 2),
            min: at(0),
            max: at(sorted.len().saturating_sub(1)),
        }
    }

    fn json(&self) -> Value {
        json!({ "median": self.median, "min": self.min, "spread": self.max - self.min })
    }
}

fn timing(run: &Run, measured: &Measured) -> Timing {
    let walls = run.walls.get(measured.warm..).unwrap_or_default();
    let cpus: Option<Vec<f64>> = run
        .cpus
        .get(measured.warm..)
        .unwrap_or_default()
        .iter()
        .copied()
        .collect();
    let clock: Vec<f64> = match cpus {
        Some(cpus) => cpus.iter().map(|ms| ms / measured.cores).collect(),
        None => walls.to_vec(),
    };
    Timing {
        clock: Spread::of(&clock),
        wall: Spread::of(walls),
    }
}

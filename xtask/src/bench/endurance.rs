//! `cargo xtask bench endurance`: long trainings in a tab's worker. What they hold must not grow, and
//! the page beside them must stay smooth.

use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use crate::{build, program, setup, usage};
use choir_shared::task::{EncoderShape, TaskConfig, workload};
use choir_shared::wire;
use lexopt::{Arg, Parser, ValueExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

/// Between two samples of what a training holds, there are this many to a training.
const SAMPLES: u32 = 20;
/// Frames that are slower than this one are felt.
const FRAME_MS: f64 = 50.0;
/// Of the frames, how many have to be faster.
const FAST_SHARE: f64 = 0.95;

/// What is run.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Of a small encoder.
    steps: u32,
    /// Of the workload "encoder".
    encoder_steps: u32,
    json: Option<PathBuf>,
    as_built: bool,
}

#[derive(Deserialize)]
struct Found {
    adapter: String,
    samples: Vec<Sample>,
    frames: Vec<f64>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct Sample {
    step: u32,
    loss: f64,
    gpu_bytes: u64,
    wasm_bytes: u64,
}

/// The bench's options, where the next word on the command line is `endurance`.
///
/// # Errors
/// `Usage` for what makes no sense.
pub(super) fn asked(arguments: &Parser) -> Outcome<Option<Options>> {
    if !super::names(arguments, "endurance") {
        return Ok(None);
    }
    let mut options = Options {
        steps: 2_000,
        encoder_steps: 50,
        json: None,
        as_built: false,
    };
    options.read(&mut arguments.clone()).map_err(usage)?;
    Ok(Some(options))
}

impl Options {
    fn read(&mut self, arguments: &mut Parser) -> Result<(), lexopt::Error> {
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Value(word) if word == "endurance" => {}
                Arg::Long("steps") => self.steps = arguments.value()?.parse()?,
                Arg::Long("encoder-steps") => self.encoder_steps = arguments.value()?.parse()?,
                Arg::Long("json") => self.json = Some(arguments.value()?.into()),
                Arg::Long("as-built") => self.as_built = true,
                other => return Err(other.unexpected()),
            }
        }
        Ok(())
    }
}

/// Runs it on what is built or built now, prints the JSON and writes it.
///
/// # Errors
/// `Check` where something grows, or the page stalls.
pub(super) fn run(paths: &Paths, options: &Options) -> Outcome<()> {
    if !options.as_built {
        setup::run(paths)?;
        build::run(paths, false)?;
    }
    let encoder = |config| Training {
        name: "workload",
        config,
        sizes: None,
        steps: options.encoder_steps,
    };
    let trainings = [small(options.steps), encoder(workload::encoder())];
    let mut results = Vec::new();
    let mut complaints = Vec::new();
    for training in trainings.iter().filter(|training| training.steps > 0) {
        let found = training.run(paths)?;
        complaints.extend(training.complaints(&found));
        results.push(training.json(&found));
    }
    let result = json!({ "trainings": results, "complaints": complaints });
    println!("{result:#}");
    if let Some(file) = &options.json {
        fs::write(file, format!("{result:#}\n")).at(file)?;
    }
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(Failure::Check(complaints.join("\n")))
    }
}

/// A few hundred steps of the small encoder, for the test suite: the growth alone, as frames are
/// late on a machine that does other things.
///
/// # Errors
/// `Check` where something grows.
pub(crate) fn short(paths: &Paths, steps: u32) -> Outcome<()> {
    let training = small(steps);
    match growth(&training.run(paths)?.samples) {
        None => Ok(()),
        Some(complaint) => Err(Failure::Check(complaint)),
    }
}

/// Two layers, 64 wide: a step takes milliseconds, so that what it leaves behind shows soonest.
fn small(steps: u32) -> Training {
    let (config, sizes) = small_encoder();
    Training {
        name: "small",
        config,
        sizes: Some(sizes),
        steps,
    }
}

/// The task of a small encoder, and the sizes that its page makes the weights for.
pub(crate) fn small_encoder() -> (TaskConfig, Value) {
    let shape = EncoderShape {
        dim: 64,
        layers: 2,
        heads: 4,
        intermediate: 256,
        vocabulary: 1_000,
        positions: 64,
        ..EncoderShape::ALL_MINI_LM_L6_V2
    };
    let mut config = workload::encoder();
    config.base.shape = shape;
    config.labels.truncate(8);
    config.max_length = 32;
    config.training.batch_size = 4;
    let sizes = json!({
        "dim": shape.dim, "layers": shape.layers, "heads": shape.heads, "mlp": shape.intermediate,
        "vocabulary": shape.vocabulary, "positions": shape.positions,
        "sequence": config.max_length, "batch": config.training.batch_size, "classes": 8,
    });
    (config, sizes)
}

struct Training {
    name: &'static str,
    config: TaskConfig,
    sizes: Option<Value>,
    steps: u32,
}

impl Training {
    fn run(&self, paths: &Paths) -> Outcome<Found> {
        let step = Step::start(format!("{} steps of the {} encoder", self.steps, self.name));
        let plan = json!({
            "wasm": paths.out.join("wasm"),
            "steps": self.steps,
            "every": (self.steps / SAMPLES).max(1),
            "options": {
                "module": "/wasm/wgsl/choir_wasm_client.js",
                "config": wire::encode(&self.config),
                "sizes": self.sizes,
            },
        });
        let file = paths.out.join("bench-endurance.plan.json");
        fs::write(&file, plan.to_string()).at(&file)?;
        let mut script = setup::browser_script(paths, "bench/endurance.mjs");
        script.arg(&file);
        let printed = program::run(&step, &mut script)?;
        let line = printed.lines().last().unwrap_or_default();
        let found: Found =
            serde_json::from_str(line).map_err(|error| Failure::Data(error.to_string()))?;
        step.done(&format!(
            "on {}, 95 % of frames within {:.0} ms",
            found.adapter,
            at_share(&found.frames, FAST_SHARE)
        ));
        Ok(found)
    }

    fn complaints(&self, found: &Found) -> Vec<String> {
        let frame = at_share(&found.frames, FAST_SHARE);
        let slow = (frame >= FRAME_MS).then(|| {
            format!("one frame in twenty took {frame:.0} ms or more, not under {FRAME_MS}")
        });
        [growth(&found.samples), slow]
            .into_iter()
            .flatten()
            .map(|complaint| format!("{}: {complaint}", self.name))
            .collect()
    }

    fn json(&self, found: &Found) -> Value {
        json!({
            "name": self.name,
            "adapter": found.adapter,
            "steps": self.steps,
            "samples": found.samples,
            "frames": found.frames.len(),
            "frame_ms": {
                "median": at_share(&found.frames, 0.5),
                "p95": at_share(&found.frames, FAST_SHARE),
                "max": at_share(&found.frames, 1.0),
            },
        })
    }
}

/// What a training holds more at its end than after its first tenth; by then every pipeline, pool
/// and batch has been used.
fn growth(samples: &[Sample]) -> Option<String> {
    let early = samples.get(samples.len() / 10)?;
    let last = samples.last()?;
    let grown = |name: &str, early: u64, last: u64| {
        (last > early).then(|| format!("{name} memory grew from {early} to {last} bytes"))
    };
    grown("GPU", early.gpu_bytes, last.gpu_bytes)
        .or_else(|| grown("wasm", early.wasm_bytes, last.wasm_bytes))
}

/// The value that such a share of them do not exceed; infinite where there are none.
fn at_share(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (share * sorted.len() as f64).ceil() as usize;
    sorted
        .get(place.saturating_sub(1))
        .copied()
        .unwrap_or(f64::INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(bytes: &[(u64, u64)]) -> Vec<Sample> {
        (1..)
            .zip(bytes)
            .map(|(step, (gpu_bytes, wasm_bytes))| Sample {
                step,
                loss: 1.0,
                gpu_bytes: *gpu_bytes,
                wasm_bytes: *wasm_bytes,
            })
            .collect()
    }

    #[test]
    fn either_memory_that_grows_is_noticed() {
        assert_eq!(growth(&samples(&[(9, 9), (9, 9), (9, 9)])), None);
        assert_eq!(growth(&samples(&[(9, 9), (9, 9), (8, 9)])), None);
        assert!(growth(&samples(&[(9, 9), (9, 9), (10, 9)])).is_some());
        assert!(growth(&samples(&[(9, 9), (9, 9), (9, 10)])).is_some());
    }

    #[test]
    fn a_share_of_frames_is_within_its_time() {
        let frames: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(at_share(&frames, 0.95), 95.0);
        assert_eq!(at_share(&frames, 1.0), 100.0);
        assert_eq!(at_share(&[], 0.5), f64::INFINITY);
    }
}

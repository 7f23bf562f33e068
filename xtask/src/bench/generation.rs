//! `cargo xtask bench generation`: how many tokens a second the built-in decoder writes in Chromium, and
//! how near that is to the floor that memory sets.
//!
//! **The floor.** A token reads every weight once: 4 bytes of each in f32, 1.125 in eight bits with
//! scales. No memory gives them faster than the best copy of the same page moves bytes (read and
//! written, both counted), by a kernel for engine *wgsl*, by the processor for engine *cpu*. Keys and
//! values, at most 1 MB here, and every other buffer are left out: the share would be larger with
//! them.

use super::train::figures::Spread;
use crate::failure::{AtPath, Failure, Outcome};
use crate::language_page::Plan;
use crate::paths::Paths;
use crate::progress::Step;
use crate::{Files, build, setup};
use lexopt::Parser;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;

const ENGINES: [&str; 2] = ["cpu", "wgsl"];
/// What the weights are kept in, and the bytes of one.
const PRECISIONS: [(&str, f64); 2] = [("f32", 4.0), ("int8", 1.125)];
/// Tokens of a text, after a short beginning.
const COUNT: usize = 120;
const REPETITIONS: usize = 3;
/// Part of the floor's speed that the quickest engine reaches in f32.
const LEAST_SHARE: f64 = 0.3;

/// What the page says of one engine.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    engine: String,
    adapter: String,
    /// Of each repetition.
    gbytes: Vec<f64>,
    token_ms: Vec<f64>,
}

/// The bench's options, where the next word is `generation`.
///
/// # Errors
/// `Usage` for what makes no sense.
pub(super) fn asked(arguments: &Parser) -> Outcome<Option<Files>> {
    if !super::names(arguments, "generation") {
        return Ok(None);
    }
    Files::read(&mut arguments.clone()).map(Some)
}

/// Runs it, prints the JSON and writes the file asked for.
///
/// # Errors
/// `Program` where the browser fails, `Check` where the share is too small.
pub(super) fn run(paths: &Paths, files: &Files) -> Outcome<()> {
    setup::run(paths)?;
    build::own_engines(paths)?;
    let parameters = parameters(paths)?;
    let mut rows = Vec::new();
    for (precision, bytes) in PRECISIONS {
        for found in in_chromium(paths, precision)? {
            rows.push(row(&found, precision, bytes * parameters)?);
        }
    }
    let plain = || rows.iter().filter(|row| row["precision"] == json!("f32"));
    let figure = |row: &Value, key: &str| row[key].as_f64().unwrap_or_default();
    let quickest = plain().max_by(|one, other| {
        let speed = |row| figure(row, "tokens_per_second");
        speed(one).total_cmp(&speed(other))
    });
    let share = quickest.map_or(0.0, |row| figure(row, "share_of_floor"));
    let result = json!({
        "bench": "generation",
        "model": paths.decoder_name(),
        "parameters": parameters,
        "tokens": COUNT,
        "repetitions": REPETITIONS,
        "clock": "wall",
        "tokens_per_second": quickest.map(|row| figure(row, "tokens_per_second")),
        "share_of_floor": share,
        "least_share": LEAST_SHARE,
        "engines": rows,
    });
    println!("{result:#}");
    if let Some(file) = files.get("json") {
        fs::write(&file, format!("{result:#}\n")).at(&file)?;
    }
    if share >= LEAST_SHARE {
        return Ok(());
    }
    Err(Failure::Check(format!(
        "the share of the floor is {share:.2}, and should be {LEAST_SHARE}"
    )))
}

/// Weights of the decoder, by the header of its file.
fn parameters(paths: &Paths) -> Outcome<f64> {
    let file = paths.decoder().join("model.safetensors");
    let bytes = fs::read(&file).at(&file)?;
    let unreadable = || Failure::Data(format!("{} is no safetensors file", file.display()));
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(unreadable)?;
    let header = usize::try_from(u64::from_le_bytes(*length))
        .ok()
        .and_then(|length| rest.get(..length))
        .ok_or_else(unreadable)?;
    let header: serde_json::Map<String, Value> =
        serde_json::from_slice(header).map_err(|_| unreadable())?;
    let values = |(name, entry): (&String, &Value)| match name.ends_with(".scales") {
        true => 0.0,
        false => entry["shape"].as_array().map_or(0.0, |shape| {
            shape.iter().filter_map(Value::as_f64).product()
        }),
    };
    Ok(header.iter().map(values).sum())
}

fn in_chromium(paths: &Paths, precision: &str) -> Outcome<Vec<Found>> {
    let step = Step::start(format!("{precision} in Chromium"));
    let plan = Plan {
        name: "bench-generation",
        folders: json!({ "wasm": paths.out.join("wasm"), "model": paths.decoder() }),
        script: "generation.js",
        engines: &ENGINES,
        options: json!({
            "folder": "/model",
            "precision": precision,
            "prompt": [0, 44, 260, 300],
            "count": COUNT,
            "repetitions": REPETITIONS,
        }),
    };
    let found = plan.run(paths, &step)?;
    step.done("");
    Ok(found)
}

fn row(found: &Found, precision: &str, bytes: f64) -> Outcome<Value> {
    let none = || Failure::Data("no token was timed".to_owned());
    let ms = Spread::of(&found.token_ms).ok_or_else(none)?;
    let rate = Spread::of(&found.gbytes).ok_or_else(none)?;
    let floor_ms = bytes / 1e6 / rate.max;
    Ok(json!({
        "engine": found.engine,
        "adapter": found.adapter,
        "precision": precision,
        "token_ms": ms.json(),
        "tokens_timed": found.token_ms.len(),
        "tokens_per_second": 1_000.0 / ms.median,
        "bytes_per_token": bytes,
        "copy_gbytes_per_second": rate.json(),
        "floor_ms": floor_ms,
        "share_of_floor": floor_ms / ms.median,
    }))
}

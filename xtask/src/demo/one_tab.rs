//! `cargo xtask demo --engine burn --tabs 1`: one tab trains a small encoder on burn-wgpu, then on
//! each of our engines, from the same weights and texts. All must have the same losses.

use super::options::Options;
use crate::bench::endurance::small_encoder;
use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use crate::{build, program, setup};
use choir_shared::wire;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;

/// Modules of the engines; the first is compared with the others.
const ENGINES: [&str; 3] = ["burn", "wgsl", "cpu"];
/// Steps of each.
const STEPS: usize = 8;
/// How far losses may be apart, as a part of them.
const TOLERANCE: f64 = 1e-3;
/// An engine that takes longer hangs.
const LIMIT_MS: u32 = 15 * 60 * 1000;

/// What the browser's programme says, a line each; the rest of it is of no use here.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event {
    Step {
        id: String,
        step: usize,
        loss: Option<f64>,
        ms: f64,
    },
    Row {
        id: String,
        adapter: Option<String>,
        failure: Option<String>,
        measured: Option<Measured>,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Measured {
    losses: Vec<Option<f64>>,
    walls: Vec<f64>,
}

/// Trains, prints the JSON, and writes it.
///
/// # Errors
/// `Check` where an engine fails or its losses differ from burn's.
pub(super) fn run(paths: &Paths, options: &Options) -> Outcome<()> {
    if !options.as_built {
        build::engines(paths)?;
    }
    let file = paths.out.join("demo-one-tab.plan.json");
    fs::write(&file, plan(paths).to_string()).at(&file)?;
    let mut script = setup::browser_script(paths, "bench/train.mjs");
    script.arg(&file);
    let step = Step::start(format!("{STEPS} steps in a tab, on {}", ENGINES.join(", ")));
    let mut rows = Vec::new();
    program::watch(&mut script, |line| match serde_json::from_str(line) {
        Ok(Event::Step {
            id,
            step: number,
            loss,
            ms,
        }) => {
            let loss = loss.map_or_else(|| "no number".to_owned(), |loss| format!("{loss:.5}"));
            step.detail(format!("{id}, step {number}: loss {loss}, {ms:.0} ms"));
        }
        Ok(Event::Row {
            id,
            adapter,
            failure,
            measured,
        }) => {
            let measured = measured.ok_or_else(|| failure.unwrap_or_default());
            rows.push((id, adapter.unwrap_or_default(), measured));
        }
        Ok(Event::Other) | Err(_) => {}
    })?;
    step.done("");
    let result = compare(rows)?;
    println!("{result:#}");
    if let Some(file) = &options.json {
        fs::write(file, format!("{result:#}\n")).at(file)?;
    }
    Ok(())
}

fn plan(paths: &Paths) -> Value {
    let (config, sizes) = small_encoder();
    let config = wire::encode(&config);
    let rows = ENGINES.map(|engine| {
        json!({
            "id": engine,
            "script": "/bench/encoder.js",
            "backend": if engine == "cpu" { "wasm" } else { "webgpu" },
            "options": {
                "module": format!("/wasm/{engine}/choir_wasm_client.js"),
                "config": config,
                "sizes": sizes,
            },
            "warm": 1,
            "timed": STEPS - 1,
        })
    });
    json!({
        "folders": { "wasm": paths.out.join("wasm") },
        "limits": false,
        "row_limit_ms": LIMIT_MS,
        "rows": rows,
    })
}

type Row = (String, String, Result<Measured, String>);

/// The rows as JSON, where their losses are the first one's.
fn compare(rows: Vec<Row>) -> Outcome<Value> {
    if rows.len() != ENGINES.len() {
        let complaint = format!("{} of {} engines ran", rows.len(), ENGINES.len());
        return Err(Failure::Check(complaint));
    }
    let mut first: Option<Vec<f64>> = None;
    let mut results = Vec::new();
    for (engine, adapter, measured) in rows {
        let complain = |reason: &str| Failure::Check(format!("engine {engine}: {reason}"));
        let Measured { losses, walls } = measured.map_err(|reason| complain(&reason))?;
        let losses: Option<Vec<f64>> = losses.into_iter().collect();
        let losses = losses.ok_or_else(|| complain("a loss is not a number"))?;
        let apart = difference(first.get_or_insert_with(|| losses.clone()), &losses);
        if apart > TOLERANCE {
            return Err(complain(&format!(
                "its losses are up to {apart:.1e} from burn's, more than {TOLERANCE:.0e} of them"
            )));
        }
        results.push(json!({
            "engine": engine,
            "adapter": adapter,
            "losses": losses,
            "relative_difference": apart,
            "step_ms": walls,
        }));
    }
    Ok(json!({ "steps": STEPS, "tolerance": TOLERANCE, "engines": results }))
}

/// The largest difference as a part of the expected value; infinite where their numbers differ.
fn difference(expected: &[f64], found: &[f64]) -> f64 {
    if expected.len() != found.len() || found.is_empty() {
        return f64::INFINITY;
    }
    let apart = |(a, b): (&f64, &f64)| (a - b).abs() / a.abs().max(f64::MIN_POSITIVE);
    expected.iter().zip(found).map(apart).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(engine: &str, losses: &[f64]) -> Row {
        let measured = Measured {
            losses: losses.iter().copied().map(Some).collect(),
            walls: vec![1.0; losses.len()],
        };
        (engine.to_owned(), String::new(), Ok(measured))
    }

    #[test]
    fn engines_of_other_losses_are_named() {
        let same = |third: &[f64]| {
            vec![
                row("burn", &[2.0, 1.0]),
                row("wgsl", &[2.001, 1.0]),
                row("cpu", third),
            ]
        };
        assert!(compare(same(&[2.0, 1.0005])).is_ok());
        let Err(Failure::Check(complaint)) = compare(same(&[2.0, 1.002])) else {
            panic!("a loss two thousandths away passed");
        };
        assert!(complaint.contains("cpu"), "{complaint}");
        assert!(compare(same(&[2.0])).is_err());
        assert!(compare(vec![row("burn", &[2.0])]).is_err());
    }

    #[test]
    fn a_failed_engine_says_why() {
        let mut rows = vec![row("burn", &[2.0]), row("wgsl", &[2.0])];
        rows.push(("cpu".to_owned(), String::new(), Err("no memory".to_owned())));
        assert!(matches!(compare(rows), Err(Failure::Check(text)) if text.contains("no memory")));
    }
}

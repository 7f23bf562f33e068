//! A decoder in the exact shape of SmolLM2-135M, random weights in four bits, trained in Chromium.

use crate::failure::{Failure, Outcome};
use crate::language_page::Plan;
use crate::paths::Paths;
use crate::progress::Step;
use crate::{build, setup};
use serde::Deserialize;
use serde_json::{Value, json};

/// Bytes of GPU memory that it may hold.
const MOST_BYTES: u64 = 600_000_000;
const STEPS: usize = 3;
const SEQUENCE: usize = 64;

/// What the page says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    webgpu: String,
    software: bool,
    parameters: u64,
    adapter_values: u64,
    load_ms: f64,
    losses: Vec<f64>,
    wall_ms: Vec<f64>,
    cpu_ms: Vec<f64>,
    wasm_bytes: u64,
    peak_bytes: u64,
    dispatches: u32,
}

/// Loads it and takes the steps.
pub(super) fn run(paths: &Paths) -> Outcome<Value> {
    setup::run(paths)?;
    build::own_engines(paths)?;
    let step = Step::start("SmolLM2-135M's shape in Chromium");
    let plan = Plan {
        name: "eval-large",
        folders: json!({ "wasm": paths.out.join("wasm") }),
        script: "large_decoder.js",
        engines: &["wgsl"],
        options: json!({
            "config": config(),
            "precision": "int4",
            "lora": { "rank": 8, "alpha": 16.0, "targets": ["q", "v"] },
            "sequence": SEQUENCE,
            "batch": 1,
            "steps": STEPS,
        }),
    };
    let found: Vec<Found> = plan.run(paths, &step)?;
    step.done("");
    found
        .first()
        .map(report)
        .ok_or_else(|| Failure::Data("no engine ran".to_owned()))
}

/// Of Hugging Face's SmolLM2-135M.
fn config() -> Value {
    json!({
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": 576,
        "intermediate_size": 1536,
        "max_position_embeddings": 8192,
        "num_attention_heads": 9,
        "num_hidden_layers": 30,
        "num_key_value_heads": 3,
        "rms_norm_eps": 1e-5,
        "rope_scaling": null,
        "rope_theta": 100_000,
        "tie_word_embeddings": true,
        "vocab_size": 49_152,
    })
}

fn report(found: &Found) -> Value {
    json!({
        "model": "SmolLM2-135M's shape, random weights",
        "adapter": found.webgpu,
        "software": found.software,
        "precision": "int4, words int8",
        "parameters": found.parameters,
        "trained": found.adapter_values,
        "sequence": SEQUENCE,
        "batch": 1,
        "load_ms": found.load_ms,
        "losses": found.losses,
        "step_ms": { "wall": found.wall_ms, "cpu_over_cores": found.cpu_ms },
        "dispatches": found.dispatches,
        "peak_gpu_bytes": found.peak_bytes,
        "most_gpu_bytes": MOST_BYTES,
        "wasm_bytes": found.wasm_bytes,
    })
}

/// # Errors
/// `Check` where it holds more than it may, or a loss is no number.
pub(super) fn check(result: &Value) -> Outcome<()> {
    let losses = result["losses"].as_array().map_or(&[][..], Vec::as_slice);
    if losses.len() != STEPS || losses.iter().any(|loss| !loss.is_number()) {
        return Err(Failure::Check("a step has no loss".to_owned()));
    }
    match result["peak_gpu_bytes"].as_u64() {
        Some(bytes) if bytes <= MOST_BYTES => Ok(()),
        _ => Err(Failure::Check(format!(
            "it holds more than {MOST_BYTES} bytes"
        ))),
    }
}

//! Reference vectors for the kernels in a browser, computed by burn.
//!
//! Written to the folder `CHOIR_REFERENCE`, else to `choir/reference` in the target folder. Each
//! case has a folder of its own with
//!
//! - `case.json`: the object below;
//! - `adapter.bin`: the flat adapter before the first step, f32 little-endian;
//! - `gradient.bin`: the flat gradient of the loss on the batch at that adapter, likewise;
//! - `weights.safetensors`: the base model, if it is not the published one.
//!
//! ```json
//! { "name": "small",
//!   "precision": "f32",                          // what the frozen matrices are kept in
//!   "task": "<wire bytes of the TaskConfig, hex>",
//!   "weights": "weights.safetensors",            // null: the published all-MiniLM-L6-v2
//!   "tokens": [1, 2], "starts": [0, 2], "labels": [0],
//!   "parts": [{ "name": "LoraA { layer: 0, target: Q }", "start": 0, "end": 192 }],
//!   "losses": [1.7, 1.6],                        // before each update, the same batch each time
//!   "tolerance": 0.001 }
//! ```
//!
//! The batch is as large as the task's `batch_size`, so that a trainer given these examples takes
//! all of them in every step; their order within a batch changes nothing but rounding.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use choir_shared::wire;
use choir_wasm_client::engine::burn::BurnEngine;
use choir_wasm_client::engine::quantised::WeightPrecision;
use serde_json::json;

use crate::case::{Case, Outcome};
use crate::compare::TOLERANCE;

fn folder() -> PathBuf {
    env::var_os("CHOIR_REFERENCE").map_or_else(
        || {
            Path::new(env!("CARGO_TARGET_TMPDIR"))
                .with_file_name("choir")
                .join("reference")
        },
        PathBuf::from,
    )
}

fn write(case: &Case, published: bool) {
    case.task.check().expect("a task that a trainer takes");
    let Outcome { gradient, losses } = case.run(&mut BurnEngine::flex());
    let layout = case.layout();
    let parts = layout.parts().iter().map(|part| {
        let name = format!("{:?}", part.kind);
        json!({ "name": name, "start": part.range.start, "end": part.range.end })
    });
    let (name, precision) = match case.precision {
        WeightPrecision::F32 => (case.name.to_owned(), "f32"),
        WeightPrecision::Int8 => (format!("{}-int8", case.name), "int8"),
        WeightPrecision::Int4 => (format!("{}-int4", case.name), "int4"),
    };
    let object = json!({
        "name": name,
        "precision": precision,
        "task": hex(&wire::encode(&case.task)),
        "weights": (!published).then_some("weights.safetensors"),
        "tokens": case.batch.tokens,
        "starts": case.batch.token_starts,
        "labels": case.batch.labels,
        "parts": parts.collect::<Vec<_>>(),
        "losses": losses,
        "tolerance": TOLERANCE,
    });

    let folder = folder().join(&name);
    fs::create_dir_all(&folder).expect("the folder");
    let put = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).expect("the file");
    put("case.json", object.to_string().as_bytes());
    put("adapter.bin", &little_endian(&case.adapter));
    put("gradient.bin", &little_endian(&gradient));
    if !published {
        put("weights.safetensors", &case.weights);
    }
    println!(
        "{name}: reference vectors of {} coordinates written",
        gradient.len()
    );
}

#[test]
fn reference_vectors_are_written() {
    write(&Case::small(), false);
    for precision in [WeightPrecision::Int8, WeightPrecision::Int4] {
        write(&Case::small().in_precision(precision), false);
    }
    let odd = Case::odd(44, 11, 31, &[3, 17, 2]);
    write(&odd.in_precision(WeightPrecision::Int4), false);
    if let Some(case) = Case::real() {
        write(&case, true);
    }
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

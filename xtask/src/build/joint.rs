//! What benches and tests of steps in several threads load into a page: the SDK's part that takes
//! them with its thread and modules, and two small tasks.

use super::CPU;
use crate::bench::{endurance, train};
use crate::failure::{AtPath, Outcome};
use crate::paths::Paths;
use crate::program;
use crate::progress::Step;
use crate::stamp::Stamp;
use choir_shared::task::TaskConfig;
use choir_shared::wire;
use serde_json::{Value, json};
use std::fs;
use std::process::Command;

/// Builds it by its script in `web/`, and writes the tasks beside it.
///
/// # Errors
/// `Program` with the script's messages.
pub(super) fn build(paths: &Paths) -> Outcome<()> {
    let out = paths.out.join("joint");
    let step = Step::start("steps in several threads, for tests");
    let stamp = Stamp::new(paths, "joint")
        .input(&paths.root.join("web"))?
        .input(&paths.out.join("wasm"))?;
    if stamp.is_fresh(&out) {
        step.done("up to date");
    } else {
        let mut build = Command::new("node");
        build.current_dir(&paths.root).arg("web/build_joint.mjs");
        build.arg("--wasm").arg(paths.out.join("wasm"));
        build.arg("--out").arg(&out);
        program::run(&step, &mut build)?;
        stamp.store()?;
        step.done("");
    }
    let file = out.join("tasks.json");
    fs::write(&file, tasks().to_string()).at(&file)
}

/// What the scripts of two small models in `e2e/bench` are opened with.
fn tasks() -> Value {
    let of = |name: &str, script: &str, (config, sizes): (TaskConfig, Value)| {
        json!({
            "name": name,
            "script": format!("/bench/{script}.js"),
            "module": format!("/wasm/{}/choir_wasm_client.js", CPU.name),
            "config": wire::encode(&config),
            "sizes": sizes,
        })
    };
    json!([
        of("encoder", "encoder", endurance::small_encoder()),
        of("decoder", "language_decoder", train::small_decoder()),
    ])
}

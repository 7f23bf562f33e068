//! `cargo xtask size`: what a visitor downloads, compressed as a server would, and what the SDK's
//! pages may load besides.

use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use crate::{build, program, setup};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Most bytes for training on WebGPU, without the model.
pub(crate) const LIMIT: u64 = 700_000;

/// Builds, measures, prints each part, and writes JSON where it was asked for.
///
/// # Errors
/// `Check` above the limit.
pub(crate) fn run(paths: &Paths, json: Option<PathBuf>) -> Outcome<()> {
    setup::run(paths)?;
    build::run(paths, false)?;
    let sizes = measure(paths)?;
    for (name, bytes) in sizes
        .get("parts")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        println!("  {:>9}  {name}", bytes.as_u64().unwrap_or_default());
    }
    let total = webgpu_bytes(&sizes);
    println!("  {total:>9}  in all for training on WebGPU, of at most {LIMIT}");
    if let Some(file) = json {
        fs::write(&file, format!("{sizes:#}\n")).at(&file)?;
    }
    if total > LIMIT {
        return Err(Failure::Check(format!(
            "a visitor downloads {total} bytes, over {LIMIT}"
        )));
    }
    Ok(())
}

/// Compresses every file of the built site, and those that only pages with the SDK load.
///
/// # Errors
/// `Program` where the script fails.
pub(crate) fn measure(paths: &Paths) -> Outcome<Value> {
    let step = Step::start("compressing with brotli");
    let mut script = Command::new("node");
    script
        .current_dir(paths.root.join("e2e"))
        .arg("size.mjs")
        .arg(paths.site(false));
    script
        .arg(setup::model_files(paths).tokenizer)
        .arg(paths.out.join("sdk"));
    let printed = program::run(&step, &mut script)?;
    step.done("");
    serde_json::from_str(&printed).map_err(|error| Failure::Data(error.to_string()))
}

/// The bytes that count.
pub(crate) fn webgpu_bytes(sizes: &Value) -> u64 {
    sizes
        .get("webgpu_brotli_bytes")
        .and_then(Value::as_u64)
        .unwrap_or(u64::MAX)
}

//! The edge worker's modules: what workerd is given.

use super::bindgen;
use crate::failure::{AtPath, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use crate::stamp::Stamp;
use std::fs;

const PACKAGE: &str = "choir-edge-aggregator";

/// Builds the worker into `target/choir/worker`.
///
/// # Errors
/// The first program that failed.
pub(super) fn build(paths: &Paths) -> Outcome<()> {
    let step = Step::start("edge worker");
    let folder = paths.worker();
    let source = paths.root.join("edge-aggregator");
    let shim = source.join("shim.mjs");
    let stamp = Stamp::new(paths, "worker")
        .input(&paths.root.join("Cargo.toml"))?
        .input(&paths.root.join("Cargo.lock"))?
        .input(&paths.root.join(".cargo"))?
        .input(&paths.root.join("shared/Cargo.toml"))?
        .input(&paths.root.join("shared/src"))?
        .input(&source.join("Cargo.toml"))?
        .input(&source.join("src"))?
        .input(&shim)?;
    if stamp.is_fresh(&folder) {
        step.done("up to date");
        return Ok(());
    }
    let compiled = bindgen::compile(&step, paths, PACKAGE, "release", None)?;
    if folder.exists() {
        fs::remove_dir_all(&folder).at(&folder)?;
    }
    step.detail("wasm-bindgen");
    bindgen::for_worker(&compiled, "index", &folder)?;
    fs::copy(&shim, folder.join("shim.mjs")).at(&shim)?;
    stamp.store()?;
    step.done("");
    Ok(())
}

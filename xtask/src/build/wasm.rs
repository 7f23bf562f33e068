//! The client's wasm modules: cargo, wasm-bindgen, wasm-opt.

use super::{Module, bindgen};
use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::program;
use crate::progress::Step;
use crate::stamp::Stamp;
use std::fs;
use std::process::Command;

const PACKAGE: &str = "choir-wasm-client";
/// What the compiler uses and every browser with WebGPU has; more would go into the output.
const BROWSER_FEATURES: [&str; 7] = [
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
    "--enable-simd",
];
/// Changes with the way in which modules are made.
const RECIPE: &str = "3";
/// Every module has the same file names, in a folder of its own.
const FILE_STEM: &str = "choir_wasm_client";

/// Builds one module.
///
/// # Errors
/// The first program that failed.
pub(super) fn build(paths: &Paths, module: Module) -> Outcome<()> {
    let step = Step::start(format!("wasm module {}", module.name));
    let folder = paths.wasm(module.name);
    let stamp = Stamp::new(paths, &format!("wasm-{}", module.name))
        .word(RECIPE)
        .word(module.features)
        .word(module.profile)
        .word(module.optimise)
        .input(&paths.root.join("Cargo.toml"))?
        .input(&paths.root.join("Cargo.lock"))?
        .input(&paths.root.join(".cargo"))?
        .input(&paths.root.join("shared/Cargo.toml"))?
        .input(&paths.root.join("shared/src"))?
        .input(&paths.root.join("wasm-client/Cargo.toml"))?
        .input(&paths.root.join("wasm-client/src"))?;
    if stamp.is_fresh(&folder) {
        step.done("up to date");
        return Ok(());
    }
    let compiled = bindgen::compile(&step, paths, PACKAGE, module.profile, Some(module.features))?;
    // Made beside its place and moved there when it is whole.
    let fresh = folder.with_extension("new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).at(&fresh)?;
    }
    step.detail("wasm-bindgen");
    bindgen::for_web(&compiled, FILE_STEM, &fresh)?;
    step.detail("wasm-opt");
    let file = fresh.join(format!("{FILE_STEM}_bg.wasm"));
    let optimiser = paths
        .npm_program("wasm-opt")
        .ok_or_else(|| Failure::Missing {
            what: "wasm-opt".to_owned(),
            remedy: "Run `cargo xtask setup`: npm's package binaryen has it.".to_owned(),
        })?;
    let mut optimise = Command::new(optimiser);
    optimise
        .arg(module.optimise)
        .args(BROWSER_FEATURES)
        .arg(&file)
        .arg("-o")
        .arg(&file);
    program::run(&step, &mut optimise)?;
    let bytes = fs::metadata(&file).at(&file)?.len();
    if folder.exists() {
        fs::remove_dir_all(&folder).at(&folder)?;
    }
    fs::rename(&fresh, &folder).at(&fresh)?;
    stamp.store()?;
    step.done(&format!("{} kB", bytes / 1000));
    Ok(())
}

//! cargo's wasm output, and wasm-bindgen as a library at the version that the lock file names.

use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::program;
use crate::progress::Step;
use std::fs;
use std::path::{Path, PathBuf};
use wasm_bindgen_cli_support::Bindgen;

/// Compiles one crate for wasm32 and returns the module's file.
///
/// A module's file has the same name whatever its features are, so the last one is removed first:
/// cargo would take it for fresh.
///
/// # Errors
/// `Program` with the compiler's messages.
pub(super) fn compile(
    step: &Step,
    paths: &Paths,
    package: &str,
    profile: &str,
    features: Option<&str>,
) -> Outcome<PathBuf> {
    let folder = paths.target.join("wasm32-unknown-unknown").join(profile);
    let file = format!("{}.wasm", package.replace('-', "_"));
    for stale in [folder.join(&file), folder.join("deps").join(&file)] {
        if stale.exists() {
            fs::remove_file(&stale).at(&stale)?;
        }
    }
    let mut cargo = program::cargo(&paths.root);
    cargo.args([
        "build",
        "--lib",
        "--profile",
        profile,
        "--target",
        "wasm32-unknown-unknown",
    ]);
    cargo
        .args(["--package", package])
        .env("WASM_BINDGEN_USE_JS_SYS", "1");
    if let Some(features) = features {
        cargo.args(["--no-default-features", "--features", features]);
    }
    program::run(step, &mut cargo)?;
    Ok(folder.join(file))
}

/// Writes JavaScript and wasm for a page.
///
/// # Errors
/// `Data` where wasm-bindgen refuses the module.
pub(super) fn for_web(module: &Path, name: &str, folder: &Path) -> Outcome<()> {
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(module)
        .out_name(name)
        .typescript(true)
        .omit_default_module_path(false)
        .remove_name_section(true)
        .remove_producers_section(true);
    bindgen
        .web(true)
        .and_then(|bindgen| bindgen.generate(folder))
        .map_err(refused)
}

/// Writes JavaScript and wasm for workerd: one plain import of the compiled module, and a way to
/// start anew after a panic.
///
/// # Errors
/// `Data` where wasm-bindgen refuses the module.
pub(super) fn for_worker(module: &Path, name: &str, folder: &Path) -> Outcome<()> {
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(module)
        .out_name(name)
        .typescript(false)
        .reset_state_function(true)
        .force_enable_abort_handler(true);
    bindgen
        .module(true)
        .and_then(|bindgen| bindgen.generate(folder))
        .map_err(refused)?;
    let script = folder.join(format!("{name}.js"));
    let text = fs::read_to_string(&script).at(&script)?;
    fs::write(&script, text.replace("import source ", "import ")).at(&script)
}

fn refused(error: impl std::fmt::Display) -> Failure {
    Failure::Data(format!("wasm-bindgen: {error:#}"))
}

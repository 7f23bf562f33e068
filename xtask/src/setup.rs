//! `cargo xtask setup`: everything that a build, a demo and the tests need, once.
//!
//! Each step looks first and acts only where something is missing, so a second start takes
//! seconds. wasm-bindgen needs no step: it is a library of this program, at the locked version.

mod chromium;
mod cxx;
mod debian;
mod model;
mod npm;
mod vulkan;
mod wasm_target;

pub(crate) use chromium::{find as find_chromium, script as browser_script};
pub(crate) use cxx::ensure as ensure_cxx;
pub(crate) use model::{ModelFiles, ensure as ensure_model, files as model_files};
pub(crate) use npm::ensure_package as ensure_npm_package;
pub(crate) use vulkan::driver as vulkan_driver;

use crate::failure::{Failure, Outcome};
use crate::paths::Paths;
use crate::program;
use crate::progress::Step;

/// Sets everything up.
///
/// # Errors
/// `Missing` with what to do, or the first step that failed.
pub(crate) fn run(paths: &Paths) -> Outcome<()> {
    node()?;
    wasm_target::ensure(paths)?;
    npm::ensure(paths)?;
    chromium::ensure(paths)?;
    model::ensure(paths)?;
    vulkan::ensure()
}

fn node() -> Outcome<()> {
    let step = Step::start("Node");
    let version = program::capture("node", &["--version"]).unwrap_or_default();
    let major = version
        .trim_start_matches('v')
        .split('.')
        .next()
        .unwrap_or_default();
    if major.parse::<u32>().is_ok_and(|major| major >= OLDEST_NODE) {
        step.done(&version);
        return Ok(());
    }
    Err(Failure::Missing {
        what: format!("Node {OLDEST_NODE} or newer"),
        remedy: format!(
            "Found: {version:?}. Install it from your system's packages or nodejs.org."
        ),
    })
}

const OLDEST_NODE: u32 = 20;

//! `cargo xtask build`: the wasm modules, the edge worker, the site, the SDK package, the extension
//! and what tests of the SDK's threads load, each only where its inputs changed.

mod bindgen;
mod joint;
mod native;
mod sdk;
mod site;
mod wasm;
mod worker;

pub(crate) use native::{Profile, Tool};

use crate::failure::Outcome;
use crate::paths::Paths;

/// A wasm module: the client's crate with one feature.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Module {
    /// Its name, also of its folder.
    pub(crate) name: &'static str,
    /// The crate's features.
    features: &'static str,
    /// cargo's profile.
    profile: &'static str,
    /// What wasm-opt is told.
    optimise: &'static str,
}

/// The client's side of the protocol.
pub(crate) const PROTOCOL: Module = Module {
    name: "protocol",
    features: "protocol",
    profile: "release",
    optimise: "-Oz",
};
/// The same for tests that compare the sum with the plain one.
pub(crate) const PROTOCOL_OBSERVE: Module = Module {
    name: "protocol-observe",
    features: "protocol,observe",
    profile: "release",
    optimise: "-Oz",
};
/// Either side of a round played again, for a bench and for tests of masks.
pub(crate) const REHEARSAL: Module = Module {
    name: "rehearsal",
    features: "rehearsal",
    profile: "release",
    optimise: "-Oz",
};
/// Training on WebGPU.
pub(crate) const WGSL: Module = Module {
    name: "wgsl",
    features: "wgsl",
    profile: "small",
    optimise: "-Oz",
};
/// Training on the CPU: made for speed.
pub(crate) const CPU: Module = Module {
    name: "cpu",
    features: "cpu",
    profile: "release",
    optimise: "-O3",
};
/// Chat templates: only for pages that converse.
pub(crate) const CHAT: Module = Module {
    name: "chat",
    features: "chat",
    profile: "smallest",
    optimise: "-Oz",
};

/// Training by burn on burn-wgpu: made to be compared with, not to be served.
pub(crate) const BURN: Module = Module {
    name: "burn",
    features: "burn-wgpu",
    profile: "burn",
    optimise: "-O1",
};

/// Builds everything that is served.
///
/// # Errors
/// The first program that failed.
pub(crate) fn run(paths: &Paths, observe: bool) -> Outcome<()> {
    for module in [PROTOCOL, WGSL, CPU, CHAT] {
        wasm::build(paths, module)?;
    }
    if observe {
        wasm::build(paths, PROTOCOL_OBSERVE)?;
        wasm::build(paths, REHEARSAL)?;
    }
    worker::build(paths)?;
    site::build(paths, observe)?;
    sdk::build(paths)?;
    joint::build(paths)
}

/// Builds the module that plays either side of a round again; yields its folder.
///
/// # Errors
/// The first program that failed.
pub(crate) fn rehearsal(paths: &Paths) -> Outcome<std::path::PathBuf> {
    wasm::build(paths, REHEARSAL)?;
    Ok(paths.wasm(REHEARSAL.name))
}

/// Builds the modules of our engines.
///
/// # Errors
/// The first program that failed.
pub(crate) fn own_engines(paths: &Paths) -> Outcome<()> {
    [WGSL, CPU]
        .into_iter()
        .try_for_each(|module| wasm::build(paths, module))
}

/// Builds those and burn's, which takes many minutes the first time.
///
/// # Errors
/// The first program that failed.
pub(crate) fn engines(paths: &Paths) -> Outcome<()> {
    [WGSL, CPU, BURN]
        .into_iter()
        .try_for_each(|module| wasm::build(paths, module))
}

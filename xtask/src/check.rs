//! `cargo xtask check`: the cheapest checks first, so that a mistake shows soon.

mod dependencies;
mod house;

use crate::coverage;
use crate::deploy;
use crate::failure::Outcome;
use crate::paths::Paths;
use crate::program;
use crate::progress::Step;
use std::process::Command;

/// What clippy looks at: a name, then cargo's arguments.
const LINTS: [(&str, &[&str]); 8] = [
    (
        "shared and tools",
        &["-p", "choir-shared", "-p", "xtask", "--all-targets"],
    ),
    ("fuzz targets", &["-p", "choir-fuzz", "--all-targets"]),
    (
        "shared, test features",
        &[
            "-p",
            "choir-shared",
            "--features",
            "test-util,observe",
            "--all-targets",
        ],
    ),
    (
        "tab, native",
        &[
            "-p",
            "choir-wasm-client",
            "--features",
            "native,wgsl,protocol,attack,sim,client,evals",
            "--lib",
            "--bins",
        ],
    ),
    (
        "tab, wasm, engine wgsl",
        &[
            "-p",
            "choir-wasm-client",
            "--features",
            "wgsl",
            "--lib",
            WASM,
        ],
    ),
    (
        "tab, wasm, engine cpu",
        &[
            "-p",
            "choir-wasm-client",
            "--features",
            "cpu,protocol",
            "--lib",
            WASM,
        ],
    ),
    (
        "tab, wasm, chat templates",
        &[
            "-p",
            "choir-wasm-client",
            "--features",
            "chat",
            "--lib",
            WASM,
        ],
    ),
    (
        "edge worker, wasm",
        &["-p", "choir-edge-aggregator", "--lib", WASM],
    ),
];
const WASM: &str = "--target=wasm32-unknown-unknown";

/// Runs every check.
///
/// # Errors
/// The first that fails.
pub(crate) fn run(paths: &Paths) -> Outcome<()> {
    let mut first = Ok(());
    each(paths, |_, ended| {
        if first.is_ok() {
            first = ended;
        }
    });
    first
}

/// Runs every check and hands over how each ended.
pub(crate) fn each(paths: &Paths, mut on_end: impl FnMut(&str, Outcome<()>)) {
    on_end("house rules", house::check(paths));
    on_end("dependencies in use", dependencies::check(paths));
    on_end("map of the field", coverage::check(paths));
    on_end("deployment configuration", deploy::check(paths));
    let mut format = program::cargo(&paths.root);
    format.args(["fmt", "--all", "--", "--check", "-l"]);
    on_end("formatting", passes("formatting", &mut format));
    if let Some(compiler) = paths.npm_program("tsc") {
        let mut types = Command::new(compiler);
        types
            .current_dir(paths.root.join("web"))
            .args(["--noEmit", "--project", "tsconfig.json"]);
        on_end("types of web/", passes("types of web/", &mut types));
    }
    for (name, arguments) in LINTS {
        let mut clippy = program::cargo(&paths.root);
        clippy
            .arg("clippy")
            .args(arguments)
            .args(["--", "-D", "warnings"]);
        let name = format!("lints: {name}");
        on_end(&name, passes(&name, &mut clippy));
    }
}

fn passes(name: &str, command: &mut Command) -> Outcome<()> {
    let step = Step::start(name);
    program::run(&step, command)?;
    step.done("");
    Ok(())
}

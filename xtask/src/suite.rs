//! `cargo xtask test`: set up, check, and run every test there is, with one line of counts at the
//! end.

mod counts;
pub(crate) mod doors;
mod privacy;
mod research;
mod room;
mod tokens;
mod whole_path;

use crate::bench::endurance;
use crate::failure::{Failure, Outcome};
use crate::faults::Faults;
use crate::fuzz::Fuzzing;
use crate::paths::Paths;
use crate::progress::Step;
use crate::{build, check, program, setup};
use counts::Counts;
use std::process::Command;
use std::time::Instant;

/// cargo's tests: a name, then its arguments.
const NATIVE: [(&str, &[&str]); 5] = [
    (
        "shared",
        &["-p", "choir-shared", "--features", "test-util,observe"],
    ),
    ("fuzz corpus", &["-p", "choir-fuzz"]),
    ("tools", &["-p", "xtask"]),
    (
        "edge worker's own",
        &["-p", "choir-edge-aggregator", "--lib"],
    ),
    (
        "tab and its engines",
        &[
            "-p",
            "choir-wasm-client",
            "--features",
            "parity,native,protocol,attack,sim,client,evals,pretrain",
        ],
    ),
];

/// Small models of every architecture, with what others compute with them.
const MINIATURES: &str = "wasm-client/tests/miniatures";

/// How many schedules of faults are run here; `cargo xtask faults` runs many more.
const SCHEDULES: u64 = 300;

/// How long each fuzz target is searched here; `cargo xtask fuzz` does so at length.
const FUZZ_SECONDS: u32 = 3;

/// Steps of a small training here; `cargo xtask bench endurance` takes many more.
const ENDURANCE_STEPS: u32 = 200;

/// Node's tests: a name, a folder, and its test files.
const NODE: [(&str, &str, &[&str]); 3] = [
    (
        "edge worker on workerd",
        "edge-aggregator",
        &["--test", "tests/"],
    ),
    (
        "wasm modules on Node",
        "wasm-client",
        &[
            "--test",
            "tests/known_answers.test.mjs",
            "tests/chat.test.mjs",
        ],
    ),
    (
        "end-to-end tools and specs",
        "e2e",
        &["--test", "--test-concurrency=1", "tests/"],
    ),
];

/// Runs everything and prints the counts.
///
/// # Errors
/// `Check` where any test failed, or the first step that could not be carried out.
pub(crate) fn run(paths: &Paths) -> Outcome<()> {
    let start = Instant::now();
    let mut counts = Counts::default();
    room::ensure(paths)?;
    setup::run(paths)?;
    check::each(paths, |name, ended| {
        counts.check(name, ended);
    });
    if !setup::vulkan_driver() {
        counts.skip("GPU tests outside the browser: no Vulkan driver");
    }
    // The first slice comes before all that can wait for it.
    let built = build::run(paths, true).and_then(|()| build::run(paths, false));
    if counts.check("wasm modules, edge worker and site", built) {
        whole_path::run(paths, &mut counts);
        privacy::run(paths, &mut counts);
        doors::run(paths, &doors::ALL, &mut counts);
        let endured = endurance::short(paths, ENDURANCE_STEPS);
        counts.check("a long training in a tab holds no more at its end", endured);
    }
    tokens::run(paths, &mut counts);
    research::run(paths, &mut counts);
    for (name, arguments) in NATIVE {
        cargo_tests(paths, name, arguments, &mut counts);
    }
    let searched = Fuzzing::for_seconds(FUZZ_SECONDS).run(paths);
    counts.check("a short search from the fuzz corpus", searched);
    let survived = Faults::short(SCHEDULES).run(paths);
    counts.check("rounds under schedules of faults", survived);
    for (name, folder, arguments) in NODE {
        node_tests(paths, name, folder, arguments, &mut counts);
    }
    if paths.root.join("web/test/run.mjs").exists() {
        node_tests(paths, "page and SDK", "web", &["test/run.mjs"], &mut counts);
    }
    let minutes = start.elapsed().as_secs_f32() / 60.0;
    eprintln!("  in {minutes:.1} minutes");
    println!(
        "{} passed, {} failed, {} skipped",
        counts.passed, counts.failed, counts.skipped
    );
    if counts.failed == 0 {
        Ok(())
    } else {
        Err(Failure::Check("some tests failed".to_owned()))
    }
}

fn cargo_tests(paths: &Paths, name: &str, arguments: &[&str], counts: &mut Counts) {
    let step = Step::start(format!("cargo tests: {name}"));
    let mut cargo = program::cargo(&paths.root);
    cargo.args(["test", "--no-fail-fast"]).args(arguments);
    let mut found = Counts::default();
    let ended = program::watch(&mut cargo, |line| {
        step.detail(line.trim());
        found.read_cargo(line);
    });
    counts.close(step, found, ended);
}

fn node_tests(paths: &Paths, name: &str, folder: &str, arguments: &[&str], counts: &mut Counts) {
    let mut node = Command::new("node");
    node.current_dir(paths.root.join(folder)).args(arguments);
    node.env("CHOIR_OUT", &paths.out)
        .env("CHOIR_MODEL", paths.model())
        .env("CHOIR_MINIATURES", paths.root.join(MINIATURES));
    watch_node(paths, format!("node tests: {name}"), node, counts);
}

/// Runs Node's tests with the browser that there is, and counts them.
fn watch_node(paths: &Paths, title: String, mut node: Command, counts: &mut Counts) {
    let step = Step::start(title);
    if let Some(chrome) = setup::find_chromium(paths) {
        node.env("CHROME", chrome);
    }
    let mut found = Counts::default();
    let ended = program::watch(&mut node, |line| {
        step.detail(line.trim());
        found.read_node(line);
    });
    counts.close(step, found, ended);
}

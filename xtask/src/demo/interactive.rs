//! The demo for a person: everything served on this machine until Ctrl-C.

use super::options::Options;
use super::stage;
use crate::evaluator::Evaluator;
use crate::failure::{AtPath, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use std::fs;
use std::process::{Command, Stdio};

/// Rounds of the task: a page that is left open for a day does not run out of them.
const ROUNDS: u32 = 10_000;

/// Serves the demo and stays.
///
/// # Errors
/// The first step that failed.
pub(super) fn run(paths: &Paths, options: &Options) -> Outcome<()> {
    let folder = stage::fresh_folder(paths)?;
    let data = stage::read_data(paths, options)?;
    let config = stage::frame(paths, options, &data)?.adapter_task()?;
    let config_file = stage::write_config(&folder, "adapter", &config)?;
    let version_zero = folder.join("version-0.f32");
    {
        let mut evaluator = Evaluator::start(paths)?;
        let step = Step::start("version 0");
        evaluator.version_zero(&config_file, None, &version_zero)?;
        step.done("");
    }
    let aggregator = stage::aggregator(paths, options, &folder)?;
    let content = fs::read(&version_zero).at(&version_zero)?;
    let (task, _) = stage::create(&aggregator, &config, &content, ROUNDS)?;
    aggregator.operator.point_site(task)?;
    let base = aggregator.operator.base();
    // Whom the page trusts is in its own address, not in what the aggregator says.
    let address = options.mode.helper().map_or_else(
        || format!("{base}/"),
        |helper| format!("{base}/?helper={}", helper.key()),
    );
    println!("\n  The demo is at  {address}");
    if let Some(helper) = &aggregator.helper {
        println!(
            "  Its leader is process {}, its helper process {} at {}",
            aggregator.process(),
            helper.process(),
            helper.operator.base()
        );
    }
    println!("  Ctrl-C ends it.\n");
    if options.open {
        open_browser(&address);
    }
    loop {
        std::thread::park();
    }
}

/// Opens the person's own browser; where that cannot be done, the address is on the screen.
fn open_browser(address: &str) {
    let (program, arguments): (&str, &[&str]) = if cfg!(target_os = "macos") {
        ("open", &[])
    } else if cfg!(target_os = "windows") {
        ("cmd", &["/C", "start"])
    } else {
        ("xdg-open", &[])
    };
    let mut open = Command::new(program);
    open.args(arguments).arg(address).stdin(Stdio::null());
    drop(open.stdout(Stdio::null()).stderr(Stdio::null()).spawn());
}

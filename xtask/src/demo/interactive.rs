//! The demo for a person: everything served on this machine until Ctrl-C.

use super::decoder::Files;
use super::options::Options;
use super::stage;
use crate::aggregator::Aggregator;
use crate::evaluator::Evaluator;
use crate::failure::{AtPath, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use choir_shared::task::TaskConfig;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Rounds of the task: a page that is left open for a day does not run out of them.
const ROUNDS: u32 = 10_000;

/// Serves the demo and stays; `writing` names the files of a decoder that is to learn.
///
/// # Errors
/// The first step that failed.
pub(super) fn run(paths: &Paths, options: &Options, writing: Option<&Files>) -> Outcome<()> {
    let folder = stage::fresh_folder(paths)?;
    let config = match writing {
        Some(files) => files.task(options)?,
        None => {
            let data = stage::read_data(paths, options)?;
            stage::frame(paths, options, &data)?.adapter_task()?
        }
    };
    let content = version_zero(paths, &folder, &config, writing.is_some())?;
    let aggregator = match writing {
        Some(files) => stage::aggregator_with(paths, options, &folder, files.base())?,
        None => stage::aggregator(paths, options, &folder)?,
    };
    let (task, _) = stage::create(&aggregator, &config, &content, ROUNDS)?;
    aggregator.operator.point_site(task)?;
    let address = address(&aggregator, options, writing.is_some());
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

fn version_zero(
    paths: &Paths,
    folder: &Path,
    config: &TaskConfig,
    is_writing: bool,
) -> Outcome<Vec<u8>> {
    let mut evaluator = Evaluator::start(paths)?;
    let step = Step::start("version 0");
    let config_file = stage::write_config(folder, "demo", config)?;
    let file = folder.join("version-0.f32");
    if is_writing {
        evaluator.language_version_zero(&config_file, &file)?;
    } else {
        evaluator.version_zero(&config_file, None, &file)?;
    }
    step.done("");
    fs::read(&file).at(&file)
}

/// Whom the page trusts and what it speaks of is in its own address, not in what the aggregator says.
fn address(aggregator: &Aggregator, options: &Options, is_writing: bool) -> String {
    let helper = options.mode.helper();
    let words = [
        helper.map(|helper| format!("helper={}", helper.key())),
        is_writing.then(|| "demo=writing".to_owned()),
    ];
    let words: Vec<String> = words.into_iter().flatten().collect();
    let base = aggregator.operator.base();
    if words.is_empty() {
        format!("{base}/")
    } else {
        format!("{base}/?{}", words.join("&"))
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

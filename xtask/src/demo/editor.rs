//! The editor after the rounds: a tab begins a text, the global adapter suggests how it goes on, and a
//! picture is taken of both.

use super::options::Options;
use crate::driver::{Driver, DriverEvent, Suggestion};
use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What the visitor begins with.
const BEGINNING: &str = "My noble lord, I have a little";
/// The tab that writes.
const TAB: usize = 0;

/// Has a tab write, and prints what is suggested and how fast.
///
/// # Errors
/// `Check` where nothing is suggested, or by something else than the global adapter.
pub(super) fn suggest(
    paths: &Paths,
    options: &Options,
    driver: &mut Driver,
) -> Outcome<Suggestion> {
    let step = Step::start("the editor in a tab");
    let picture = picture(paths, options)?;
    driver.write(TAB, BEGINNING, &picture)?;
    let suggestion = wait(driver, &step)?;
    check(&suggestion)?;
    step.done(&in_words(&suggestion));
    for compared in &suggestion.compared {
        eprintln!("  {}: {}", compared.name, compared.text);
    }
    eprintln!("  {}", picture.display());
    Ok(suggestion)
}

/// The picture's file, absolute: the browser's driver runs in another folder.
fn picture(paths: &Paths, options: &Options) -> Outcome<PathBuf> {
    let usual = paths.out.join("writing.png");
    let file = options.screenshot.clone().unwrap_or(usual);
    let file = std::path::absolute(&file).at(&file)?;
    let folder = file.parent().unwrap_or_else(|| Path::new("/"));
    fs::create_dir_all(folder).at(folder)?;
    Ok(file)
}

fn wait(driver: &Driver, step: &Step) -> Outcome<Suggestion> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        match driver.next(POLL)? {
            Some(DriverEvent::Suggestion(suggestion)) => return Ok(suggestion),
            Some(DriverEvent::Console { tab, text }) => step.note(&format!("  tab {tab}: {text}")),
            _ => {}
        }
    }
    Err(Failure::Check(format!(
        "no suggestion came from the editor within {} minutes",
        PATIENCE.as_secs() / 60
    )))
}

fn check(suggestion: &Suggestion) -> Outcome<()> {
    let complaint = if suggestion.text.trim().is_empty() {
        "the editor suggests nothing".to_owned()
    } else if suggestion.adapter != "global" || suggestion.version == 0 {
        let Suggestion {
            adapter, version, ..
        } = suggestion;
        format!(
            "the editor suggests by adapter {adapter} of version {version}, not by the last round's"
        )
    } else {
        return Ok(());
    };
    Err(Failure::Check(complaint))
}

fn in_words(suggestion: &Suggestion) -> String {
    let speed = suggestion
        .tokens_per_second
        .map_or_else(String::new, |speed| format!(", {speed:.0} tokens a second"));
    format!(
        "\u{201c}{BEGINNING}\u{201d} goes on with \u{201c}{}\u{201d} by version {}{speed}",
        suggestion.text.trim_end(),
        suggestion.version
    )
}

const POLL: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(6 * 60);

//! The doors of visitor, site owner, extension author and edge engineer, the editor of a task that
//! writes and the extension on such a task, and a task with two aggregators, each by the end-to-end
//! tests of its own file in `e2e/doors`.

use super::counts::Counts;
use super::watch_node;
use crate::demo::DoorStage;
use crate::failure::{Failure, Outcome};
use crate::paths::Paths;
use crate::{build, setup};
use std::path::Path;
use std::process::Command;

/// Every door that is tried in a browser.
pub(super) const ALL: [&str; 7] = [
    "visitor",
    "writing",
    "site",
    "extension",
    "extension-writing",
    "edge",
    "two-aggregators",
];

/// `cargo xtask doors [NAME]`: sets up, builds, and tries the doors.
///
/// # Errors
/// `Usage` for a name that is no door, `Check` where a test failed.
pub(crate) fn alone(paths: &Paths, name: Option<&str>) -> Outcome<()> {
    let doors: Vec<&str> = match name {
        None => ALL.to_vec(),
        Some(name) if ALL.contains(&name) => vec![name],
        Some(name) => {
            return Err(Failure::Usage(format!(
                "there is no door `{name}`: {}",
                ALL.join(", ")
            )));
        }
    };
    setup::run(paths)?;
    build::run(paths, false)?;
    let mut counts = Counts::default();
    run(paths, &doors, &mut counts);
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

/// Tries these doors on one aggregator.
pub(super) fn run(paths: &Paths, doors: &[&str], counts: &mut Counts) {
    let stage = match DoorStage::open(paths) {
        Ok(stage) => stage,
        Err(failure) => {
            counts.check::<()>("an aggregator for the doors", Err(failure));
            return;
        }
    };
    for door in doors {
        match stage.tell(paths, door) {
            Ok(told) => try_door(paths, door, &told, counts),
            Err(failure) => {
                counts.check::<()>(&format!("tasks of the {door} door"), Err(failure));
            }
        }
    }
}

fn try_door(paths: &Paths, door: &str, told: &Path, counts: &mut Counts) {
    let mut node = Command::new("node");
    node.current_dir(paths.root.join("e2e"))
        .args(["--test", &format!("doors/{door}.test.mjs")])
        .env("CHOIR_DOORS", told);
    watch_node(paths, format!("door: {door}"), node, counts);
}

//! `cargo xtask demo`: the whole path on this machine, for a person or by itself.

mod ablation;
mod decoder;
mod doors;
mod editor;
mod headless;
mod interactive;
mod mixed;
mod native_cohort;
mod one_tab;
pub(crate) mod options;
mod plain;
mod report;
mod rounds;
mod small_cohort;
mod stage;
mod svg;
mod task;
mod trained;
mod values;
mod witnessed;
mod writing;

use crate::failure::Outcome;
use crate::paths::Paths;
use crate::{build, setup};
use options::{Kind, Options};

pub(crate) use doors::DoorStage;
pub(crate) use report::Report;
pub(crate) use task::fresh_id;
pub(crate) use witnessed::Witnessed;

/// Sets up, builds, and runs the demo.
///
/// # Errors
/// The first step that failed.
pub(crate) fn run(paths: &Paths, options: &Options) -> Outcome<()> {
    if !options.as_built {
        setup::run(paths)?;
    }
    let writing = match options.task {
        Kind::Intents => None,
        // What is missing is said before anything is built.
        Kind::Writing => Some(decoder::Files::find(paths, options)?),
    };
    if options.is_one_tab() {
        return one_tab::run(paths, options);
    }
    if !options.as_built {
        build::run(paths, options.observe)?;
    }
    if !options.headless {
        interactive::run(paths, options, writing.as_ref())
    } else if let Some(files) = writing {
        writing::run(paths, options, &files)
    } else if options.native > 0 {
        mixed::run(paths, options)
    } else {
        headless::run(paths, options).map(drop)
    }
}

/// Where the files of a headless run are.
pub(crate) fn folder(paths: &Paths) -> std::path::PathBuf {
    paths.out.join("demo")
}

/// Loses one of three tabs and checks that its round publishes nothing.
///
/// # Errors
/// `Check` where it does.
pub(crate) fn lose_one_of_three(paths: &Paths) -> Outcome<()> {
    small_cohort::lose_one(paths)
}

/// Loses one of four native clients in mid-upload and checks that the sum is that of the others.
///
/// # Errors
/// `Check` where it is not.
pub(crate) fn lose_one_native(paths: &Paths) -> Outcome<()> {
    native_cohort::lose_one(paths)
}

/// Runs the same update through two rounds, the second with a restart, and keeps everything that
/// leaves a tab and everything that the aggregator stores or logs.
///
/// # Errors
/// `Check` where a published sum is not the plain one.
pub(crate) fn witness(paths: &Paths) -> Outcome<Witnessed> {
    witnessed::run(paths)
}

/// Runs it headless on what is built already and hands back what it measured.
///
/// # Errors
/// The first step that failed.
pub(crate) fn measure(paths: &Paths, options: &Options) -> Outcome<Report> {
    headless::run(paths, options)
}

/// Trains a decoder in tabs on what is built already.
///
/// # Errors
/// `Missing` without the shared data, else the first step that failed.
pub(crate) fn write(paths: &Paths, options: &Options) -> Outcome<()> {
    writing::run(paths, options, &decoder::Files::find(paths, options)?)
}

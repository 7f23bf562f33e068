//! The compiler's wasm32 target, by rustup.

use crate::failure::{Failure, Outcome};
use crate::paths::Paths;
use crate::program;
use crate::progress::Step;
use std::path::PathBuf;
use std::process::Command;

const TARGET: &str = "wasm32-unknown-unknown";

/// Adds the target where the toolchain lacks it.
///
/// # Errors
/// `Missing` without rustup, `Program` where it fails.
pub(super) fn ensure(paths: &Paths) -> Outcome<()> {
    let step = Step::start("wasm32 target");
    if installed() {
        step.done("there");
        return Ok(());
    }
    if !program::exists("rustup") {
        return Err(Failure::Missing {
            what: format!("the compiler's target {TARGET}"),
            remedy: "Install rustup (https://rustup.rs), or add the target by other means.".into(),
        });
    }
    let mut add = Command::new("rustup");
    add.current_dir(&paths.root).args(["target", "add", TARGET]);
    program::run(&step, &mut add)?;
    step.done("added");
    Ok(())
}

fn installed() -> bool {
    program::capture("rustc", &["--print", "target-libdir", "--target", TARGET])
        .is_some_and(|folder| PathBuf::from(folder).is_dir())
}

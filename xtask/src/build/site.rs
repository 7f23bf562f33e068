//! The static site that the worker serves, by the build script in `web/`.

use crate::failure::Outcome;
use crate::paths::Paths;
use crate::program;
use crate::progress::Step;
use crate::stamp::Stamp;
use std::process::Command;

/// Builds the site from the wasm modules and `web/`.
///
/// # Errors
/// `Program` with the script's messages.
pub(super) fn build(paths: &Paths, observe: bool) -> Outcome<()> {
    let folder = paths.site(observe);
    let step = Step::start(if observe {
        "site that can be observed"
    } else {
        "site"
    });
    let stamp = Stamp::new(paths, if observe { "site-observe" } else { "site" })
        .input(&paths.root.join("web"))?
        .input(&paths.out.join("wasm"))?;
    if stamp.is_fresh(&folder) {
        step.done("up to date");
        return Ok(());
    }
    let mut build = Command::new("node");
    build.current_dir(&paths.root).arg("web/build.mjs");
    build
        .arg("--wasm")
        .arg(paths.out.join("wasm"))
        .arg("--out")
        .arg(&folder);
    if observe {
        build.arg("--observe");
    }
    program::run(&step, &mut build)?;
    stamp.store()?;
    step.done("");
    Ok(())
}

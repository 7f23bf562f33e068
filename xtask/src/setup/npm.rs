//! npm packages, by the lock files.

use crate::failure::Outcome;
use crate::paths::Paths;
use crate::program;
use crate::progress::Step;
use crate::stamp::Stamp;
use std::process::Command;

const PACKAGES: [&str; 4] = ["edge-aggregator", "web", "web/examples/vite", "e2e"];

/// Installs each package's dependencies where its lock file changed.
///
/// # Errors
/// `Program` where npm fails.
pub(super) fn ensure(paths: &Paths) -> Outcome<()> {
    for package in PACKAGES {
        ensure_package(paths, package)?;
    }
    Ok(())
}

/// Installs one package's dependencies where its lock file changed.
///
/// # Errors
/// `Program` where npm fails.
pub(crate) fn ensure_package(paths: &Paths, package: &str) -> Outcome<()> {
    let folder = paths.root.join(package);
    let lock = folder.join("package-lock.json");
    if !lock.exists() {
        return Ok(());
    }
    let step = Step::start(format!("npm packages of {package}/"));
    let stamp = Stamp::new(paths, &format!("npm-{}", package.replace('/', "-"))).input(&lock)?;
    if stamp.is_fresh(&folder.join("node_modules")) {
        step.done("there");
        return Ok(());
    }
    let mut install = Command::new("npm");
    install
        .current_dir(&folder)
        .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
    program::run(&step, &mut install)?;
    stamp.store()?;
    step.done("installed");
    Ok(())
}

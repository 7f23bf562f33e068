//! Debian's packages, where this program may install them.

use crate::failure::Outcome;
use crate::program;
use crate::progress::Step;
use std::process::Command;

/// True as root on a system with apt.
pub(super) fn may_install() -> bool {
    program::exists("apt-get") && program::capture("id", &["-u"]).as_deref() == Some("0")
}

/// Installs packages, after reading the archive's lists where that is needed.
///
/// # Errors
/// `Program` where apt fails.
pub(super) fn install(step: &Step, packages: &[&str]) -> Outcome<()> {
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(arguments);
        program::run(step, &mut command)
    };
    let install: Vec<&str> = ["install", "-y", "--no-install-recommends"]
        .iter()
        .chain(packages)
        .copied()
        .collect();
    if apt(&install).is_err() {
        apt(&["update"])?;
        apt(&install)?;
    }
    Ok(())
}

//! A Python package that a bench measures against, in an environment of its own under `target`.

use crate::failure::{Failure, Outcome};
use crate::paths::Paths;
use crate::program;
use crate::progress::Step;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is to be there.
pub(super) struct Environment {
    /// Its folder under the output folder.
    pub(super) folder: &'static str,
    /// `name==version`, installed without its requirements.
    pub(super) package: &'static str,
    /// Those of its requirements that are used.
    pub(super) needed: &'static [&'static str],
    /// Prints `name==version` of what is installed, and fails where something is missing.
    pub(super) probe: &'static str,
}

impl Environment {
    /// Makes it, once; its Python.
    ///
    /// # Errors
    /// `Program` where Python or pip fails, `Data` where the package is not there then.
    pub(super) fn ensure(&self, paths: &Paths) -> Outcome<PathBuf> {
        let step = Step::start(self.package);
        let folder = paths.out.join(self.folder);
        let python = folder.join("bin/python");
        if self.is_there(&python) {
            step.done("up to date");
            return Ok(python);
        }
        let mut make = Command::new("python3");
        make.args(["-m", "venv"]).arg(&folder);
        program::run(&step, &mut make)?;
        for arguments in [&["--no-deps", self.package][..], self.needed] {
            let mut pip = Command::new(&python);
            pip.args(["-m", "pip", "install", "--quiet"])
                .args(arguments);
            program::run(&step, &mut pip)?;
        }
        if !self.is_there(&python) {
            return Err(Failure::Data(format!(
                "{} is not there after pip",
                self.package
            )));
        }
        step.done("");
        Ok(python)
    }

    fn is_there(&self, python: &Path) -> bool {
        program::capture(&python.to_string_lossy(), &["-c", self.probe]).as_deref()
            == Some(self.package)
    }
}

//! The native tools of the tab's crate.

use crate::failure::Outcome;
use crate::paths::Paths;
use crate::program;
use crate::progress::Step;
use std::path::PathBuf;

/// How a tool is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// As the tests are, sharing with them what is compiled once; arithmetic is optimised there too.
    Shared,
    /// As what is shipped: longer to compile, and twice as fast where one thread does all the work.
    Release,
}

/// A tool, which is compiled behind a feature of its own.
pub(crate) struct Tool {
    /// What it is called while it is compiled.
    pub(crate) title: &'static str,
    /// Its feature.
    pub(crate) feature: &'static str,
    /// Its program.
    pub(crate) name: &'static str,
    /// How it is compiled.
    pub(crate) profile: Profile,
}

impl Tool {
    /// Builds it; yields the program.
    ///
    /// # Errors
    /// `Program` where it does not compile.
    pub(crate) fn build(&self, paths: &Paths) -> Outcome<PathBuf> {
        let step = Step::start(self.title);
        let mut build = program::cargo(&paths.root);
        build.args(["build", "--package", "choir-wasm-client"]);
        build.args(["--features", self.feature, "--bin", self.name]);
        let folder = match self.profile {
            Profile::Shared => "debug",
            Profile::Release => {
                build.arg("--release");
                "release"
            }
        };
        program::run(&step, &mut build)?;
        step.done("");
        Ok(paths.target.join(folder).join(self.name))
    }
}

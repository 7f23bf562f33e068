//! `cargo xtask sim`: builds the native simulator and starts it on an experiment's file. Its own
//! lines are the progress; it writes rounds, summary, table and picture into one folder.

use crate::build::{Profile, Tool};
use crate::failure::{Failure, Outcome};
use crate::paths::Paths;
use crate::{program, setup, usage};
use lexopt::{Arg, Parser};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A simulation to start.
#[derive(Debug, Default)]
pub(crate) struct Simulation {
    config: Option<PathBuf>,
    out: Option<PathBuf>,
    /// What the simulator understands itself.
    passed: Vec<OsString>,
}

impl Simulation {
    /// Reads the command line.
    ///
    /// # Errors
    /// `Usage` for an option that there is not.
    pub(crate) fn read(arguments: &mut Parser) -> Outcome<Self> {
        let mut simulation = Self::default();
        while let Some(argument) = arguments.next().map_err(usage)? {
            match argument {
                Arg::Long("out") => {
                    simulation.out = Some(arguments.value().map_err(usage)?.into());
                }
                Arg::Long("resume") => simulation.passed.push("--resume".into()),
                Arg::Long(name @ ("seed" | "strategy" | "rounds" | "until-round" | "workers")) => {
                    let name = format!("--{name}");
                    let value = arguments.value().map_err(usage)?;
                    simulation.passed.extend([name.into(), value]);
                }
                Arg::Value(file) if simulation.config.is_none() => {
                    simulation.config = Some(file.into());
                }
                other => return Err(usage(other.unexpected())),
            }
        }
        Ok(simulation)
    }

    /// Builds the simulator, and runs it to its end.
    ///
    /// # Errors
    /// `Program` where it does not compile, `Check` where it says what is wrong.
    pub(crate) fn run(self, paths: &Paths) -> Outcome<()> {
        setup::ensure_model(paths)?;
        let built = built(paths)?;
        let experiments = paths.root.join("wasm-client/sims");
        let config = self.config.unwrap_or_else(|| experiments.join(DEFAULT));
        let out = self.out.unwrap_or_else(|| {
            let name = config.file_stem().unwrap_or_default();
            paths.out.join("sim").join(name)
        });
        let status = command(&built, paths, &config, &out)
            .args(&self.passed)
            .status()
            .map_err(|error| program::cannot_start(TOOL.name, &error))?;
        eprintln!("  results in {}", out.display());
        if status.success() {
            Ok(())
        } else {
            Err(Failure::Check(format!(
                "the simulation ended with {status}"
            )))
        }
    }
}

/// Builds the simulator; yields the program.
///
/// # Errors
/// `Program` where it does not compile.
pub(crate) fn built(paths: &Paths) -> Outcome<PathBuf> {
    TOOL.build(paths)
}

/// The simulator on an experiment.
pub(crate) fn command(program: &Path, paths: &Paths, config: &Path, out: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg(config).arg("--out").arg(out);
    command.arg("--model").arg(paths.model());
    command
}

const TOOL: Tool = Tool {
    title: "native simulator",
    feature: "sim",
    name: "choir-sim",
    profile: Profile::Release,
};
const DEFAULT: &str = "banking77.toml";

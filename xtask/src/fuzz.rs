//! `cargo xtask fuzz`: every target of `shared/fuzz` under libFuzzer, on the stable toolchain
//! (docs/decisions/0008-fuzzing.md).
//!
//! The corpus in the tree is where a search starts; what it finds lies in `target/choir/fuzz` until
//! `--keep` minimises both into the tree.

mod engine;
mod wrapper;

pub(crate) use wrapper::as_rustc;

use crate::failure::{Failure, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use crate::usage;
use engine::{Engine, Searched};
use lexopt::{Arg, Parser, ValueExt};
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// What to search for, and for how long.
#[derive(Debug)]
pub(crate) struct Fuzzing {
    seconds: u32,
    /// Of the engine's random choices; 0: another one each time.
    seed: u32,
    jobs: usize,
    targets: Vec<String>,
    replay: Option<PathBuf>,
    keep: bool,
}

impl Fuzzing {
    /// Reads the command line.
    ///
    /// # Errors
    /// `Usage` for an option that there is not.
    pub(crate) fn read(arguments: &mut Parser) -> Outcome<Self> {
        let mut fuzzing = Self::for_seconds(300);
        fuzzing.seed = 0;
        while let Some(argument) = arguments.next().map_err(usage)? {
            match argument {
                Arg::Long("seconds") => fuzzing.seconds = number(arguments)?,
                Arg::Long("seed") => fuzzing.seed = number(arguments)?,
                Arg::Long("jobs") => fuzzing.jobs = number(arguments)? as usize,
                Arg::Long("target") => {
                    let name = arguments.value().map_err(usage)?;
                    fuzzing.targets.push(name.to_string_lossy().into_owned());
                }
                Arg::Long("replay") => {
                    fuzzing.replay = Some(arguments.value().map_err(usage)?.into());
                }
                Arg::Long("keep") => fuzzing.keep = true,
                other => return Err(usage(other.unexpected())),
            }
        }
        Ok(fuzzing)
    }

    /// Every target, for so many seconds each, with the same choices each time.
    pub(crate) fn for_seconds(seconds: u32) -> Self {
        Self {
            seconds,
            seed: 1,
            jobs: thread::available_parallelism().map_or(1, NonZero::get),
            targets: Vec::new(),
            replay: None,
            keep: false,
        }
    }

    /// Builds the targets and runs them; a line for each on the standard output.
    ///
    /// # Errors
    /// `Usage` for a target that there is not, `Check` with every input that breaks one.
    pub(crate) fn run(&self, paths: &Paths) -> Outcome<()> {
        let engine = Engine::build(paths)?;
        let targets = self.chosen(&engine)?;
        if let Some(file) = &self.replay {
            let [target] = targets.as_slice() else {
                return Err(Failure::Usage("--replay needs one --target".to_owned()));
            };
            engine.replay(target, file)?;
            println!("{target} holds on {}", file.display());
            return Ok(());
        }
        let found = self.search(&engine, &targets)?;
        for searched in &found {
            println!("{searched}");
        }
        let broken: Vec<String> = found.iter().filter_map(Searched::broken).collect();
        if !broken.is_empty() {
            return Err(Failure::Check(broken.join("\n")));
        }
        if self.keep {
            targets.iter().try_for_each(|target| engine.keep(target))?;
        }
        Ok(())
    }

    fn chosen(&self, engine: &Engine) -> Outcome<Vec<String>> {
        let all = engine.targets()?;
        let unknown = self.targets.iter().find(|name| !all.contains(name));
        match unknown {
            Some(name) => Err(Failure::Usage(format!(
                "there is no target `{name}`; there are {}",
                all.join(", ")
            ))),
            None if self.targets.is_empty() => Ok(all),
            None => Ok(self.targets.clone()),
        }
    }

    /// Each target on one thread, as many at once as there are jobs.
    fn search(&self, engine: &Engine, targets: &[String]) -> Outcome<Vec<Searched>> {
        let step = Step::start(format!(
            "fuzzing {} targets for {} s each",
            targets.len(),
            self.seconds
        ));
        let next = AtomicUsize::new(0);
        let found = Mutex::new(Vec::new());
        let work = || {
            while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
                step.detail(target.as_str());
                let searched = engine.search(target, self.seconds, self.seed);
                if let Ok(mut found) = found.lock() {
                    found.push(searched);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.jobs.clamp(1, targets.len().max(1)) {
                scope.spawn(work);
            }
        });
        let found = found.into_inner().unwrap_or_default();
        let mut found = found.into_iter().collect::<Outcome<Vec<Searched>>>()?;
        found.sort_by_key(|searched| targets.iter().position(|name| *name == searched.target));
        step.done("");
        Ok(found)
    }
}

fn number(arguments: &mut Parser) -> Outcome<u32> {
    let value = arguments.value().map_err(usage)?;
    value.parse().map_err(usage)
}

//! `cargo xtask task`: an operator's work on any aggregator: make a task, start and stop it, see how
//! it does, measure a version, take the newest one home.
//!
//! The operator's secret comes from the environment, never from the command line, which other users
//! of a machine can read.

mod create;
mod evaluate;
mod export;
mod file;
mod remote;
mod show;

use crate::failure::{Failure, Outcome};
use crate::paths::Paths;
use crate::usage;
use choir_shared::ids::TaskId;
use lexopt::{Arg, Parser, ValueExt};
use remote::Remote;
use std::path::PathBuf;

/// What `cargo xtask help` says.
pub(crate) const HELP: &str = "  task <what> --aggregator URL
                             an operator's work; the secret in the environment: OPERATOR_SECRET
    create --task FILE --rounds N [--start] [--site] [--centroids FILE] [--head FILE]
                             make a task of a JSON file, as edge-aggregator/examples/task.json;
                             --site has the page join it; prints the task's identifier
    start TASK | stop TASK   open rounds; open no more
    status [TASK]            one task, or all
    evaluate TASK --data FILE
                             measure the newest version on labelled text, and report it
    export TASK --out DIR    the newest adapter, the task, and a manifest with the history
";

/// Runs one of its commands.
///
/// # Errors
/// `Usage`, or what stopped it.
pub(crate) fn run(paths: &Paths, arguments: &mut Parser) -> Outcome<()> {
    let given = Given::read(arguments)?;
    let remote = Remote::new(given.need("--aggregator URL", &given.aggregator)?)?;
    match given.what.as_str() {
        "create" => create::run(paths, &remote, &given),
        "start" | "stop" => {
            let task = given.task()?;
            remote.operate(&format!("/v1/tasks/{task}/{}", given.what), &[])?;
            println!(
                "{task} {}",
                if given.what == "start" {
                    "started"
                } else {
                    "stopped"
                }
            );
            Ok(())
        }
        "status" if given.words.is_empty() => show::all(&remote),
        "status" => show::one(&remote, given.task()?),
        "evaluate" => {
            let data = given.need("--data FILE", &given.data)?;
            evaluate::run(paths, &remote, given.task()?, data)
        }
        "export" => {
            let out = given.need("--out DIR", &given.out)?;
            export::run(&remote, given.task()?, out)
        }
        other => Err(Failure::Usage(format!(
            "`task {other}` is none of create, start, stop, status, evaluate, export"
        ))),
    }
}

/// The command line.
#[derive(Default)]
struct Given {
    what: String,
    words: Vec<String>,
    aggregator: Option<String>,
    file: Option<PathBuf>,
    rounds: Option<u32>,
    start: bool,
    site: bool,
    centroids: Option<PathBuf>,
    head: Option<PathBuf>,
    data: Option<PathBuf>,
    out: Option<PathBuf>,
}

impl Given {
    fn read(arguments: &mut Parser) -> Outcome<Self> {
        let mut given = Self::default();
        given.take(arguments).map_err(usage)?;
        Ok(given)
    }

    fn take(&mut self, arguments: &mut Parser) -> Result<(), lexopt::Error> {
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Value(word) if self.what.is_empty() => self.what = word.string()?,
                Arg::Value(word) => self.words.push(word.string()?),
                Arg::Long("aggregator") => self.aggregator = Some(arguments.value()?.string()?),
                Arg::Long("task") => self.file = Some(arguments.value()?.into()),
                Arg::Long("rounds") => self.rounds = Some(arguments.value()?.parse()?),
                Arg::Long("start") => self.start = true,
                Arg::Long("site") => self.site = true,
                Arg::Long("centroids") => self.centroids = Some(arguments.value()?.into()),
                Arg::Long("head") => self.head = Some(arguments.value()?.into()),
                Arg::Long("data") => self.data = Some(arguments.value()?.into()),
                Arg::Long("out") => self.out = Some(arguments.value()?.into()),
                other => return Err(other.unexpected()),
            }
        }
        Ok(())
    }

    fn need<'a, T>(&self, name: &str, value: &'a Option<T>) -> Outcome<&'a T> {
        value
            .as_ref()
            .ok_or_else(|| Failure::Usage(format!("task {} needs {name}", self.what)))
    }

    /// The task that the command is about.
    fn task(&self) -> Outcome<TaskId> {
        let [task] = self.words.as_slice() else {
            return Err(Failure::Usage(format!(
                "task {} needs one task's identifier",
                self.what
            )));
        };
        task.parse()
            .map_err(|error| Failure::Usage(format!("`{task}` is no task's identifier: {error}")))
    }
}

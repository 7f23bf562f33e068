//! `task create`: the objects that a task needs, its version 0, the task itself.

use super::remote::Remote;
use super::{Given, file};
use crate::evaluator::Evaluator;
use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use crate::setup;
use choir_shared::control::{CreateTask, SiteStatus};
use choir_shared::ids::{Digest, TaskId};
use choir_shared::task::TaskConfig;
use choir_shared::wire;
use std::fs;
use std::path::{Path, PathBuf};

/// Creates the task that the command line names and prints its identifier.
///
/// # Errors
/// What stopped it; where that was a call, the command can be repeated.
pub(super) fn run(paths: &Paths, remote: &Remote, given: &Given) -> Outcome<()> {
    let config = file::read(given.need("--task FILE", &given.file)?)?;
    let rounds = *given.need("--rounds N", &given.rounds)?;
    let base = base_files(paths, &config)?;
    let head = frozen_head(remote, &config, given.head.as_deref())?;
    let step = Step::start(format!("objects to {}", remote.base()));
    for (name, content) in base.iter().chain(&head) {
        step.detail(*name);
        remote.put_object(content)?;
    }
    step.done("");
    let task_id = fresh_id()?;
    let version_zero = version_zero(paths, &config, task_id, given.centroids.as_deref())?;
    let step = Step::start("task");
    let adapter = remote.put_object(&version_zero)?;
    let request = CreateTask {
        task_id,
        config,
        adapter,
        rounds,
    };
    remote.operate("/v1/tasks", &wire::encode(&request))?;
    if given.start {
        remote.operate(&format!("/v1/tasks/{task_id}/start"), &[])?;
    }
    if given.site {
        let site = SiteStatus {
            task: Some(task_id),
        };
        remote.put("/v1/site", &wire::encode(&site))?;
    }
    step.done(if given.start {
        "running"
    } else {
        "waits for its start"
    });
    println!("{task_id}");
    Ok(())
}

/// A name and its object's bytes.
type Object = (&'static str, Vec<u8>);

/// The base model's files, which must be the task's.
fn base_files(paths: &Paths, config: &TaskConfig) -> Outcome<[Object; 2]> {
    let files = setup::model_files(paths);
    let base = &config.base;
    let weights = read_as(&files.weights, "base.weights", base.weights)?;
    if weights.len() as u64 != base.weights_bytes {
        return Err(Failure::Data(format!(
            "base.weights_bytes is {}, and the weights have {} bytes",
            base.weights_bytes,
            weights.len()
        )));
    }
    let tokenizer = read_as(&files.tokenizer, "base.tokenizer", base.tokenizer)?;
    Ok([("weights", weights), ("tokenizer", tokenizer)])
}

fn read_as(file: &Path, field: &str, digest: Digest) -> Outcome<Vec<u8>> {
    if !file.is_file() {
        return Err(Failure::Missing {
            what: format!("the base model ({})", file.display()),
            remedy: "Run `cargo xtask setup`.".to_owned(),
        });
    }
    let content = fs::read(file).at(file)?;
    let found = Digest::of(&content);
    if found == digest {
        return Ok(content);
    }
    Err(Failure::Data(format!(
        "{field} is {digest}, and {} has {found}: version 0 is made from the base model of \
         `cargo xtask setup`, so a task names that one",
        file.display()
    )))
}

/// The head of a task that trains none: at the aggregator already, or in the file that is named.
fn frozen_head(
    remote: &Remote,
    config: &TaskConfig,
    file: Option<&Path>,
) -> Outcome<Option<Object>> {
    let Some(digest) = config.frozen_head else {
        return match file {
            None => Ok(None),
            Some(_) => Err(Failure::Data(
                "--head is for a task that names a frozen_head, and this one names none".to_owned(),
            )),
        };
    };
    if let Some(file) = file {
        return Ok(Some(("frozen head", read_as(file, "frozen_head", digest)?)));
    }
    if remote.has_object(digest)? {
        return Ok(None);
    }
    Err(Failure::Data(format!(
        "the aggregator lacks the task's frozen_head {digest}: name its file with --head"
    )))
}

/// Version 0, as the native evaluator makes it from the task's seed.
fn version_zero(
    paths: &Paths,
    config: &TaskConfig,
    task: TaskId,
    centroids: Option<&Path>,
) -> Outcome<Vec<u8>> {
    let folder = scratch(paths, task)?;
    let config_file = folder.join("task");
    fs::write(&config_file, wire::encode(config)).at(&config_file)?;
    let out = folder.join("version-0.f32");
    let made = Evaluator::start(paths)
        .and_then(|mut evaluator| evaluator.version_zero(&config_file, centroids, &out))
        .and_then(|()| fs::read(&out).at(&out));
    fs::remove_dir_all(&folder).at(&folder)?;
    made
}

/// A folder for the files of one command.
///
/// # Errors
/// `File` where it cannot be made.
pub(super) fn scratch(paths: &Paths, task: TaskId) -> Outcome<PathBuf> {
    let folder = paths.out.join("tasks").join(task.to_string());
    fs::create_dir_all(&folder).at(&folder)?;
    Ok(folder)
}

fn fresh_id() -> Outcome<TaskId> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::Data(format!("this system gives no random bytes: {error}")))?;
    Ok(TaskId(bytes))
}

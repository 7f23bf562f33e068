//! `task export`: the newest adapter, the task that it belongs to, and a manifest with every digest
//! that is needed to check both.

use super::remote::Remote;
use crate::failure::{AtPath, Failure, Outcome};
use choir_shared::control::TaskStatus;
use choir_shared::ids::{Digest, TaskId};
use choir_shared::report::Evaluation;
use choir_shared::task::AdapterLayout;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Writes a task's newest state into a folder.
///
/// # Errors
/// What stopped it; `Data` where the folder holds something already.
pub(super) fn run(remote: &Remote, task: TaskId, folder: &Path) -> Outcome<()> {
    fs::create_dir_all(folder).at(folder)?;
    if fs::read_dir(folder).at(folder)?.next().is_some() {
        return Err(Failure::Data(format!(
            "{} is not empty: name a folder that is",
            folder.display()
        )));
    }
    let status = remote.status(task)?;
    // What only the operator sees is left out where the secret is not at hand.
    let evaluations = if remote.has_secret() {
        remote.report(task)?.evaluations
    } else {
        Vec::new()
    };
    let write = |name: &str, content: &[u8]| {
        let file = folder.join(name);
        fs::write(&file, content).at(&file)
    };
    write(ADAPTER, &remote.object(status.adapter)?)?;
    if let Some(head) = status.config.frozen_head {
        write(HEAD, &remote.object(head)?)?;
    }
    let config = format!("{:#}\n", json!(status.config));
    write(TASK, config.as_bytes())?;
    let manifest = manifest(remote.base(), task, &status, &evaluations, &config)?;
    write("manifest.json", format!("{manifest:#}\n").as_bytes())?;
    println!(
        "version {} of {task} in {}",
        status.version.0,
        folder.display()
    );
    Ok(())
}

fn manifest(
    aggregator: &str,
    task: TaskId,
    status: &TaskStatus,
    evaluations: &[Evaluation],
    config: &str,
) -> Outcome<Value> {
    let layout = AdapterLayout::new(&status.config)
        .map_err(|error| Failure::Data(format!("the task makes no adapter: {error}")))?;
    let parts: Vec<Value> = layout
        .parts()
        .iter()
        .map(|part| {
            json!({
                "part": part.kind.to_string(),
                "start": part.range.start,
                "shape": part.shape,
            })
        })
        .collect();
    Ok(json!({
        "aggregator": aggregator,
        "task": task,
        "name": status.config.name,
        "state": status.state,
        "version": status.version,
        "rounds_left": status.rounds_left,
        "model_digest": status.config.model_digest(status.version, status.adapter),
        "config": {
            "file": TASK,
            "sha256": Digest::of(config.as_bytes()),
            "digest": status.config.digest(),
        },
        "adapter": {
            "file": ADAPTER,
            "sha256": status.adapter,
            "format": "f32, little-endian, row-major",
            "values": layout.len(),
            "parts": parts,
        },
        "frozen_head": status.config.frozen_head.map(|sha256| json!({ "file": HEAD, "sha256": sha256 })),
        "history": status.history,
        "evaluations": evaluations,
    }))
}

const ADAPTER: &str = "adapter.f32";
const HEAD: &str = "frozen_head.f32";
const TASK: &str = "task.json";

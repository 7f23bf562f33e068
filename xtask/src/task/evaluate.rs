//! `task evaluate`: what the newest version is worth on labelled text that stays on this machine;
//! only the two numbers are reported.

use super::create::scratch;
use super::remote::Remote;
use crate::data;
use crate::evaluator::{Evaluator, Model};
use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use choir_shared::control::TaskStatus;
use choir_shared::ids::TaskId;
use choir_shared::report::Evaluation;
use choir_shared::task::Payload;
use choir_shared::wire;
use std::fs;
use std::path::Path;

/// Measures the newest version of a task and tells the aggregator.
///
/// # Errors
/// What stopped it.
pub(super) fn run(paths: &Paths, remote: &Remote, task: TaskId, data: &Path) -> Outcome<()> {
    let status = remote.status(task)?;
    let complaint = match status.config.payload {
        Payload::Adapter(_) => None,
        Payload::Centroids => {
            Some("this task sums class centroids: there is no adapter to measure")
        }
        Payload::Language(_) => {
            Some("this task trains a decoder: it has no accuracy on labelled texts")
        }
    };
    if let Some(complaint) = complaint {
        return Err(Failure::Data(complaint.to_owned()));
    }
    let folder = scratch(paths, task)?;
    let measured = measure(paths, remote, &status, data, &folder);
    fs::remove_dir_all(&folder).at(&folder)?;
    let evaluation = measured?;
    remote.operate(
        &format!("/v1/tasks/{task}/evaluations"),
        &wire::encode(&evaluation),
    )?;
    println!(
        "version {}: accuracy {:.4}, loss {:.4} on {} examples",
        evaluation.version.0, evaluation.accuracy, evaluation.loss, evaluation.examples
    );
    Ok(())
}

fn measure(
    paths: &Paths,
    remote: &Remote,
    status: &TaskStatus,
    source: &Path,
    folder: &Path,
) -> Outcome<Evaluation> {
    let examples = data::read(source)?;
    let labels = &status.config.labels;
    if let Some(stranger) = examples.iter().find(|one| !labels.contains(&one.label)) {
        return Err(Failure::Data(format!(
            "{}: the task has no label `{}`; it has {}",
            source.display(),
            stranger.label,
            labels.join(", ")
        )));
    }
    let file = |name: &str, content: Vec<u8>| {
        let file = folder.join(name);
        fs::write(&file, content).at(&file).map(|()| file)
    };
    let config = file("task", wire::encode(&status.config))?;
    let adapter = file("adapter.f32", remote.object(status.adapter)?)?;
    let frozen_head = match status.config.frozen_head {
        Some(head) => Some(file("head.f32", remote.object(head)?)?),
        None => None,
    };
    let test = folder.join("test.csv");
    data::write(&test, &examples)?;
    let mut evaluator = Evaluator::start(paths)?;
    let step = Step::start(format!(
        "version {} on {} examples",
        status.version.0,
        examples.len()
    ));
    let model = Model {
        config: &config,
        adapter: &adapter,
        frozen_head: frozen_head.as_deref(),
    };
    let quality = evaluator.evaluate(model, &test)?;
    step.done("");
    Ok(Evaluation {
        version: status.version,
        accuracy: quality.accuracy,
        loss: quality.loss,
        examples: examples.len() as u32,
    })
}

//! `task status`: how tasks stand, in lines.

use super::remote::Remote;
use crate::failure::Outcome;
use choir_shared::control::TaskState;
use choir_shared::ids::TaskId;
use choir_shared::report::{TaskFigures, TaskList, TaskReport};

/// Rounds that are shown, the newest.
const SHOWN_ROUNDS: usize = 10;

/// One line for each task.
///
/// # Errors
/// What stopped it.
pub(super) fn all(remote: &Remote) -> Outcome<()> {
    let list: TaskList = remote.json("/v1/tasks")?;
    if list.tasks.is_empty() {
        println!(
            "{} has no tasks yet: `cargo xtask task create` makes one",
            remote.base()
        );
    }
    for task in list.tasks {
        println!("{}", line(task, &remote.report(task)?.figures));
    }
    Ok(())
}

/// One task with its newest rounds.
///
/// # Errors
/// What stopped it.
pub(super) fn one(remote: &Remote, task: TaskId) -> Outcome<()> {
    let report = remote.report(task)?;
    println!("{}", line(task, &report.figures));
    let totals = &report.figures.totals;
    println!(
        "  rounds: {} opened, {} closed; clients: {} joined, {} in a sum, {} dropped",
        totals.opened, totals.closed, totals.joined, totals.survivors, totals.dropped
    );
    for (reason, count) in &totals.aborted {
        println!("  aborted {count} times: {reason}");
    }
    for (code, count) in &totals.refusals {
        println!("  refused {count} times: {code}");
    }
    print!("{}", rounds(&report));
    Ok(())
}

fn line(task: TaskId, figures: &TaskFigures) -> String {
    let state = match figures.state {
        TaskState::Running => "running",
        TaskState::Stopped => "stopped",
    };
    format!(
        "{task} {state}, version {}, {} rounds left, cohorts of {} to {}: {}",
        figures.version.0,
        figures.rounds_left,
        figures.min_cohort,
        figures.cohort_size,
        figures.name
    )
}

fn rounds(report: &TaskReport) -> String {
    let older = report.history.len().saturating_sub(SHOWN_ROUNDS);
    let lines = report.history.iter().skip(older).map(|round| {
        let version = round.version_before.next();
        let quality = report
            .evaluations
            .iter()
            .find(|evaluation| evaluation.version == version)
            .map_or_else(
                || "not evaluated".to_owned(),
                |found| format!("accuracy {:.4}, loss {:.4}", found.accuracy, found.loss),
            );
        format!(
            "  version {}: cohort of {}, {} dropped, {} bytes up, {} down, {quality}\n",
            version.0, round.clients, round.dropped, round.bytes_up, round.bytes_down
        )
    });
    lines.collect()
}

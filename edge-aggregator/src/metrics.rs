//! Figures of every task for Prometheus, in text exposition format 0.0.4.
//!
//! The only labels are the task's identifier and name, a phase, and the reason of a refusal or an
//! abort; nothing here comes from a client. Refusals are counted while a round is open, everything of
//! a round is added when it is over.

use core::fmt::Write;

use choir_shared::control::TaskState;
use choir_shared::ids::TaskId;
use choir_shared::report::{PHASE_SECONDS, PhaseTimes, TaskFigures};
use worker::{Env, Headers, Response, ResponseBuilder};

use crate::error::EdgeError;
use crate::limits::METRICS_TASKS;
use crate::task_object;

/// Serves `GET /metrics`.
///
/// # Errors
/// See [`EdgeError`].
pub async fn serve(env: &Env) -> Result<Response, EdgeError> {
    let tasks = task_object::tasks(env).await?;
    let newest = tasks.len().saturating_sub(METRICS_TASKS);
    let mut figures = Vec::new();
    for task in tasks.into_iter().skip(newest) {
        figures.push((task, task_object::figures(env, task).await?));
    }
    let headers = Headers::new();
    headers.set("content-type", "text/plain; version=0.0.4; charset=utf-8")?;
    let body = exposition(&figures).into_bytes();
    Ok(ResponseBuilder::new().with_headers(headers).fixed(body))
}

type Tasks = [(TaskId, TaskFigures)];

/// The whole page.
fn exposition(tasks: &Tasks) -> String {
    let mut page = Page::default();
    page.head("choir_task_info", "gauge", "A task by its name.");
    for (task, figures) in tasks {
        let name = escaped(&figures.name);
        page.line("choir_task_info", *task, &format!(",name=\"{name}\""), 1);
    }
    page.family(
        tasks,
        "choir_task_running",
        "gauge",
        "Whether rounds are opened.",
        |of| u64::from(of.state == TaskState::Running),
    );
    page.family(
        tasks,
        "choir_task_version",
        "gauge",
        "The newest version.",
        |of| of.version.0.into(),
    );
    page.family(
        tasks,
        "choir_task_rounds_left",
        "gauge",
        "Rounds still to run.",
        |of| of.rounds_left.into(),
    );
    page.family(
        tasks,
        "choir_cohort_size",
        "gauge",
        "Clients that start a round at once.",
        |of| of.cohort_size.into(),
    );
    page.family(
        tasks,
        "choir_min_cohort",
        "gauge",
        "Clients that start a round at the lobby's deadline.",
        |of| of.min_cohort.into(),
    );
    page.family(
        tasks,
        "choir_rounds_opened_total",
        "counter",
        "Rounds that had a visitor.",
        |of| of.totals.opened,
    );
    page.family(
        tasks,
        "choir_rounds_closed_total",
        "counter",
        "Rounds that made a version.",
        |of| of.totals.closed,
    );
    page.head(
        "choir_rounds_aborted_total",
        "counter",
        "Rounds that made none.",
    );
    for (task, figures) in tasks {
        for (reason, count) in &figures.totals.aborted {
            let label = format!(",reason=\"{}\"", reason.as_str());
            page.line("choir_rounds_aborted_total", *task, &label, *count);
        }
    }
    page.family(
        tasks,
        "choir_clients_joined_total",
        "counter",
        "Clients of all rounds that are over.",
        |of| of.totals.joined,
    );
    page.family(
        tasks,
        "choir_clients_survived_total",
        "counter",
        "Clients whose update is in a published sum.",
        |of| of.totals.survivors,
    );
    page.family(
        tasks,
        "choir_clients_dropped_total",
        "counter",
        "Clients of closed rounds whose update is not in the sum.",
        |of| of.totals.dropped,
    );
    page.head(
        "choir_refusals_total",
        "counter",
        "Refused messages and uploads.",
    );
    for (task, figures) in tasks {
        for (code, count) in &figures.totals.refusals {
            let label = format!(",code=\"{}\"", code.as_str());
            page.line("choir_refusals_total", *task, &label, *count);
        }
    }
    page.family(
        tasks,
        "choir_bytes_up_total",
        "counter",
        "Payload bytes to the aggregator.",
        |of| of.totals.bytes_up,
    );
    page.family(
        tasks,
        "choir_bytes_down_total",
        "counter",
        "Payload bytes from the aggregator.",
        |of| of.totals.bytes_down,
    );
    page.head(
        "choir_phase_seconds",
        "histogram",
        "Duration of a round's phases.",
    );
    for (task, figures) in tasks {
        for (phase, times) in &figures.totals.phases {
            page.durations(*task, phase.as_str(), times);
        }
    }
    page.0
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// One value of each task.
    fn family(
        &mut self,
        tasks: &Tasks,
        name: &str,
        kind: &str,
        help: &str,
        value: impl Fn(&TaskFigures) -> u64,
    ) {
        self.head(name, kind, help);
        for (task, figures) in tasks {
            self.line(name, *task, "", value(figures));
        }
    }

    fn line(&mut self, name: &str, task: TaskId, labels: &str, value: u64) {
        self.push(format_args!("{name}{{task=\"{task}\"{labels}}} {value}\n"));
    }

    fn durations(&mut self, task: TaskId, phase: &str, times: &PhaseTimes) {
        let mut below = 0;
        for (bound, count) in PHASE_SECONDS.iter().zip(&times.buckets) {
            below += count;
            let labels = format!(",phase=\"{phase}\",le=\"{bound}\"");
            self.line("choir_phase_seconds_bucket", task, &labels, below);
        }
        let labels = format!(",phase=\"{phase}\",le=\"+Inf\"");
        self.line("choir_phase_seconds_bucket", task, &labels, times.count());
        let seconds = times.milliseconds as f64 / 1000.0;
        self.push(format_args!(
            "choir_phase_seconds_sum{{task=\"{task}\",phase=\"{phase}\"}} {seconds}\n"
        ));
        let labels = format!(",phase=\"{phase}\"");
        self.line("choir_phase_seconds_count", task, &labels, times.count());
    }

    fn push(&mut self, text: core::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.0.write_fmt(text);
    }
}

/// A label's value: backslash, quote and line feed are escaped.
fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use choir_shared::ids::Version;
    use choir_shared::report::{RoundEnd, RoundFigures, Totals};
    use choir_shared::round::PhaseName;

    use super::*;

    fn one_task(name: &str) -> (TaskId, TaskFigures) {
        let mut totals = Totals::default();
        let round = RoundFigures {
            joined: 4,
            phases: [(PhaseName::Collect, 7_500)].into(),
            ..RoundFigures::default()
        };
        let end = RoundEnd::Closed {
            survivors: 3,
            dropped: 1,
        };
        totals.add(end, &round);
        let figures = TaskFigures {
            name: name.to_owned(),
            state: TaskState::Running,
            version: Version(1),
            rounds_left: 9,
            cohort_size: 4,
            min_cohort: 3,
            totals,
        };
        (TaskId([7; 16]), figures)
    }

    #[test]
    fn each_sample_stands_under_its_type_and_names_its_task() {
        let page = exposition(&[one_task("intents")]);
        let task = "07".repeat(16);
        assert!(page.contains("# TYPE choir_clients_dropped_total counter\n"));
        assert!(page.contains(&format!(
            "choir_clients_dropped_total{{task=\"{task}\"}} 1\n"
        )));
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.contains(&task), "{line}");
        }
    }

    #[test]
    fn buckets_grow_up_to_the_count() {
        let page = exposition(&[one_task("intents")]);
        assert!(page.contains("phase=\"collect\",le=\"5\"} 0\n"));
        assert!(page.contains("phase=\"collect\",le=\"10\"} 1\n"));
        assert!(page.contains("phase=\"collect\",le=\"+Inf\"} 1\n"));
        assert!(page.contains("phase=\"collect\"} 7.5\n"));
    }

    #[test]
    fn a_name_cannot_break_out_of_its_label() {
        let page = exposition(&[one_task("a\"} 1\nb\\")]);
        assert!(page.contains("name=\"a\\\"} 1\\nb\\\\\"} 1\n"));
    }
}

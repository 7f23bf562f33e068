//! Reports, in postcard and in JSON.

use choir_shared::control::{RoundSummary, TaskState};
use choir_shared::ids::{Digest, RoundId, TaskId, Timestamp, Version};
use choir_shared::messages::AbortReason;
use choir_shared::reject::RejectCode;
use choir_shared::report::{
    Evaluation, RoundEnd, RoundFigures, TaskFigures, TaskList, TaskReport, Totals,
};
use choir_shared::round::PhaseName;
use choir_shared::strategy::{Adaptive, ServerOptimizer};
use serde::Serialize;

use super::kind;

pub(super) fn summary() -> RoundSummary {
    RoundSummary {
        round: RoundId([7; 16]),
        version_before: Version(1),
        clients: 5,
        survivors: 4,
        dropped: 1,
        sum: Digest([8; 32]),
        adapter: Digest([9; 32]),
        closed_at: Timestamp(1_700_000_000_000),
        bytes_up: 10_000,
        bytes_down: 20_000,
    }
}

fn figures() -> RoundFigures {
    RoundFigures {
        joined: 4,
        refusals: [(RejectCode::Duplicate, 2)].into(),
        phases: [(PhaseName::Collect, 1_000)].into(),
        bytes_up: 10,
        bytes_down: 20,
    }
}

fn totals() -> Totals {
    let mut totals = Totals::default();
    let closed = RoundEnd::Closed {
        survivors: 3,
        dropped: 1,
    };
    totals.add(closed, &figures());
    totals.add(RoundEnd::Aborted(AbortReason::TooFewAcks), &figures());
    totals
}

fn task_report() -> TaskReport {
    TaskReport {
        figures: TaskFigures {
            name: "task".into(),
            state: TaskState::Stopped,
            version: Version(3),
            rounds_left: 0,
            cohort_size: 5,
            min_cohort: 3,
            totals: totals(),
        },
        adapter: Digest([3; 32]),
        round: None,
        history: [summary()].into(),
        evaluations: [evaluation()].into(),
    }
}

const fn evaluation() -> Evaluation {
    Evaluation {
        version: Version(2),
        accuracy: 0.5,
        loss: 0.7,
        examples: 10,
    }
}

pub(crate) fn report() -> Vec<Vec<u8>> {
    let list = TaskList {
        tasks: [TaskId([1; 16]), TaskId([2; 16])].into(),
    };
    vec![
        kind(0, &list),
        kind(1, &evaluation()),
        kind(2, &figures()),
        kind(3, &totals()),
        kind(4, &task_report().figures),
        kind(5, &task_report()),
    ]
}

fn json(kind: u8, value: &impl Serialize) -> Vec<u8> {
    let text = serde_json::to_vec(value).expect("own types print");
    [&[kind], text.as_slice()].concat()
}

pub(crate) fn report_json() -> Vec<Vec<u8>> {
    let list = TaskList {
        tasks: [TaskId([1; 16])].into(),
    };
    vec![
        json(0, &list),
        json(1, &evaluation()),
        json(2, &task_report()),
        json(3, &ServerOptimizer::Average),
        json(3, &ServerOptimizer::Momentum { beta1: 0.9 }),
        json(3, &ServerOptimizer::Yogi(Adaptive::default())),
    ]
}

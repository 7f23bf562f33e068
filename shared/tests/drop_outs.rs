//! A client that closes at any step costs the round nothing but, at most, its update.

use choir_shared::entropy::InsecureSeededEntropy;
use choir_shared::messages::AbortReason;
use choir_shared::policy::Policy;
use choir_shared::sim::{self, ClientEnd, Close, Faults, Plan, Report, Step};

const EVERY_CLOSE: [Close; 9] = [
    Close::Before(Step::Share),
    Close::After(Step::Share),
    Close::Before(Step::Upload),
    Close::MidUpload,
    Close::After(Step::Upload),
    Close::Before(Step::Ack),
    Close::After(Step::Ack),
    Close::Before(Step::Open),
    Close::After(Step::Open),
];

fn plan(seed: u64, clients: u16, faults: Faults) -> Plan {
    let mut entropy = InsecureSeededEntropy::new(seed ^ 0x5eed);
    let task = sim::head_task(clients, 3, 6);
    let update = |_| {
        let values = (0..14)
            .map(|_| entropy.below(2_000) as f32 / 1_000.0 - 1.0)
            .collect();
        (values, 1 + entropy.below(600) as u32)
    };
    let updates = (0..clients).map(update).collect();
    Plan {
        seed,
        task,
        updates,
        policy: Policy::demo(),
        faults,
    }
}

fn run(seed: u64, clients: u16, faults: Faults) -> Report {
    sim::run(plan(seed, clients, faults)).expect("the plan's task is sound")
}

fn assert_exact(report: &Report) {
    let outcome = report.outcome.as_ref().expect("the round closed");
    assert_eq!(outcome.sum, report.plain_sum(&outcome.survivors));
}

#[test]
fn a_round_without_losses_publishes_the_plain_sum() {
    for clients in [3, 4, 5, 9, 49] {
        let report = run(1, clients, Faults::default());
        assert_exact(&report);
        let outcome = report.outcome.as_ref().expect("the round closed");
        assert_eq!(outcome.survivors.len(), usize::from(clients));
        assert_eq!(outcome.dropped, 0);
        assert!(
            report
                .clients
                .iter()
                .all(|end| *end == ClientEnd::Finished(outcome.receipt))
        );
        assert!(report.rejects.is_empty());
    }
}

#[test]
fn four_clients_lose_one_at_any_step_and_close() {
    for close in EVERY_CLOSE {
        let report = run(
            2,
            4,
            Faults {
                closes: vec![(2, close)],
                ..Faults::default()
            },
        );
        assert_exact(&report);
        let outcome = report.outcome.as_ref().expect("the round closed");
        let uploaded = !matches!(
            close,
            Close::Before(Step::Share)
                | Close::After(Step::Share)
                | Close::Before(Step::Upload)
                | Close::MidUpload
        );
        assert_eq!(
            outcome.survivors.len(),
            if uploaded { 4 } else { 3 },
            "{close:?}"
        );
        assert!(report.finished_at.0 < 70_000, "{close:?} ends");
        for (client, end) in report.clients.iter().enumerate() {
            let finished = matches!(end, ClientEnd::Finished(_));
            assert_eq!(
                finished,
                client != 2,
                "{close:?}: client {client} ended with {end:?}"
            );
        }
    }
}

#[test]
fn three_clients_lose_one_before_its_upload_and_abort_cleanly() {
    for close in &EVERY_CLOSE[..4] {
        let report = run(
            3,
            3,
            Faults {
                closes: vec![(1, *close)],
                ..Faults::default()
            },
        );
        assert!(report.outcome.is_none());
        let expected = match close {
            Close::Before(Step::Share) => AbortReason::TooFewShares,
            _ => AbortReason::TooFewSurvivors,
        };
        assert_eq!(report.abort, Some(expected), "{close:?}");
        for (client, end) in report.clients.iter().enumerate() {
            assert_eq!(
                matches!(end, ClientEnd::Left(_)),
                client != 1,
                "{close:?} {end:?}"
            );
        }
    }
}

#[test]
fn a_cohort_on_the_sparse_graph_loses_some_at_every_step_and_closes() {
    // 60 clients need a quorum of 34 and the opened shares of 8 of the 24 that each chose.
    for seed in 0..2 {
        let closes = (0..9).map(|at| (6 * at + 1, EVERY_CLOSE[at])).collect();
        let report = run(
            seed,
            60,
            Faults {
                closes,
                duplicate_permille: 0,
                break_permille: 20,
                restart_permille: 10,
                max_delay_ms: 300,
                ..Faults::default()
            },
        );
        assert_exact(&report);
        let outcome = report.outcome.as_ref().expect("the round closed");
        assert_eq!((outcome.clients, outcome.survivors.len()), (60, 56));
        let finished = |end: &&ClientEnd| matches!(end, ClientEnd::Finished(_));
        assert_eq!(report.clients.iter().filter(finished).count(), 51);
    }
}

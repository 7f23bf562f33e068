//! Native clients over real sockets, against an aggregator in this process.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod server;

use std::sync::Mutex;

use choir_shared::policy::Policy;
use choir_shared::task::{
    AdapterConfig, AdapterLayout, CohortConfig, Deadlines, Payload, TaskConfig,
};
use choir_wasm_client::bench;
use choir_wasm_client::client::{ClientPlan, Event, Plan, Point, Source};
use server::{Server, TASK};

/// A head of two labels for a cohort of this many.
fn task(clients: u16) -> TaskConfig {
    TaskConfig {
        labels: ["a", "b"].map(String::from).to_vec(),
        payload: Payload::Adapter(AdapterConfig {
            head: true,
            ..AdapterConfig::default()
        }),
        cohort: CohortConfig {
            cohort_size: clients,
            min_cohort: clients,
            corrupt_permille: 100,
            drop_permille: 300,
        },
        deadlines: Deadlines {
            enroll_ms: 60_000,
            share_keys_ms: 60_000,
            collect_ms: 60_000,
            confirm_ms: 60_000,
            unmask_ms: 60_000,
        },
        ..bench::task()
    }
}

fn plan(server: &Server, clients: usize) -> Plan {
    let client = ClientPlan {
        source: Source::Random,
        lose: None,
        mean_life: None,
    };
    Plan {
        url: server.url.clone(),
        task: TASK,
        policy: Policy::demo(),
        rounds: Some(1),
        once: false,
        model: None,
        threads: None,
        seed: 0,
        out: None,
        together: false,
        clients: vec![client; clients],
    }
}

/// What every client said.
fn run(plan: &Plan) -> Vec<Vec<Event>> {
    let heard = Mutex::new(vec![Vec::new(); plan.clients.len()]);
    plan.run(&|told| heard.lock().unwrap()[told.client].push(told.event))
        .unwrap();
    heard.into_inner().unwrap()
}

fn has_finished(events: &[Event]) -> bool {
    let finished = |event: &Event| matches!(event, Event::Finished { .. });
    events.iter().any(finished)
}

#[test]
fn three_clients_finish_a_round_that_a_fourth_leaves_in_mid_upload() {
    let server = Server::open(&task(4), false);
    let mut plan = plan(&server, 4);
    plan.clients[2].lose = Some(Point::MidUpload);
    let heard = run(&plan);
    let finished: Vec<bool> = heard.iter().map(|events| has_finished(events)).collect();
    assert_eq!(finished, [true, true, false, true]);
    let outcome = server.outcome().unwrap();
    assert_eq!((outcome.clients, outcome.dropped), (4, 1));
    // Each random update weighs one.
    assert_eq!(outcome.total_weight, 3);
    let whole = task(4)
        .ring()
        .packed_len(AdapterLayout::new(&task(4)).unwrap().ring_len());
    let cut = server.cut_uploads();
    assert_eq!(cut.len(), 1);
    assert!(cut[0] <= whole / 2 + 64, "{} of {whole} bytes", cut[0]);
}

#[test]
fn a_client_whose_socket_breaks_resumes_and_is_in_the_sum() {
    let server = Server::open(&task(3), true);
    let heard = run(&plan(&server, 3));
    assert!(heard.iter().all(|events| has_finished(events)));
    assert_eq!(server.outcome().unwrap().survivors, [0, 1, 2]);
    let broken = heard.iter().filter(|events| {
        let states = events.iter().filter_map(|event| match event {
            Event::Connection { open } => Some(*open),
            _ => None,
        });
        states.eq([false, true])
    });
    assert_eq!(broken.count(), 1);
    let sockets = server.requests().into_iter();
    let sockets = sockets.filter(|request| request.ends_with("/socket"));
    assert_eq!(sockets.count(), 4);
}

#[test]
fn a_task_below_the_policy_hears_nothing_but_that_it_was_read() {
    let server = Server::open(&task(3), false);
    let heard = run(&Plan {
        policy: Policy::default(),
        ..plan(&server, 1)
    });
    assert!(matches!(heard[0][..], [Event::Ended { failed: true, .. }]));
    assert_eq!(server.requests(), [format!("GET /v1/tasks/{TASK}")]);
}

#[test]
fn clients_with_short_lives_are_lost_without_a_word() {
    let server = Server::open(&task(3), false);
    let mut plan = plan(&server, 2);
    for client in &mut plan.clients {
        client.mean_life = Some(0.001);
    }
    plan.together = true;
    for events in run(&plan) {
        let lost = |event: &Event| matches!(event, Event::Lost { at: None, .. });
        assert!(events.iter().any(lost), "{events:?}");
    }
    assert!(server.outcome().is_none());
}

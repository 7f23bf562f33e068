//! Clients that the aggregator makes up: as many as the task assumes give it nothing, one more may.

use choir_shared::secure_sum::{Parameters, corrupt_clients};
use choir_shared::sim;

use crate::stage::{Stage, View};

/// n + c is odd: the quorum has no signature to spare.
const COHORT: u16 = 64;
const TARGET: u16 = 0;

/// The aggregator's best try: its own clients sign both lists, the others are split so that each
/// part gets as near to a quorum as it can. Which of the target's seeds it has then.
fn split_with(count: u16, first: u16) -> (usize, bool) {
    let mut stage = Stage::new(sim::head_task(COHORT, 3, 6), count, None);
    let everybody = stage.set(|_| true);
    let without = stage.set(|other| other != TARGET);
    let view = |index: u16| View {
        sharers: everybody.clone(),
        survivors: if index < first {
            everybody.clone()
        } else {
            without.clone()
        },
    };
    stage.deliver(view);
    stage.survivors();
    let opened = stage.acks();
    (opened, stage.has_bared(TARGET))
}

#[test]
fn as_many_invented_clients_as_assumed_bare_nobody() {
    let corrupt = corrupt_clients(COHORT, 100) as u16;
    let parameters = Parameters::new(COHORT, 100, 300).expect("parameters");
    assert_eq!((corrupt, parameters.quorum), (7, 36));
    let honest = COHORT - corrupt;
    for first in [1, 10, honest / 2, honest / 2 + 1, honest - 10] {
        let (opened, bared) = split_with(corrupt, first);
        assert!(!bared, "split at {first}");
        // At most one of the two lists finds its quorum.
        assert!(
            opened == 0 || opened == usize::from(first) || opened == usize::from(honest - first)
        );
    }
}

#[test]
fn one_invented_client_more_than_assumed_may_bare_a_client() {
    // This is the edge of the promise, not a fault: docs/threat-model.md, point 2.
    let invented = corrupt_clients(COHORT, 100) as u16 + 1;
    let honest = COHORT - invented;
    let (opened, bared) = split_with(invented, honest / 2);
    assert_eq!(opened, usize::from(honest), "both lists have a quorum");
    assert!(bared, "both of the target's seeds are known");
}

#[test]
fn a_client_whose_whole_cohort_is_invented_is_bare() {
    // Nothing in the protocol can help this client; a roster that an issuer vouches for can.
    for cohort in [5, 60] {
        let mut stage = Stage::new(sim::head_task(cohort, 3, 6), cohort - 1, None);
        let everybody = stage.set(|_| true);
        stage.deliver(|_| View {
            sharers: everybody.clone(),
            survivors: everybody.clone(),
        });
        assert!(stage.has_bared(TARGET), "{cohort}: from the upload alone");
    }
}

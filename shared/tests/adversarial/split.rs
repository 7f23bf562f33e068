//! Lists that differ between clients, in cohorts of sixty on a sparse graph: what they give where
//! the quorum is counted wrongly, and that they give nothing where it is counted over the roster.

use choir_shared::round::{ClientFault, InsecureQuorum, LeaveReason};
use choir_shared::secure_sum::Bitmap;
use choir_shared::sim;

use crate::stage::{Stage, View};

const COHORT: u16 = 60;
/// Whose update the aggregator is after. It is in the second group.
const TARGET: u16 = 59;

fn stage(quorum: Option<InsecureQuorum>) -> Stage {
    Stage::new(sim::head_task(COHORT, 3, 6), 0, quorum)
}

fn of_first_group(index: u16) -> bool {
    index < COHORT / 2
}

/// Each group is shown itself and the target as those who shared; the first does not see the target
/// survive.
fn split_sharers(stage: &Stage, index: u16) -> View {
    let first = of_first_group(index);
    let mine = |other| of_first_group(other) == first;
    View {
        sharers: stage.set(|other| mine(other) || other == TARGET),
        survivors: stage.set(mine),
    }
}

/// Everybody shared; the first group does not see the target survive.
fn split_survivors(stage: &Stage, index: u16) -> View {
    View {
        sharers: stage.set(|_| true),
        survivors: stage.set(|other| other != TARGET || !of_first_group(index)),
    }
}

fn views(stage: &Stage, of: fn(&Stage, u16) -> View) -> Vec<View> {
    (0..stage.clients).map(|index| of(stage, index)).collect()
}

#[test]
fn a_split_list_of_sharers_bares_the_target_where_the_quorum_is_relative_to_it() {
    let mut stage = stage(Some(InsecureQuorum::RelativeToSharers));
    let views = views(&stage, split_sharers);
    let all = usize::from(COHORT);
    assert_eq!(
        stage.deliver(|index| views[usize::from(index)].clone()),
        all
    );
    assert_eq!((stage.survivors(), stage.acks()), (all, all));
    assert_eq!(
        stage.unmask(TARGET).as_ref(),
        Some(&stage.table.plain[usize::from(TARGET)]),
        "the attack is real: the target's update, word for word"
    );
}

#[test]
fn a_split_list_of_sharers_opens_nothing_where_the_quorum_is_over_the_roster() {
    let mut stage = stage(None);
    let views = views(&stage, split_sharers);
    assert_eq!(stage.deliver(|index| views[usize::from(index)].clone()), 0);
    assert_eq!((stage.survivors(), stage.acks()), (0, 0));
    assert_eq!(stage.unmask(TARGET), None);
    let refused = Some(LeaveReason::Fault(ClientFault::Sharers));
    assert!(stage.table.left.iter().all(|left| *left == refused));
}

#[test]
fn split_lists_of_sharers_that_are_long_enough_open_nothing() {
    // Both groups are shown a quorum of sharers, and different ones.
    let mut stage = stage(None);
    let of = |stage: &Stage, index| View {
        sharers: stage.set(|other| !of_first_group(index) || other != 58),
        survivors: stage.set(|other| other != 58 && (other != TARGET || !of_first_group(index))),
    };
    let views = views(&stage, of);
    let uploads = stage.deliver(|index| views[usize::from(index)].clone());
    assert_eq!(uploads, usize::from(COHORT));
    assert!(
        stage.survivors() >= 58,
        "everybody signs the list it was shown"
    );
    assert_eq!(stage.acks(), 0);
    assert_eq!(stage.unmask(TARGET), None);
}

#[test]
fn a_split_list_of_survivors_opens_nothing() {
    let mut stage = stage(None);
    let views = views(&stage, split_survivors);
    let all = usize::from(COHORT);
    assert_eq!(
        stage.deliver(|index| views[usize::from(index)].clone()),
        all
    );
    assert_eq!((stage.survivors(), stage.acks()), (all, 0));
    assert_eq!(stage.unmask(TARGET), None);
    let refused = Some(LeaveReason::Fault(ClientFault::Quorum));
    assert!(stage.table.left.iter().all(|left| *left == refused));
}

#[test]
fn the_same_splits_open_nothing_on_the_complete_graph() {
    for clients in [5, 9] {
        for split in 1..clients - 1 {
            let target = clients - 1;
            let of = |stage: &Stage, index: u16, short: bool| {
                let first = |other: u16| other < split;
                let mine = move |other| first(other) == first(index);
                View {
                    sharers: stage.set(|other| !short || mine(other) || other == target),
                    survivors: stage
                        .set(|other| (!short || mine(other)) && (other != target || !first(index))),
                }
            };
            for short in [true, false] {
                let mut stage = Stage::new(sim::head_task(clients, 3, 6), 0, None);
                let views: Vec<View> = (0..clients).map(|index| of(&stage, index, short)).collect();
                stage.deliver(|index| views[usize::from(index)].clone());
                stage.survivors();
                stage.acks();
                assert_eq!(stage.unmask(target), None, "{clients} split at {split}");
            }
        }
    }
}

#[test]
fn an_elimination_list_is_refused_by_everybody_in_a_sparse_cohort() {
    for length in [1, 33] {
        // q = 34 of 60.
        let mut stage = stage(None);
        let list: Bitmap = stage.set(|other| other >= COHORT - length);
        let everybody = stage.set(|_| true);
        stage.deliver(|_| View {
            sharers: everybody.clone(),
            survivors: list.clone(),
        });
        assert_eq!((stage.survivors(), stage.acks()), (0, 0));
        let refused = Some(LeaveReason::Fault(ClientFault::Survivors));
        assert!(stage.table.left.iter().all(|left| *left == refused));
    }
}

#[test]
fn nobody_opens_both_kinds_of_share_of_one_owner() {
    // An honest view opens; then everybody is asked again with the target dropped.
    let mut stage = stage(None);
    let everybody = stage.set(|_| true);
    stage.deliver(|_| View {
        sharers: everybody.clone(),
        survivors: everybody.clone(),
    });
    let all = usize::from(COHORT);
    assert_eq!((stage.survivors(), stage.acks()), (all, all));
    let [of_b, of_s] = stage.shares_of(TARGET);
    assert!(!of_b.is_empty() && of_s.is_empty());
    for index in 0..COHORT {
        let dropped = stage.set(|other| other != TARGET);
        let message = choir_shared::messages::AggregatorMessage::Survivors {
            survivors: dropped.as_bytes().to_vec(),
        };
        assert_eq!(stage.table.tell(index.into(), message), []);
    }
    let [_, of_s] = stage.shares_of(TARGET);
    assert!(of_s.is_empty());
    assert_eq!(stage.unmask(TARGET), None);
}

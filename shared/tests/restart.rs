//! An aggregator that is restarted goes on from what it stored; a client that comes back takes its
//! place.

use std::collections::BTreeMap;

use choir_shared::messages::{AbortReason, AggregatorMessage, ClientMessage};
use choir_shared::reject::RejectCode;
use choir_shared::round::aggregator::Part;
use choir_shared::round::{Event, LeaveReason, PhaseName, Round, StateError};
use choir_shared::wire::{self, limits};

#[path = "support/table.rs"]
mod table;

use table::{Out, Table};

type Parts = BTreeMap<Part, Vec<u8>>;

const PHASES: [PhaseName; 4] = [
    PhaseName::ShareKeys,
    PhaseName::Collect,
    PhaseName::Confirm,
    PhaseName::Unmask,
];

fn finish(table: &mut Table, mut pending: Vec<(usize, Out)>) {
    while !pending.is_empty() {
        table.give_all(&pending);
        pending = table.answers();
    }
    let outcome = table.outcome.as_ref().expect("the round closed");
    assert_eq!(outcome.sum, table.plain_sum(&outcome.survivors));
}

#[test]
fn a_round_that_everybody_lost_waits_for_them_until_the_deadline() {
    for phase in PHASES {
        let (mut table, pending) = Table::at(phase, 5);
        table.restart();
        for client in 0..5 {
            table.event(Event::Disconnected(table.link(client)));
        }
        assert_eq!(table.round.phase(), phase);
        for client in 0..5 {
            let resume = table.relink(client);
            table.give_all(&resume);
        }
        assert_eq!(table.answers(), pending);
        finish(&mut table, pending);
    }
}

#[test]
fn clients_that_come_back_answer_again_to_the_byte() {
    for phase in PHASES {
        let (mut table, pending) = Table::at(phase, 5);
        table.give_all(&pending[..2]);
        table.restart();
        for client in 0..5 {
            let resume = table.relink(client);
            table.give_all(&resume);
        }
        let answers = table.answers();
        let lost: Vec<&Out> = pending[2..].iter().map(|(_, out)| out).collect();
        let again: Vec<&Out> = answers.iter().map(|(_, out)| out).collect();
        assert_eq!(again, lost, "{phase}");
        finish(&mut table, answers);
        assert_eq!(
            table
                .outcome
                .as_ref()
                .map(|outcome| outcome.survivors.len()),
            Some(5)
        );
    }
}

#[test]
fn a_restart_after_every_event_changes_nothing() {
    let (mut table, mut pending) = Table::new(6);
    while !pending.is_empty() {
        for (client, out) in std::mem::take(&mut pending) {
            table
                .give(client, &out)
                .expect("an honest message is taken");
            table.restart();
        }
        pending = table.answers();
    }
    finish(&mut table, Vec::new());
    let published = table.outcome.clone();
    table.restart();
    assert_eq!(
        table.round.outcome(),
        published,
        "it can be published again"
    );
}

#[test]
fn a_closed_round_tells_its_result_to_a_survivor_that_comes_back() {
    let (mut table, pending) = Table::at(PhaseName::Unmask, 4);
    table.give_all(&pending);
    table.inbox.clear();
    let resume = table.relink(2);
    table.give_all(&resume);
    assert!(matches!(
        table.inbox[..],
        [(2, AggregatorMessage::Done { .. })]
    ));
    let answers = table.answers();
    assert!(answers.is_empty() && table.clients[2].phase() == PhaseName::Closed);
}

#[test]
fn a_client_that_comes_back_too_late_is_told_so() {
    let (mut table, pending) = Table::at(PhaseName::Collect, 4);
    table.event(Event::Disconnected(table.link(3)));
    table.give_all(&pending[..3]);
    assert_eq!(table.round.phase(), PhaseName::Confirm);
    let resume = table.relink(3);
    table.give_all(&resume);
    table.answers();
    assert_eq!(table.left[3], Some(LeaveReason::Refused(RejectCode::Late)));
}

#[test]
fn a_client_whose_connection_breaks_in_the_lobby_joins_anew_with_fresh_keys() {
    let (mut table, joins) = Table::new(4);
    table.give_all(&joins[..2]);
    table.event(Event::Disconnected(table.link(0)));
    assert_eq!(table.round.counts().joined, 1);
    let again = table.relink(0);
    let key = |out: &Out| match wire::decode(out.bytes(), limits::CLIENT_MESSAGE) {
        Ok(ClientMessage::Join { mask_key, .. }) => mask_key,
        other => panic!("JOIN: {other:?}"),
    };
    assert_ne!(key(&again[0].1), key(&joins[0].1));
    table.give_all(&again);
    table.give_all(&joins[2..]);
    let answers = table.answers();
    finish(&mut table, answers);
}

#[test]
fn the_lobby_starts_at_its_deadline_with_enough_and_waits_on_with_too_few() {
    let (mut table, joins) = Table::new(6);
    table.give_all(&joins[..2]);
    table.now = table
        .round
        .deadline()
        .expect("a deadline from the first JOIN");
    table.event(Event::Tick);
    assert_eq!(table.round.phase(), PhaseName::Enroll, "too few");
    table.give_all(&joins[2..3]);
    assert_eq!(
        table.round.phase(),
        PhaseName::ShareKeys,
        "enough, and the deadline is over"
    );
    let answers = table.answers();
    finish(&mut table, answers);
    assert_eq!(
        table.outcome.as_ref().map(|outcome| outcome.clients),
        Some(3)
    );
}

#[test]
fn a_client_that_leaves_is_not_waited_for() {
    let (mut table, pending) = Table::at(PhaseName::ShareKeys, 5);
    table.give_all(&pending[..4]);
    let leave = table.clients[4].leave();
    let choir_shared::round::ClientEffect::Send(bytes) = &leave[0] else {
        panic!("LEAVE")
    };
    table.give(4, &Out::Socket(bytes.clone())).expect("LEAVE");
    assert_eq!(table.round.phase(), PhaseName::Collect);
    let answers = table.answers();
    finish(&mut table, answers);
}

#[test]
fn a_wrong_share_is_left_out_where_others_suffice_and_aborts_the_round_where_not() {
    let lie = |table: &mut Table, pending: &mut Vec<(usize, Out)>| {
        let Ok(ClientMessage::Open { round, mut shares }) =
            wire::decode(pending[0].1.bytes(), limits::CLIENT_MESSAGE)
        else {
            panic!("OPEN")
        };
        shares[..32].copy_from_slice(&[1; 32]);
        pending[0].1 = Out::Socket(wire::encode(&ClientMessage::Open { round, shares }));
        table.give_all(pending);
    };
    // Three others hold a share and two suffice.
    let (mut table, mut pending) = Table::at(PhaseName::Unmask, 4);
    lie(&mut table, &mut pending);
    finish(&mut table, Vec::new());
    // Two others hold a share and both are needed.
    let (mut table, mut pending) = Table::at(PhaseName::Unmask, 3);
    lie(&mut table, &mut pending);
    assert_eq!(table.round.abort_reason(), Some(AbortReason::WrongShares));
    assert!(!table.stored.contains_key(&Part::Sum), "the sum is gone");
}

#[test]
fn parts_that_are_no_round_are_refused() {
    let (table, _) = Table::at(PhaseName::Collect, 4);
    let refusal = |change: &dyn Fn(&mut Parts)| {
        let mut parts = table.stored.clone();
        change(&mut parts);
        Round::from_parts(parts).err()
    };
    assert_eq!(refusal(&|_| {}), None);
    for part in [Part::Setup, Part::Head, Part::Roster] {
        let missing = refusal(&|parts| drop(parts.remove(&part)));
        assert_eq!(missing, Some(StateError::Part), "{part:?}");
        let cut = refusal(&|parts| {
            let bytes = parts.get_mut(&part).expect("a part");
            bytes.truncate(bytes.len() - 1);
        });
        assert!(matches!(cut, Some(StateError::Wire(_))), "{part:?}");
    }
    let (other, _) = Table::at(PhaseName::Collect, 5);
    let swapped = refusal(&|parts| {
        parts.insert(Part::Roster, other.stored[&Part::Roster].clone());
    });
    assert_eq!(swapped, Some(StateError::Part), "another round's roster");
    let stranger = refusal(&|parts| {
        parts.insert(Part::Shared(4), parts[&Part::Shared(3)].clone());
    });
    assert_eq!(stranger, Some(StateError::Part), "no client of the roster");
    let unshared = refusal(&|parts| drop(parts.remove(&Part::Shared(2))));
    assert_eq!(
        unshared,
        Some(StateError::Part),
        "it is said to have shared"
    );
    let another_list = refusal(&|parts| {
        parts.insert(Part::Shared(2), parts[&Part::Shared(3)].clone());
    });
    assert_eq!(another_list, Some(StateError::Part), "it chose itself");
    let no_sum = refusal(&|parts| drop(parts.remove(&Part::Sum)));
    assert_eq!(no_sum, Some(StateError::Sum));
    for left in [3, 4] {
        let short = refusal(&|parts| {
            let sum = parts.get_mut(&Part::Sum).expect("a sum");
            sum.truncate(sum.len() - left);
        });
        assert_eq!(short, Some(StateError::Sum), "{left} bytes less");
    }
    let (early, _) = Table::at(PhaseName::ShareKeys, 4);
    let mut parts = early.stored;
    parts.insert(Part::Sum, table.stored[&Part::Sum].clone());
    assert_eq!(Round::from_parts(parts).err(), Some(StateError::Sum));
}

#[test]
fn a_part_is_found_again_by_its_name() {
    let parts = [
        Part::Setup,
        Part::Head,
        Part::Roster,
        Part::Shared(0),
        Part::Ack(999),
        Part::Opened(65_535),
        Part::Sum,
    ];
    for part in parts {
        assert_eq!(part.name().parse(), Ok(part));
    }
    for name in ["", "shared", "shared x", "shared 65536", "head 1", "other"] {
        assert_eq!(name.parse::<Part>(), Err(StateError::Part), "{name}");
    }
}

#[test]
fn what_an_event_stores_is_small() {
    for phase in PHASES {
        let (mut table, pending) = Table::at(phase, 49);
        table.restart();
        table.stored.clear();
        table.give_all(&pending[..1]);
        let changed: usize = table.stored.values().map(Vec::len).sum();
        // The longest is SHARE with 48 boxes of 80; the head has a dozen bytes for each client.
        assert!(changed < 5_000, "{phase}: {changed}");
    }
}

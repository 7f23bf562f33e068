//! An aggregator that is restarted goes on from what it stored; a client that comes back takes its
//! place.

use choir_shared::messages::{AbortReason, AggregatorMessage, ClientMessage};
use choir_shared::reject::RejectCode;
use choir_shared::round::{Event, LeaveReason, PhaseName, Round, StateError};
use choir_shared::wire::{self, limits};

#[path = "support/table.rs"]
mod table;

use table::{Out, Table};

const PHASES: [PhaseName; 4] = [
    PhaseName::ShareKeys,
    PhaseName::Collect,
    PhaseName::Confirm,
    PhaseName::Unmask,
];

fn restart(table: &mut Table) {
    let (state, sum) = table.round.to_parts();
    let sum = sum.map(<[u32]>::to_vec);
    table.round = Round::from_parts(&state, sum).expect("stored parts make a round");
}

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
        restart(&mut table);
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
        restart(&mut table);
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
            restart(&mut table);
        }
        pending = table.answers();
    }
    finish(&mut table, Vec::new());
    let published = table.outcome.clone();
    restart(&mut table);
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
    assert!(table.round.to_parts().1.is_none(), "the sum is gone");
}

#[test]
fn parts_that_are_no_round_are_refused() {
    let (table, _) = Table::at(PhaseName::Collect, 4);
    let (state, sum) = table.round.to_parts();
    let sum = sum.expect("a sum").to_vec();
    assert!(matches!(
        Round::from_parts(&state[1..], None),
        Err(StateError::Wire(_))
    ));
    assert_eq!(Round::from_parts(&state, None).err(), Some(StateError::Sum));
    assert_eq!(
        Round::from_parts(&state, Some(sum[1..].to_vec())).err(),
        Some(StateError::Sum)
    );
    let (table, _) = Table::at(PhaseName::ShareKeys, 4);
    let (state, _) = table.round.to_parts();
    assert_eq!(
        Round::from_parts(&state, Some(sum)).err(),
        Some(StateError::Sum)
    );
}

#[test]
fn the_largest_state_stays_within_its_limit() {
    for phase in PHASES {
        let (mut table, pending) = Table::at(phase, 49);
        table.give_all(&pending[..48]);
        let (state, _) = table.round.to_parts();
        assert!(
            state.len() < limits::ROUND_STATE / 2,
            "{phase}: {}",
            state.len()
        );
    }
}

//! No list of survivors or of sharers, however it is split between clients, makes anyone open the
//! shares that would bare one client's update.

use choir_shared::messages::AggregatorMessage;
use choir_shared::round::{ClientFault, Event, LeaveReason, PhaseName};
use choir_shared::secure_sum::Bitmap;

use crate::table::{Out, Table, assert_leaves, unread};

fn survivors(list: u8) -> impl FnOnce(&mut AggregatorMessage) {
    move |message| {
        *message = AggregatorMessage::Survivors {
            survivors: vec![list],
        }
    }
}

#[test]
fn a_list_of_survivors_that_singles_somebody_out_is_left() {
    let phase = PhaseName::Confirm;
    for list in [0b00001, 0b11110, 0b00111, 0b111111, 0] {
        assert_leaves(phase, ClientFault::Survivors, survivors(list));
    }
    // An elimination list of one target is refused by everybody, the target included.
    let mut table = unread(phase, 5);
    for client in 0..5 {
        let list = AggregatorMessage::Survivors {
            survivors: vec![0b00100],
        };
        assert_eq!(table.tell(client, list), []);
        assert_eq!(
            table.left[client],
            Some(LeaveReason::Fault(ClientFault::Survivors))
        );
    }
}

#[test]
fn a_survivor_who_did_not_share_is_left() {
    // Client 4 of five does not share; a list that has it nevertheless is no subset.
    let (mut table, pending) = Table::at(PhaseName::ShareKeys, 5);
    table.give_all(&pending[..4]);
    table.event(Event::Disconnected(table.link(4)));
    let uploads = table.answers();
    table.give_all(&uploads);
    assert_eq!(
        table.tell(
            0,
            AggregatorMessage::Survivors {
                survivors: vec![0b11111]
            }
        ),
        []
    );
    assert_eq!(
        table.left[0],
        Some(LeaveReason::Fault(ClientFault::Survivors))
    );
}

/// Clients sign what they are shown; the aggregator then shows everybody every signature.
fn nobody_opens(table: &mut Table, views: &[u8]) {
    let mut signatures = Vec::new();
    for (client, view) in views.iter().enumerate() {
        let message = AggregatorMessage::Survivors {
            survivors: vec![*view],
        };
        let answers = table.tell(client, message);
        let [(_, Out::Socket(ack))] = &answers[..] else {
            panic!("ACK")
        };
        signatures.extend_from_slice(&ack[ack.len() - 64..]);
    }
    let signers = Bitmap::from_fn(views.len() as u16, |_| true)
        .as_bytes()
        .to_vec();
    for client in 0..views.len() {
        let acks = AggregatorMessage::Acks {
            signers: signers.clone(),
            signatures: signatures.clone(),
        };
        assert_eq!(table.tell(client, acks), [], "nobody opens anything");
        assert_eq!(
            table.left[client],
            Some(LeaveReason::Fault(ClientFault::Quorum))
        );
    }
}

#[test]
fn survivors_lists_that_differ_between_clients_open_nothing() {
    // Target 4: the first two are to open its mask secret, the others its self mask.
    let mut table = unread(PhaseName::Confirm, 5);
    nobody_opens(&mut table, &[0b01111, 0b01111, 0b11111, 0b11111, 0b11111]);
}

#[test]
fn lists_of_sharers_that_differ_between_clients_open_nothing() {
    // The split of docs/threat-model.md on a cohort of six: group A does not know that the
    // target shared.
    let mut table = unread(PhaseName::Collect, 6);
    let inbox = std::mem::take(&mut table.inbox);
    for (client, message) in inbox {
        let AggregatorMessage::Deliver {
            mut shared,
            mut senders,
            mut boxes,
        } = message
        else {
            continue;
        };
        if client < 3 {
            shared[0] &= !(1 << 5);
            senders.pop();
            boxes.truncate(4 * 80);
        }
        table.tell(
            client,
            AggregatorMessage::Deliver {
                shared,
                senders,
                boxes,
            },
        );
    }
    let (a, b) = (0b011111, 0b111111);
    nobody_opens(&mut table, &[a, a, a, b, b, b]);
}

#[test]
fn signatures_of_another_round_do_not_make_a_quorum() {
    let acks = |seed: u64| {
        let (mut table, mut pending) = Table::with_seed(5, seed);
        loop {
            table.give_all(&pending);
            if table.round.phase() == PhaseName::Unmask {
                return table;
            }
            pending = table.answers();
        }
    };
    let (mut one, mut other) = (acks(1), acks(2));
    let (_, replayed) = other.inbox.pop().expect("ACKS");
    assert_eq!(one.tell(0, replayed), []);
    assert_eq!(one.left[0], Some(LeaveReason::Fault(ClientFault::Quorum)));
    // One signature of a quorum of four is invalid, one is missing, or the list is ragged.
    type Change = fn(&mut Vec<u8>, &mut Vec<u8>);
    let changes: [Change; 3] = [
        |_, signatures| (0..2).for_each(|at| signatures[at * 64] ^= 1),
        |signers, signatures| {
            signers[0] = 0b111;
            signatures.truncate(3 * 64);
        },
        |_, signatures| signatures.truncate(319),
    ];
    for change in changes {
        assert_leaves(PhaseName::Unmask, ClientFault::Quorum, |message| {
            let AggregatorMessage::Acks {
                signers,
                signatures,
            } = message
            else {
                panic!("ACKS")
            };
            change(signers, signatures);
        });
    }
}

#[test]
fn a_second_list_or_a_second_question_gets_no_second_answer() {
    let mut table = unread(PhaseName::Confirm, 5);
    let shown = |list| AggregatorMessage::Survivors {
        survivors: vec![list],
    };
    let first = table.tell(0, shown(0b11111));
    assert_eq!(
        table.tell(0, shown(0b11111)),
        first,
        "the same list, the same signature"
    );
    assert_eq!(table.tell(0, shown(0b01111)), []);
    assert_eq!(
        table.left[0],
        Some(LeaveReason::Fault(ClientFault::Equivocation))
    );

    let (mut table, pending) = Table::at(PhaseName::Unmask, 5);
    let Some((0, open)) = pending.first() else {
        panic!("OPEN")
    };
    let acks = AggregatorMessage::Acks {
        signers: vec![0],
        signatures: Vec::new(),
    };
    assert_eq!(
        table.tell(0, acks),
        [(0, open.clone())],
        "the same shares again"
    );
    assert_eq!(
        table.tell(0, shown(0b01111)),
        [],
        "a past question is ignored"
    );
    assert_eq!(table.left[0], None);

    let (mut table, pending) = Table::at(PhaseName::Collect, 5);
    let other = AggregatorMessage::Deliver {
        shared: vec![0b01111],
        senders: vec![],
        boxes: vec![],
    };
    assert!(matches!(&pending[0], (0, Out::Upload(_))));
    assert_eq!(table.tell(0, other), []);
    assert_eq!(
        table.left[0],
        Some(LeaveReason::Fault(ClientFault::Equivocation))
    );
}

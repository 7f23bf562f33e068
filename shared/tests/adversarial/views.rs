//! An aggregator that shows its clients different rosters, models or edges, or asks for more.

use choir_shared::entropy::InsecureSeededEntropy;
use choir_shared::ids::{ClientIndex, Digest};
use choir_shared::messages::{AbortReason, AggregatorMessage, ClientMessage};
use choir_shared::policy::Policy;
use choir_shared::reject::RejectCode;
use choir_shared::round::{
    ClientEffect, ClientEvent, ClientFault, ClientRound, JoinSetup, LeaveReason, PhaseName,
};
use choir_shared::secure_sum::{Header, Parameters, x25519_public};
use choir_shared::sim;
use choir_shared::update::FrozenUpdate;
use choir_shared::wire::{self, limits};
use ed25519_dalek::SigningKey;

use crate::table::{Out, Table, unread};

fn decode(out: &Out) -> ClientMessage {
    wire::decode(out.bytes(), limits::CLIENT_MESSAGE).expect("a client's message")
}

/// Shows each client its ROSTER, and keeps the boxes that it sends; on the complete graph, so in
/// the order of the others.
fn boxes_after(table: &mut Table, shown: &[(Vec<u8>, Vec<u8>)]) -> Vec<Vec<Vec<u8>>> {
    table.inbox.clear();
    let mut boxes = Vec::new();
    for (client, (header, roster)) in shown.iter().cloned().enumerate() {
        let share = table.tell(client, AggregatorMessage::Roster { header, roster });
        let [(_, share)] = &share[..] else {
            panic!("client {client}: {:?}", table.left[client])
        };
        let ClientMessage::Share { boxes: sealed, .. } = decode(share) else {
            panic!("SHARE")
        };
        boxes.push(
            sealed
                .chunks(limits::BOX_BYTES)
                .map(<[u8]>::to_vec)
                .collect(),
        );
    }
    boxes
}

/// DELIVER for `to`, from `senders`; `shared` is the bitmap.
fn deliver(
    boxes: &[Vec<Vec<u8>>],
    to: usize,
    shared: u8,
    senders: impl IntoIterator<Item = usize>,
) -> AggregatorMessage {
    let senders: Vec<usize> = senders.into_iter().filter(|&from| from != to).collect();
    AggregatorMessage::Deliver {
        shared: vec![shared],
        boxes: senders
            .iter()
            .flat_map(|&from| boxes[from][to - usize::from(from < to)].clone())
            .collect(),
        senders: senders
            .iter()
            .map(|&from| ClientIndex(from as u16))
            .collect(),
    }
}

fn roster_of(table: &Table) -> (Vec<u8>, Vec<u8>) {
    let roster = table.inbox.iter().find_map(|(_, message)| match message {
        AggregatorMessage::Roster { header, roster } => Some((header.clone(), roster.clone())),
        _ => None,
    });
    roster.expect("ROSTER")
}

#[test]
fn different_rosters_open_no_box_and_no_quorum() {
    // The seventh client is the aggregator's, with other keys for each group of three.
    for whole in [true, false] {
        let mut table = unread(PhaseName::ShareKeys, 7);
        let (header, first) = roster_of(&table);
        let mut second = first.clone();
        let keys = [
            SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes(),
            x25519_public(&[8; 32]).0,
            x25519_public(&[9; 32]).0,
        ];
        second[6 * 96..].copy_from_slice(&keys.concat());
        let shown: Vec<_> = (0..6)
            .map(|client| if client < 3 { &first } else { &second })
            .map(|roster| (header.clone(), roster.clone()))
            .collect();
        let boxes = boxes_after(&mut table, &shown);
        for client in 0..6 {
            // All are said to have shared, or only the client's own group and the seventh.
            let (message, fault) = if whole {
                let message = deliver(&boxes, client, 0b0111_1111, 0..6);
                (message, ClientFault::ShareBox)
            } else if client < 3 {
                let message = deliver(&boxes, client, 0b0100_0111, 0..3);
                (message, ClientFault::Sharers)
            } else {
                let message = deliver(&boxes, client, 0b0111_1000, 3..6);
                (message, ClientFault::Sharers)
            };
            assert_eq!(table.tell(client, message), []);
            assert_eq!(table.left[client], Some(LeaveReason::Fault(fault)));
        }
    }
}

#[test]
fn different_models_open_no_box() {
    let (mut table, mut joins) = Table::new(6);
    let setup = sim::round_setup(&table.task);
    let adapter = Digest([9; 32]);
    let other = table.task.model_digest(setup.version, adapter);
    let agreed = table.task.model_digest(setup.version, setup.adapter);
    for (client, out) in &mut joins[3..] {
        let mut entropy = InsecureSeededEntropy::new(*client as u64);
        let update =
            FrozenUpdate::new(&[0.0; 14], 1, &table.task, &mut entropy).expect("an update");
        let join = JoinSetup {
            policy: Policy::demo(),
            task: &table.task,
            task_id: setup.task_id,
            round_id: setup.round_id,
            version: setup.version,
            adapter,
        };
        let (round, effects) =
            ClientRound::join(&join, update, &mut entropy).expect("the policy allows it");
        table.clients[*client] = round;
        let ClientEffect::Send(bytes) = &effects[1] else {
            panic!("JOIN")
        };
        *out = Out::Socket(bytes.clone());
        // An honest aggregator does not take it.
        table.assert_refused(*client, out, RejectCode::WrongModel);
        let mut message = decode(out);
        if let ClientMessage::Join { model_digest, .. } = &mut message {
            assert_eq!(*model_digest, other);
            *model_digest = agreed;
        }
        *out = Out::Socket(wire::encode(&message));
    }
    table.give_all(&joins);
    let (header, roster) = roster_of(&table);
    let versioned = [&[wire::WIRE_VERSION][..], &header].concat();
    let mut changed: Header = wire::decode(&versioned, 1_000).expect("a header");
    changed.model_digest = other;
    let shown: Vec<_> = (0..6)
        .map(|client| {
            if client < 3 {
                header.clone()
            } else {
                changed.to_bytes()
            }
        })
        .map(|header| (header, roster.clone()))
        .collect();
    let boxes = boxes_after(&mut table, &shown);
    for client in 0..6 {
        let message = deliver(&boxes, client, 0b0011_1111, 0..6);
        assert_eq!(table.tell(client, message), []);
        let left = Some(LeaveReason::Fault(ClientFault::ShareBox));
        assert_eq!(table.left[client], left);
    }
}

#[test]
fn a_client_that_is_shown_another_clients_model_leaves() {
    let (mut table, joins) = Table::new(4);
    table.give_all(&joins);
    let (header, roster) = roster_of(&table);
    let versioned = [&[wire::WIRE_VERSION][..], &header].concat();
    let mut changed: Header = wire::decode(&versioned, 1_000).expect("a header");
    changed.model_digest.0[31] ^= 1;
    let header = changed.to_bytes();
    assert_eq!(
        table.tell(0, AggregatorMessage::Roster { header, roster }),
        []
    );
    assert_eq!(table.left[0], Some(LeaveReason::Fault(ClientFault::Header)));
}

#[test]
fn a_hidden_edge_makes_garbage_and_no_sum() {
    // One client is not told that another chose it: it leaves out a mask that the other adds.
    let (mut table, joins) = Table::of(sim::head_task(50, 3, 6), 3);
    table.give_all(&joins);
    let shares = table.answers();
    let ClientMessage::Share { out_list, .. } = decode(&shares[0].1) else {
        panic!("SHARE")
    };
    table.give_all(&shares);
    for (client, message) in &mut table.inbox {
        if let (0, AggregatorMessage::Deliver { senders, boxes, .. }) = (*client, message) {
            let hidden = senders
                .iter()
                .position(|sender| !out_list.contains(sender))
                .expect("a client that chose 0 and that 0 did not choose");
            senders.remove(hidden);
            boxes.drain(hidden * limits::BOX_BYTES..(hidden + 1) * limits::BOX_BYTES);
        }
    }
    let mut refused = Vec::new();
    while table.round.abort_reason().is_none() {
        let answers = table.answers();
        assert!(!answers.is_empty() && table.outcome.is_none());
        for (client, out) in answers {
            if let Err(code) = table.give(client, &out) {
                refused.push((client, code));
            }
        }
    }
    assert_eq!(table.round.abort_reason(), Some(AbortReason::SumOutOfRange));
    assert!(refused.iter().all(|(_, code)| matches!(
        code,
        RejectCode::WrongLength | RejectCode::WrongPhase | RejectCode::RoundAborted
    )));
    assert!(refused.contains(&(0, RejectCode::WrongLength)));
}

#[test]
fn more_in_neighbours_than_three_times_the_chosen_are_left() {
    let mut task = sim::head_task(500, 3, 6);
    task.cohort.corrupt_permille = 50;
    task.cohort.drop_permille = 200;
    task.quantiser.weight_max = 8;
    let parameters = Parameters::new(500, 50, 200).expect("parameters");
    let chosen = parameters.neighbours;
    assert!(chosen * 10 < 500);
    let (mut table, joins) = Table::of(task, 4);
    table.give_all(&joins);
    let (header, roster) = roster_of(&table);
    let told = [
        // As many as may be: only then are the boxes looked at, and these are none.
        (3 * chosen, ClientFault::ShareBox),
        (3 * chosen + 1, ClientFault::Sharers),
        (10 * chosen, ClientFault::Sharers),
    ];
    for (client, (count, fault)) in told.into_iter().enumerate() {
        let (header, roster) = (header.clone(), roster.clone());
        let share = table.tell(client, AggregatorMessage::Roster { header, roster });
        assert_eq!(share.len(), 1);
        let deliver = AggregatorMessage::Deliver {
            shared: [vec![0xff; 62], vec![0x0f]].concat(),
            senders: (10..10 + count).map(ClientIndex).collect(),
            boxes: vec![0; usize::from(count) * limits::BOX_BYTES],
        };
        assert_eq!(table.tell(client, deliver), []);
        assert_eq!(table.left[client], Some(LeaveReason::Fault(fault)));
    }
}

#[test]
fn an_aborted_update_is_gone() {
    for phase in [
        PhaseName::ShareKeys,
        PhaseName::Collect,
        PhaseName::Confirm,
        PhaseName::Unmask,
    ] {
        // What the aggregator said is told again after the abort.
        let mut table = unread(phase, 5);
        let said = table.inbox.clone();
        let (reason, client) = (AbortReason::TooFewAcks, 0);
        table.tell(client, AggregatorMessage::Aborted { reason });
        let left = LeaveReason::Aborted(reason);
        assert_eq!(table.left[client], Some(left));
        assert!(left.may_retrain(), "with another update, not with this one");
        for (_, message) in said.into_iter().filter(|(to, _)| *to == client) {
            assert_eq!(table.tell(client, message), [], "{phase}");
        }
        let events = [
            ClientEvent::Reconnected,
            ClientEvent::Disconnected,
            ClientEvent::Uploaded,
            ClientEvent::UploadRefused(RejectCode::WrongRound),
        ];
        for event in events {
            let answer = table.clients[client].handle(event, &mut table.entropy);
            assert_eq!(answer, [], "{phase}");
        }
        assert!(table.clients[client].leave().is_empty());
    }
}

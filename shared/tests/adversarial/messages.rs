//! A client that is shown anything but an honest round leaves, and never gives two answers.

use choir_shared::entropy::InsecureSeededEntropy;
use choir_shared::ids::{ClientIndex, Digest, PublicKey};
use choir_shared::messages::{AggregatorMessage, Receipt};
use choir_shared::policy::{Policy, PolicyError};
use choir_shared::round::{ClientFault, ClientRound, JoinError, JoinSetup, LeaveReason, PhaseName};
use choir_shared::secure_sum::Header;
use choir_shared::sim;
use choir_shared::task::TaskConfig;
use choir_shared::update::FrozenUpdate;
use choir_shared::wire;
use ed25519_dalek::SigningKey;

use crate::table::{Table, assert_leaves};

fn roster(change: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>)) -> impl FnOnce(&mut AggregatorMessage) {
    move |message| {
        let AggregatorMessage::Roster { header, roster } = message else {
            panic!("ROSTER")
        };
        change(header, roster);
    }
}

#[test]
fn a_roster_that_is_not_the_agreed_one_is_left() {
    let phase = PhaseName::ShareKeys;
    assert_leaves(
        phase,
        ClientFault::CohortSize,
        roster(|_, roster| roster.truncate(192)),
    );
    assert_leaves(
        phase,
        ClientFault::CohortSize,
        roster(|_, roster| roster.truncate(100)),
    );
    assert_leaves(
        phase,
        ClientFault::Header,
        roster(|_, roster| roster.truncate(4 * 96)),
    );
    // Client 0 is first; its place goes to a stranger.
    assert_leaves(
        phase,
        ClientFault::NotInRoster,
        roster(|_, roster| {
            let stranger = SigningKey::from_bytes(&[7; 32]).verifying_key();
            roster[..32].copy_from_slice(stranger.as_bytes());
        }),
    );
    assert_leaves(
        phase,
        ClientFault::RosterKeys,
        roster(|_, roster| {
            let copied: Vec<u8> = roster[96..192].to_vec();
            roster[192..288].copy_from_slice(&copied);
        }),
    );
    for key in [PublicKey([0; 32]), PublicKey([0xff; 32])] {
        for place in [96, 128, 160] {
            assert_leaves(
                phase,
                ClientFault::RosterKeys,
                roster(|_, roster| {
                    roster[place..place + 32].copy_from_slice(&key.0);
                }),
            );
        }
    }
}

#[test]
fn a_header_that_lowers_anything_is_left() {
    let lowered: [fn(&mut Header); 13] = [
        |header| header.n_floor = 2,
        |header| header.g = 0,
        |header| header.q -= 1,
        |header| header.t -= 1,
        |header| header.m -= 1,
        |header| header.suite = 9,
        |header| header.dp.noise_multiplier = 0.5,
        |header| header.dp.clip = 9.0,
        |header| header.dp.honest = 1,
        |header| header.r -= 1,
        |header| header.quantiser.levels = 9,
        |header| header.quantiser.weight_max = 9,
        |header| header.model_digest = Digest([0; 32]),
    ];
    for lower in lowered {
        assert_leaves(
            PhaseName::ShareKeys,
            ClientFault::Header,
            roster(|bytes, _| {
                // A header has no version byte; the wire's decoder wants one.
                let versioned = [&[wire::WIRE_VERSION][..], bytes].concat();
                let mut header: Header = wire::decode(&versioned, 1_000).expect("a header");
                lower(&mut header);
                *bytes = header.to_bytes();
            }),
        );
    }
}

#[test]
fn a_task_that_lowers_anything_is_another_task() {
    // The header names what is left of a task; the model's digest is over all of it.
    let task = sim::head_task(60, 3, 6);
    let setup = sim::round_setup(&task);
    let digest = |task: &TaskConfig| task.model_digest(setup.version, setup.adapter);
    let lowered: [fn(&mut TaskConfig); 7] = [
        |task| task.cohort.min_cohort -= 1,
        |task| task.cohort.cohort_size -= 1,
        |task| task.cohort.corrupt_permille -= 1,
        |task| task.cohort.drop_permille -= 1,
        |task| task.dp.noise_multiplier = 0.1,
        |task| task.dp.clip = 0.1,
        |task| task.quantiser.bound *= 2.0,
    ];
    let mut digests: Vec<_> = lowered
        .into_iter()
        .map(|lower| {
            let mut lowered = task.clone();
            lower(&mut lowered);
            digest(&lowered)
        })
        .chain([digest(&task)])
        .collect();
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), 8);
}

#[test]
fn a_policy_that_the_task_falls_below_is_not_joined() {
    let task = sim::head_task(5, 3, 6);
    let setup = sim::round_setup(&task);
    let mut entropy = InsecureSeededEntropy::new(1);
    let demo = Policy::demo();
    for (policy, error) in [
        (Policy::default(), PolicyError::MinCohort),
        (
            Policy {
                corrupt_permille: 101,
                ..demo
            },
            PolicyError::Corrupt,
        ),
        (
            Policy {
                noise_multiplier: 0.5,
                ..demo
            },
            PolicyError::Noise,
        ),
        (
            Policy {
                noise_multiplier: f32::NAN,
                ..demo
            },
            PolicyError::Noise,
        ),
        (Policy { clip: 1.0, ..demo }, PolicyError::Clip),
    ] {
        let update = FrozenUpdate::new(&[0.0; 14], 1, &task, &mut entropy).expect("an update");
        let join = JoinSetup {
            policy,
            task: &task,
            task_id: setup.task_id,
            round_id: setup.round_id,
            version: setup.version,
            adapter: setup.adapter,
        };
        let joined = ClientRound::join(&join, update, &mut entropy);
        assert_eq!(joined.err(), Some(JoinError::Policy(error)));
    }
}

fn deliver(
    change: impl FnOnce(&mut Vec<u8>, &mut Vec<ClientIndex>, &mut Vec<u8>),
) -> impl FnOnce(&mut AggregatorMessage) {
    move |message| {
        let AggregatorMessage::Deliver {
            shared,
            senders,
            boxes,
        } = message
        else {
            panic!("DELIVER")
        };
        change(shared, senders, boxes);
    }
}

#[test]
fn a_delivery_that_does_not_open_is_left() {
    let phase = PhaseName::Collect;
    assert_leaves(
        phase,
        ClientFault::Sharers,
        deliver(|shared, _, _| shared[0] &= !1),
    );
    assert_leaves(
        phase,
        ClientFault::Sharers,
        deliver(|shared, _, _| shared[0] |= 1 << 5),
    );
    assert_leaves(
        phase,
        ClientFault::Sharers,
        deliver(|shared, _, _| shared.push(0)),
    );
    assert_leaves(
        phase,
        ClientFault::Sharers,
        deliver(|_, senders, _| senders[0] = ClientIndex(0)),
    );
    assert_leaves(
        phase,
        ClientFault::Sharers,
        deliver(|shared, senders, boxes| {
            // Two of five shared: below the quorum of four.
            *shared = vec![0b11];
            senders.truncate(1);
            boxes.truncate(80);
        }),
    );
    assert_leaves(
        phase,
        ClientFault::ShareBox,
        deliver(|_, _, boxes| boxes.truncate(79)),
    );
    assert_leaves(
        phase,
        ClientFault::ShareBox,
        deliver(|_, _, boxes| boxes[5] ^= 1),
    );
    assert_leaves(
        phase,
        ClientFault::ShareBox,
        deliver(|_, _, boxes| boxes.rotate_left(80)),
    );
}

#[test]
fn a_receipt_of_something_else_is_left() {
    let changes: [fn(&mut Receipt); 4] = [
        |receipt| receipt.round.0[0] ^= 1,
        |receipt| receipt.version.0 += 1,
        |receipt| receipt.clients += 1,
        |receipt| receipt.survivors -= 1,
    ];
    for change in changes {
        let (mut table, pending) = Table::at(PhaseName::Unmask, 5);
        table.give_all(&pending);
        let (client, message) = table.inbox.remove(0);
        let AggregatorMessage::Done { mut receipt } = message else {
            panic!("DONE")
        };
        change(&mut receipt);
        table.tell(client, AggregatorMessage::Done { receipt });
        assert_eq!(
            table.left[client],
            Some(LeaveReason::Fault(ClientFault::Receipt))
        );
    }
}

#[test]
fn a_message_before_its_turn_is_left() {
    let (mut table, _) = Table::new(5);
    let survivors = AggregatorMessage::Survivors {
        survivors: vec![0b11111],
    };
    assert_eq!(table.tell(0, survivors), []);
    assert_eq!(
        table.left[0],
        Some(LeaveReason::Fault(ClientFault::OutOfOrder))
    );
}

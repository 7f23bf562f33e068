//! Each kind of bad message has its own code and leaves the round as it was.

use choir_shared::ids::{ClientIndex, Digest, PublicKey, RoundId, SignatureBytes, Version};
use choir_shared::messages::{AggregatorMessage, ClientMessage, Upload};
use choir_shared::reject::RejectCode;
use choir_shared::round::{ClientEvent, LeaveReason, PhaseName};
use choir_shared::wire::{self, limits};

#[path = "support/table.rs"]
mod table;

use table::{Out, Table};

const PHASES: [PhaseName; 5] = [
    PhaseName::Enroll,
    PhaseName::ShareKeys,
    PhaseName::Collect,
    PhaseName::Confirm,
    PhaseName::Unmask,
];

/// Every phase with the first answer that it waits for.
fn each_phase(mut check: impl FnMut(&mut Table, usize, Out)) {
    for phase in PHASES {
        let (mut table, pending) = Table::at(phase, 4);
        let (client, out) = pending[0].clone();
        check(&mut table, client, out.clone());
        assert_eq!(
            table.give(client, &out),
            Ok(()),
            "{phase}: the good message is still taken"
        );
    }
}

fn with_bytes(out: &Out, change: impl FnOnce(&mut Vec<u8>)) -> Out {
    let mut out = out.clone();
    let (Out::Socket(bytes) | Out::Upload(bytes)) = &mut out;
    change(bytes);
    out
}

fn message(out: &Out) -> ClientMessage {
    wire::decode(out.bytes(), limits::CLIENT_MESSAGE).expect("a client's message decodes")
}

fn socket(message: &ClientMessage) -> Out {
    Out::Socket(wire::encode(message))
}

fn changed_upload(out: &Out, change: impl FnOnce(&mut Upload<'_>)) -> Out {
    let mut upload: Upload<'_> =
        wire::decode(out.bytes(), out.bytes().len()).expect("an upload decodes");
    change(&mut upload);
    Out::Upload(wire::encode(&upload))
}

#[test]
fn an_oversized_message_is_refused() {
    each_phase(|table, client, out| {
        let big = with_bytes(&out, |bytes| bytes.resize(limits::CLIENT_MESSAGE + 1, 0));
        table.assert_refused(client, &big, RejectCode::TooLarge);
    });
}

#[test]
fn a_truncated_message_is_refused() {
    each_phase(|table, client, out| {
        for keep in [0, 1, 2, out.bytes().len() / 2, out.bytes().len() - 1] {
            let short = with_bytes(&out, |bytes| bytes.truncate(keep));
            table.assert_refused(client, &short, RejectCode::Truncated);
        }
    });
}

#[test]
fn bytes_after_a_message_are_refused() {
    each_phase(|table, client, out| {
        // Words take 4 bytes, so an upload with one more still fits its limit.
        let long = with_bytes(&out, |bytes| bytes.push(0));
        table.assert_refused(client, &long, RejectCode::TrailingBytes);
    });
}

#[test]
fn another_wire_version_is_refused() {
    each_phase(|table, client, out| {
        let other = with_bytes(&out, |bytes| bytes[0] = 2);
        table.assert_refused(client, &other, RejectCode::WireVersion);
    });
}

#[test]
fn a_malformed_message_is_refused() {
    let (mut table, pending) = Table::at(PhaseName::ShareKeys, 4);
    let unknown_variant = with_bytes(&pending[0].1, |bytes| bytes[1] = 99);
    table.assert_refused(0, &unknown_variant, RejectCode::Malformed);
}

#[test]
fn a_message_of_another_round_is_refused() {
    each_phase(|table, client, out| {
        let other = match &out {
            Out::Socket(_) => {
                // The round's id follows the version byte and the variant.
                with_bytes(&out, |bytes| bytes[2..18].fill(9))
            }
            Out::Upload(_) => changed_upload(&out, |upload| upload.round = RoundId([9; 16])),
        };
        table.assert_refused(client, &other, RejectCode::WrongRound);
    });
}

#[test]
fn a_message_of_a_later_phase_is_refused() {
    let later: Vec<(usize, Out)> = PHASES[1..]
        .iter()
        .map(|&phase| Table::at(phase, 4).1[0].clone())
        .collect();
    for (place, phase) in PHASES[..4].iter().enumerate() {
        let (mut table, pending) = Table::at(*phase, 4);
        if *phase == PhaseName::Enroll {
            table.give(0, &pending[0].1).expect("JOIN");
        }
        for (client, out) in &later[place..] {
            table.assert_refused(*client, out, RejectCode::WrongPhase);
        }
    }
}

#[test]
fn a_join_after_the_lobby_is_refused() {
    let (_, joins) = Table::new(4);
    for phase in &PHASES[1..] {
        let (mut table, _) = Table::at(*phase, 4);
        table.assert_refused(0, &joins[0].1, RejectCode::WrongPhase);
    }
}

#[test]
fn a_repeated_message_is_refused() {
    for phase in PHASES {
        let (mut table, pending) = Table::at(phase, 4);
        let (client, out) = pending[0].clone();
        table.give(client, &out).expect("the first is taken");
        table.assert_refused(client, &out, RejectCode::Duplicate);
    }
}

#[test]
fn a_repeated_message_of_a_past_phase_is_refused() {
    let (_, shares) = Table::at(PhaseName::ShareKeys, 4);
    let (_, uploads) = Table::at(PhaseName::Collect, 4);
    for phase in [PhaseName::Collect, PhaseName::Confirm, PhaseName::Unmask] {
        let (mut table, _) = Table::at(phase, 4);
        table.assert_refused(0, &shares[0].1, RejectCode::Duplicate);
        if phase != PhaseName::Collect {
            table.assert_refused(0, &uploads[0].1, RejectCode::Duplicate);
        }
    }
}

#[test]
fn a_message_after_its_deadline_is_refused() {
    for phase in [PhaseName::ShareKeys, PhaseName::Collect, PhaseName::Confirm] {
        let (mut table, pending) = Table::at(phase, 4);
        table.give_all(&pending[..3]);
        table.now = table.round.deadline().expect("a deadline");
        table.event(choir_shared::round::Event::Tick);
        assert!(table.round.phase() > phase);
        let (client, out) = &pending[3];
        table.assert_refused(*client, out, RejectCode::Late);
    }
}

#[test]
fn a_message_after_the_abort_is_refused() {
    for phase in PHASES {
        let (mut table, pending) = Table::at(phase, 4);
        table.event(choir_shared::round::Event::Stop);
        table.assert_refused(0, &pending[0].1, RejectCode::RoundAborted);
    }
}

#[test]
fn a_vector_or_list_of_another_length_is_refused() {
    let (mut table, pending) = Table::at(PhaseName::Collect, 4);
    let short = changed_upload(&pending[1].1, |upload| upload.words = &upload.words[4..]);
    let ragged = changed_upload(&pending[1].1, |upload| upload.words = &upload.words[1..]);
    table.assert_refused(1, &short, RejectCode::WrongLength);
    table.assert_refused(1, &ragged, RejectCode::WrongLength);

    let (mut table, pending) = Table::at(PhaseName::ShareKeys, 4);
    let ClientMessage::Share {
        round,
        mut out_list,
        commitment_b,
        commitment_s,
        mut boxes,
    } = message(&pending[0].1)
    else {
        panic!("SHARE")
    };
    boxes.pop();
    let share = ClientMessage::Share {
        round,
        out_list: out_list.clone(),
        commitment_b,
        commitment_s,
        boxes: boxes.clone(),
    };
    table.assert_refused(0, &socket(&share), RejectCode::WrongLength);
    boxes.push(0);
    out_list[0] = ClientIndex(0);
    let share = ClientMessage::Share {
        round,
        out_list,
        commitment_b,
        commitment_s,
        boxes,
    };
    table.assert_refused(0, &socket(&share), RejectCode::WrongNeighbours);

    let (mut table, pending) = Table::at(PhaseName::Unmask, 4);
    let ClientMessage::Open { round, mut shares } = message(&pending[0].1) else {
        panic!("OPEN")
    };
    shares.truncate(64);
    let open = ClientMessage::Open {
        round,
        shares: shares.clone(),
    };
    table.assert_refused(0, &socket(&open), RejectCode::WrongLength);
    shares.extend([0xff; 32]);
    let open = ClientMessage::Open { round, shares };
    table.assert_refused(0, &socket(&open), RejectCode::BadShare);
}

#[test]
fn an_unknown_client_is_refused() {
    for phase in &PHASES[1..] {
        let (mut table, pending) = Table::at(*phase, 4);
        let out = &pending[0].1;
        match out {
            Out::Socket(bytes) => {
                let before = table.round.clone();
                let stranger = choir_shared::ids::ConnectionId(99);
                let refused = table.round.handle_message(stranger, bytes, table.now);
                assert_eq!(
                    refused.map_err(|reject| reject.code),
                    Err(RejectCode::UnknownClient)
                );
                assert!(table.round == before);
            }
            Out::Upload(_) => {
                let beyond = changed_upload(out, |upload| upload.index = ClientIndex(4));
                table.assert_refused(0, &beyond, RejectCode::UnknownClient);
            }
        }
    }
    let (mut table, pending) = Table::at(PhaseName::Confirm, 4);
    // On the connection of another client.
    table.assert_refused(1, &pending[0].1, RejectCode::UnknownClient);
}

#[test]
fn a_wrong_signature_is_refused() {
    let (mut table, pending) = Table::at(PhaseName::Collect, 4);
    let forged = changed_upload(&pending[0].1, |upload| upload.signature.0[0] ^= 1);
    table.assert_refused(0, &forged, RejectCode::BadSignature);
    let for_another = changed_upload(&pending[0].1, |upload| upload.index = ClientIndex(1));
    table.assert_refused(0, &for_another, RejectCode::BadSignature);

    let (mut table, pending) = Table::at(PhaseName::Confirm, 4);
    let ClientMessage::Ack { round, index, .. } = message(&pending[0].1) else {
        panic!("ACK")
    };
    let ack = ClientMessage::Ack {
        round,
        index,
        signature: SignatureBytes([0; 64]),
    };
    table.assert_refused(0, &socket(&ack), RejectCode::BadSignature);
}

#[test]
fn a_join_with_another_version_or_model_is_refused() {
    let (mut table, joins) = Table::new(4);
    let ClientMessage::Join {
        round,
        signing_key,
        channel_key,
        mask_key,
        model_digest,
        ..
    } = message(&joins[0].1)
    else {
        panic!("JOIN")
    };
    let version = Version(7);
    let join = |version, model_digest, mask_key| {
        socket(&ClientMessage::Join {
            round,
            version,
            signing_key,
            channel_key,
            mask_key,
            model_digest,
            token: Vec::new(),
        })
    };
    let stale = join(version, model_digest, mask_key);
    table.assert_refused(0, &stale, RejectCode::StaleVersion);
    let refused = table
        .round
        .handle_message(table.link(0), stale.bytes(), table.now);
    assert_eq!(refused.expect_err("stale").version, Some(Version(0)));
    let other = join(Version(0), Digest([1; 32]), mask_key);
    table.assert_refused(0, &other, RejectCode::WrongModel);
    for bad in [
        // Of small order, not canonical, and equal to another.
        PublicKey([0; 32]),
        PublicKey([0xff; 32]),
        channel_key,
    ] {
        table.assert_refused(0, &join(Version(0), model_digest, bad), RejectCode::BadKey);
    }
    table.give(0, &joins[0].1).expect("JOIN");
    let ClientMessage::Join {
        mask_key: taken, ..
    } = message(&joins[0].1)
    else {
        panic!("JOIN")
    };
    let ClientMessage::Join {
        signing_key,
        channel_key,
        ..
    } = message(&joins[1].1)
    else {
        panic!("JOIN")
    };
    let copied = ClientMessage::Join {
        round,
        version: Version(0),
        signing_key,
        channel_key,
        mask_key: taken,
        model_digest,
        token: Vec::new(),
    };
    table.assert_refused(1, &socket(&copied), RejectCode::BadKey);
}

#[test]
fn a_stale_client_is_told_the_current_version_and_leaves() {
    let (mut table, _) = Table::new(4);
    let refused = AggregatorMessage::Refused {
        code: RejectCode::StaleVersion,
        version: Some(Version(3)),
    };
    table.tell(0, refused);
    let reason = LeaveReason::StaleVersion(Version(3));
    assert_eq!(table.left[0], Some(reason));
    assert!(reason.may_retrain() && table.clients[0].is_over());
    let after = table.clients[0].handle(ClientEvent::Reconnected, &mut table.entropy);
    assert!(after.is_empty(), "the keys and the update are gone");
}

#[test]
fn a_replayed_or_forged_resumption_is_refused() {
    let (mut table, pending) = Table::at(PhaseName::ShareKeys, 4);
    let resume = table.relink(0);
    let forged = with_bytes(&resume[0].1, |bytes| {
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
    });
    table.assert_refused(0, &forged, RejectCode::BadSignature);
    table.give(0, &resume[0].1).expect("RESUME");
    table.assert_refused(0, &resume[0].1, RejectCode::Replay);
    assert_eq!(table.give(1, &resume[0].1), Err(RejectCode::Duplicate));
    // ROSTER came again; the answer is the same to the byte.
    assert_eq!(table.answers(), pending[..1]);
}

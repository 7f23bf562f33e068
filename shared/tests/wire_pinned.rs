//! The bytes of every message, how wrong bytes are told apart, and that everything fits its limit.

use choir_shared::control::{
    CreateTask, RoundCounts, RoundStatus, RoundSummary, SiteStatus, SuccessorRequest, TaskState,
    TaskStatus,
};
use choir_shared::ids::{
    ClientIndex, Digest, PublicKey, RoundId, SignatureBytes, TaskId, Timestamp, Version, to_hex,
};
use choir_shared::messages::{AbortReason, AggregatorMessage, ClientMessage, Receipt, Upload};
use choir_shared::reject::RejectCode;
use choir_shared::round::PhaseName;
use choir_shared::sim;
use choir_shared::task::TaskConfig;
use choir_shared::wire::{self, WireError, limits};

fn task() -> TaskConfig {
    sim::head_task(4, 3, 8)
}

fn receipt() -> Receipt {
    Receipt {
        round: RoundId([2; 16]),
        version: Version(1),
        sum: Digest([3; 32]),
        total_weight: 300,
        clients: 4,
        survivors: 3,
    }
}

fn client_messages() -> Vec<(ClientMessage, String)> {
    let (round, r) = (RoundId([2; 16]), "02".repeat(16));
    let of = |byte: &str| byte.repeat(32);
    vec![
        (
            ClientMessage::Join {
                round,
                version: Version(300),
                signing_key: PublicKey([4; 32]),
                channel_key: PublicKey([5; 32]),
                mask_key: PublicKey([6; 32]),
                model_digest: Digest([7; 32]),
                token: vec![12, 13],
            },
            format!(
                "0100{r}ac02{}{}{}{}020c0d",
                of("04"),
                of("05"),
                of("06"),
                of("07")
            ),
        ),
        (
            ClientMessage::Share {
                round,
                out_list: vec![ClientIndex(1), ClientIndex(2)],
                commitment_b: Digest([8; 32]),
                commitment_s: Digest([9; 32]),
                boxes: vec![10, 11],
            },
            format!("0101{r}020102{}{}020a0b", of("08"), of("09")),
        ),
        (
            ClientMessage::Ack {
                round,
                index: ClientIndex(1),
                signature: SignatureBytes([12; 64]),
            },
            format!("0102{r}01{}", "0c".repeat(64)),
        ),
        (
            ClientMessage::Open {
                round,
                shares: vec![13; 3],
            },
            format!("0103{r}030d0d0d"),
        ),
        (
            ClientMessage::Resume {
                round,
                index: ClientIndex(1),
                counter: 2,
                signature: SignatureBytes([14; 64]),
            },
            format!("0104{r}0102{}", "0e".repeat(64)),
        ),
        (ClientMessage::Leave { round }, format!("0105{r}")),
    ]
}

fn aggregator_messages() -> Vec<(AggregatorMessage, String)> {
    let r = "02".repeat(16);
    vec![
        (
            AggregatorMessage::Lobby {
                joined: 1,
                cohort_size: 4,
                min_cohort: 3,
                deadline: Some(Timestamp(128)),
            },
            "0100010403018001".into(),
        ),
        (
            AggregatorMessage::Roster {
                header: vec![1],
                roster: vec![2, 3],
            },
            "01010101020203".into(),
        ),
        (
            AggregatorMessage::Deliver {
                shared: vec![7],
                senders: vec![ClientIndex(1)],
                boxes: vec![9],
            },
            "01020107010101 09".replace(' ', ""),
        ),
        (
            AggregatorMessage::Survivors { survivors: vec![5] },
            "01030105".into(),
        ),
        (
            AggregatorMessage::Acks {
                signers: vec![3],
                signatures: vec![6, 6],
            },
            "01040103020606".into(),
        ),
        (
            AggregatorMessage::Done { receipt: receipt() },
            format!("0105{r}01{}ac020403", "03".repeat(32)),
        ),
        (
            AggregatorMessage::Aborted {
                reason: AbortReason::TooFewAcks,
            },
            "010602".into(),
        ),
        (
            AggregatorMessage::Refused {
                code: RejectCode::StaleVersion,
                version: Some(Version(2)),
            },
            "01070b0102".into(),
        ),
    ]
}

#[test]
fn the_bytes_of_every_message_are_pinned() {
    for (message, hex) in client_messages() {
        let bytes = wire::encode(&message);
        assert_eq!(to_hex(&bytes), hex);
        assert_eq!(wire::decode(&bytes, limits::CLIENT_MESSAGE), Ok(message));
    }
    for (message, hex) in aggregator_messages() {
        let bytes = wire::encode(&message);
        assert_eq!(to_hex(&bytes), hex);
        assert_eq!(
            wire::decode(&bytes, limits::AGGREGATOR_MESSAGE),
            Ok(message)
        );
    }
    let upload = Upload {
        round: RoundId([2; 16]),
        index: ClientIndex(3),
        signature: SignatureBytes([4; 64]),
        words: &[1, 0, 0, 0],
    };
    let bytes = wire::encode(&upload);
    assert_eq!(
        to_hex(&bytes),
        format!("01{}03{}0401000000", "02".repeat(16), "04".repeat(64))
    );
    let decoded: Upload<'_> = wire::decode(&bytes, limits::upload(4)).expect("an upload");
    assert_eq!(decoded, upload);
    let place = decoded.words.as_ptr() as usize - bytes.as_ptr() as usize;
    assert_eq!(place, bytes.len() - 4, "the words are not copied");
}

#[test]
fn every_way_in_which_bytes_can_be_wrong_is_told_apart() {
    let bytes = wire::encode(&SiteStatus {
        task: Some(TaskId([1; 16])),
    });
    let decode = |bytes: &[u8]| wire::decode::<SiteStatus>(bytes, 32).err();
    assert_eq!(decode(&bytes), None);
    assert_eq!(decode(&[0; 33]), Some(WireError::TooLarge));
    assert_eq!(decode(&bytes[..9]), Some(WireError::Truncated));
    assert_eq!(decode(&[]), Some(WireError::Truncated));
    assert_eq!(
        decode(&[&bytes[..], &[0]].concat()),
        Some(WireError::TrailingBytes)
    );
    assert_eq!(decode(&[2, 0]), Some(WireError::WireVersion(2)));
    assert_eq!(decode(&[1, 7]), Some(WireError::Malformed));
}

#[test]
fn statuses_come_back_and_fit_their_limits() {
    let summary = RoundSummary {
        round: RoundId([255; 16]),
        version_before: Version(u32::MAX),
        clients: u16::MAX,
        survivors: u16::MAX,
        dropped: u16::MAX,
        sum: Digest([255; 32]),
        adapter: Digest([255; 32]),
        closed_at: Timestamp(u64::MAX),
        bytes_up: u64::MAX,
        bytes_down: u64::MAX,
    };
    let status = TaskStatus {
        config: task(),
        version: Version(u32::MAX),
        adapter: Digest([1; 32]),
        round: Some(RoundId([2; 16])),
        state: TaskState::Running,
        rounds_left: u32::MAX,
        successor: Some(TaskId([3; 16])),
        history: vec![summary; limits::MAX_HISTORY],
    };
    let bytes = wire::encode(&status);
    assert!(
        bytes.len() - wire::encode(&status.config).len()
            < limits::TASK_STATUS - limits::TASK_CONFIG
    );
    assert_eq!(
        wire::decode(&bytes, limits::TASK_STATUS),
        Ok(status.clone())
    );
    let json = serde_json::to_value(&status).expect("JSON");
    assert_eq!(json["state"], "running");

    let create = CreateTask {
        task_id: TaskId([1; 16]),
        config: task(),
        adapter: Digest([2; 32]),
        rounds: 9,
    };
    let bytes = wire::encode(&create);
    assert_eq!(wire::decode(&bytes, limits::OPERATOR_REQUEST), Ok(create));
    let successor = SuccessorRequest {
        task: TaskId([4; 16]),
    };
    assert_eq!(
        wire::decode(&wire::encode(&successor), limits::SMALL_STATUS),
        Ok(successor)
    );
    let round = RoundStatus {
        round: RoundId([255; 16]),
        task: TaskId([255; 16]),
        version: Version(u32::MAX),
        phase: PhaseName::Aborted,
        counts: RoundCounts {
            joined: u16::MAX,
            ..RoundCounts::default()
        },
        deadline: Some(Timestamp(u64::MAX)),
        abort_reason: Some(AbortReason::Stopped),
    };
    let bytes = wire::encode(&round);
    assert_eq!(wire::decode(&bytes, limits::SMALL_STATUS), Ok(round));
}

#[test]
fn the_largest_messages_fit_their_limits() {
    let share = ClientMessage::Share {
        round: RoundId([255; 16]),
        out_list: (1..1_000).map(ClientIndex).collect(),
        commitment_b: Digest([255; 32]),
        commitment_s: Digest([255; 32]),
        boxes: vec![255; 999 * limits::BOX_BYTES],
    };
    assert!(wire::encode(&share).len() <= limits::CLIENT_MESSAGE);
    let roster = AggregatorMessage::Roster {
        header: vec![0; 160],
        roster: vec![0; 1_000 * (96 + 256)],
    };
    assert!(wire::encode(&roster).len() <= limits::AGGREGATOR_MESSAGE);
    let mut task = task();
    task.name = "x".repeat(256);
    task.labels = (0..1_024).map(|at| format!("{at:0256}")).collect();
    assert_eq!(task.check(), Ok(()));
    assert!(wire::encode(&task).len() <= limits::TASK_CONFIG);
    let words = vec![255; 4 * 100_000];
    let upload = Upload {
        round: RoundId([255; 16]),
        index: ClientIndex(u16::MAX),
        signature: SignatureBytes([255; 64]),
        words: &words,
    };
    assert!(wire::encode(&upload).len() <= limits::upload(400_000));
}

#[test]
fn every_code_has_its_own_number_and_name() {
    let mut numbers: Vec<u16> = RejectCode::ALL.iter().map(|code| code.code()).collect();
    let mut names: Vec<&str> = RejectCode::ALL.iter().map(|code| code.as_str()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    names.sort_unstable();
    names.dedup();
    assert_eq!(
        (numbers.len(), names.len()),
        (RejectCode::ALL.len(), RejectCode::ALL.len())
    );
    for code in RejectCode::ALL {
        let json = serde_json::to_string(code).expect("JSON");
        assert_eq!(json, format!("\"{}\"", code.as_str()));
    }
}

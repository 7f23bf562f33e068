//! What the leader refuses of clients and of the helper.

use crate::stage::{NOW, Stage, answer, answered, report_of, round};
use choir_shared::ids::{ReportId, RoundId};
use choir_shared::reject::RejectCode;
use choir_shared::round::RoundSetup;
use choir_shared::two_aggregators::helper::MemoryLog;
use choir_shared::two_aggregators::{BatchAnswer, BatchRefusal, BatchReply, LeaderFault, Report};
use choir_shared::wire;
#[test]
fn the_leader_refuses_each_bad_report_with_its_own_code() {
    let mut stage = Stage::with(1);
    let (report, _) = report_of(&round(), 7);
    let good: Report<'_> = wire::decode(report.bytes(), 1 << 20).expect("a report");
    let other_round = RoundSetup {
        round_id: RoundId([8; 16]),
        ..round()
    };
    let (elsewhere, _) = report_of(&other_round, 8);
    let elsewhere: Report<'_> = wire::decode(elsewhere.bytes(), 1 << 20).expect("a report");
    let short = &good.words[1..];
    for (report, code) in [
        (elsewhere, RejectCode::WrongRound),
        (
            Report {
                round: good.round,
                ..elsewhere
            },
            RejectCode::WrongModel,
        ),
        (
            Report {
                words: short,
                ..good
            },
            RejectCode::WrongLength,
        ),
    ] {
        let refused = stage.leader.report(&wire::encode(&report), NOW);
        assert_eq!(refused.map_err(|reject| reject.code), Err(code));
    }
    let bytes = report.bytes();
    for (bytes, code) in [
        (&bytes[..bytes.len() - 1], RejectCode::Truncated),
        (&[bytes, &[0]].concat(), RejectCode::TrailingBytes),
        (&[&[9], &bytes[1..]].concat(), RejectCode::WireVersion),
    ] {
        let refused = stage.leader.report(bytes, NOW);
        assert_eq!(refused.map_err(|reject| reject.code), Err(code));
    }
    stage.take(bytes);
    let again = stage.leader.report(bytes, NOW);
    assert_eq!(
        again.map_err(|reject| reject.code),
        Err(RejectCode::Duplicate)
    );
    for client in 8..12 {
        stage.take(report_of(&round(), client).0.bytes());
    }
    // The batch is closed: a report sent again is still told to be there, a new one is late.
    let again = stage.leader.report(bytes, NOW);
    assert_eq!(
        again.map_err(|reject| reject.code),
        Err(RejectCode::Duplicate)
    );
    let late = stage.leader.report(report_of(&round(), 13).0.bytes(), NOW);
    assert_eq!(late.map_err(|reject| reject.code), Err(RejectCode::Late));
}

#[test]
fn the_leader_takes_no_reply_that_is_not_to_its_batch() {
    let stage = Stage::with(6);
    let reply = answer(&stage.request(), &mut MemoryLog::default()).expect("an answer");
    let good = answered(&reply);
    let ids: Vec<ReportId> = stage.kept.keys().copied().collect();
    let replied = |answer: BatchAnswer| {
        let reply = wire::encode(&BatchReply::Answer(answer));
        stage.leader.replied(&reply).err()
    };
    let with = |change: &dyn Fn(&mut BatchAnswer)| {
        let mut answer = good.clone();
        change(&mut answer);
        replied(answer)
    };
    assert_eq!(
        with(&|answer| answer.batch.0[0] ^= 1),
        Some(LeaderFault::OtherBatch)
    );
    assert_eq!(
        with(&|answer| answer.masks.truncate(3)),
        Some(LeaderFault::Masks)
    );
    assert_eq!(
        with(&|answer| answer.left_out = vec![ReportId([9; 16])]),
        Some(LeaderFault::LeftOut)
    );
    assert_eq!(
        with(&|answer| answer.left_out = vec![ids[0]; 2]),
        Some(LeaderFault::LeftOut)
    );
    assert_eq!(
        with(&|answer| answer.left_out = ids[..4].to_vec()),
        Some(LeaderFault::LeftOut)
    );
    let refused = wire::encode(&BatchReply::Refused(BatchRefusal::Header));
    assert_eq!(
        stage.leader.replied(&refused).err(),
        Some(LeaderFault::Refused(BatchRefusal::Header))
    );
    assert!(matches!(
        stage.leader.replied(&[1, 7]).err(),
        Some(LeaderFault::Wire(_))
    ));
    let open = Stage::with(2);
    assert_eq!(
        open.leader.replied(&reply).err(),
        Some(LeaderFault::OtherBatch)
    );
}

//! What comes out of a batch: the sum of the plain updates of those whose seed opened.

use crate::stage::{NOW, Stage, answer, answered, report_of, round, secret, task};
use choir_shared::entropy::{Entropy, InsecureSeededEntropy};
use choir_shared::ids::{Digest, PublicKey, SealedSeed, Version};
use choir_shared::messages::AbortReason;
use choir_shared::two_aggregators::helper::MemoryLog;
use choir_shared::two_aggregators::leader::SumError;
use choir_shared::two_aggregators::{Leader, LeaderEffect, Report, ReportHeader, seed};
use choir_shared::wire;
use std::collections::BTreeMap;
#[test]
fn the_sum_is_that_of_the_plain_updates_and_whoever_left_after_reporting_is_in_it() {
    // No client is spoken to after its report: all of them have left by now.
    let stage = Stage::with(6);
    assert_eq!(stage.effects.last(), Some(&LeaderEffect::Ask));
    let reply = answer(&stage.request(), &mut MemoryLog::default()).expect("an answer");
    let outcome = stage.sum(&reply).expect("a sum");
    assert_eq!(outcome.sum, stage.plain_sum(&[]));
    assert_eq!((outcome.clients, outcome.survivors.len()), (6, 6));
    assert_eq!(outcome.receipt.version, Version(4));
    assert_eq!(outcome.total_weight, (5..11).sum::<u32>());
}

#[test]
fn a_client_that_never_reports_is_not_waited_for_beyond_the_deadline() {
    let mut stage = Stage::with(4);
    assert!(!stage.effects.contains(&LeaderEffect::Ask));
    assert_eq!(stage.leader.tick(NOW), None);
    assert_eq!(stage.late(), Some(LeaderEffect::Ask));
    let reply = answer(&stage.request(), &mut MemoryLog::default()).expect("an answer");
    assert_eq!(stage.sum(&reply).expect("a sum").sum, stage.plain_sum(&[]));
}

#[test]
fn below_the_minimum_the_leader_waits_and_then_closes_with_the_next_report() {
    let mut stage = Stage::with(2);
    assert_eq!(stage.late(), None);
    let (report, _) = report_of(&round(), 7);
    let late = NOW.after(task().deadlines.enroll_ms + 1);
    let effects = stage.leader.report(report.bytes(), late).expect("is taken");
    assert_eq!(effects.last(), Some(&LeaderEffect::Ask));
}

#[test]
fn a_report_that_does_not_open_is_named_and_left_out_of_the_sum() {
    let mut stage = Stage::with(5);
    // The sixth client seals its seed to somebody else.
    let (stranger, _) = report_of(&round(), 5);
    let report: Report<'_> = wire::decode(stranger.bytes(), 1 << 20).expect("a report");
    let sealed = seed::seal(
        &PublicKey([9; 32]),
        seed::REPORT_INFO,
        b"",
        &[7; 32],
        &mut InsecureSeededEntropy::new(99),
    );
    let seed = SealedSeed(sealed.expect("a seal").try_into().expect("80 bytes"));
    stage.take(&wire::encode(&Report { seed, ..report }));
    let reply = answer(&stage.request(), &mut MemoryLog::default()).expect("five are enough");
    assert_eq!(answered(&reply).left_out, [report.id]);
    let outcome = stage.sum(&reply).expect("a sum");
    assert_eq!(outcome.sum, stage.plain_sum(&[]));
    assert_eq!(
        (outcome.clients, outcome.survivors.len(), outcome.dropped),
        (6, 5, 1)
    );
}

#[test]
fn a_vector_of_garbage_is_noticed_by_the_range_check() {
    let mut stage = Stage::with(5);
    let (report, _) = report_of(&round(), 5);
    let good: Report<'_> = wire::decode(report.bytes(), 1 << 20).expect("a report");
    let mut entropy = InsecureSeededEntropy::new(77);
    let mut words = good.words.to_vec();
    entropy.fill(&mut words);
    // An honest seal over the digest of garbage: nothing but the range tells.
    let header: ReportHeader = {
        let setup = round();
        let model = setup.task.model_digest(setup.version, setup.adapter);
        let header = ReportHeader::new(&setup.task, setup.task_id, setup.round_id, model);
        header.expect("a layout").expect("two aggregators")
    };
    let bound = [
        &header.context().as_bytes()[..],
        &good.id.0,
        &Digest::of(&words).0,
    ]
    .concat();
    let sealed = seed::seal(
        &secret().public(),
        seed::REPORT_INFO,
        &bound,
        &[7; 32],
        &mut entropy,
    );
    let seed = SealedSeed(sealed.expect("a seal").try_into().expect("80 bytes"));
    stage.take(&wire::encode(&Report {
        seed,
        words: &words,
        ..good
    }));
    let reply = answer(&stage.request(), &mut MemoryLog::default()).expect("an answer");
    assert_eq!(answered(&reply).left_out, []);
    assert_eq!(stage.sum(&reply), Err(AbortReason::SumOutOfRange));
}

#[test]
fn a_vector_that_was_changed_after_its_report_is_not_added() {
    let stage = Stage::with(6);
    let reply = answer(&stage.request(), &mut MemoryLog::default()).expect("an answer");
    let mut sum = stage.leader.replied(&reply).expect("an answer");
    let ids = sum.wanted();
    let mut other = stage.kept[&ids[0]].clone();
    other[0] ^= 1;
    assert_eq!(sum.add(ids[0], &other), Err(SumError::OtherVector));
    assert_eq!(sum.add(ids[0], &stage.kept[&ids[0]]), Ok(()));
    assert_eq!(
        sum.add(ids[0], &stage.kept[&ids[0]]),
        Err(SumError::NotWanted)
    );
    assert_eq!(
        sum.finish(),
        Err(AbortReason::NotPublished),
        "five vectors are missing"
    );
}

#[test]
fn a_leader_goes_on_from_what_was_stored() {
    let stage = Stage::with(5);
    let reports = stage
        .effects
        .iter()
        .filter_map(|effect| match effect {
            LeaderEffect::Keep(id, received) => Some((*id, *received)),
            _ => None,
        })
        .collect();
    let bytes = stage.leader.to_bytes();
    let mut leader = Leader::from_parts(&bytes, reports).expect("the stored parts");
    let (last, _) = report_of(&round(), 5);
    let effects = leader.report(last.bytes(), NOW).expect("is taken");
    assert_eq!(effects.last(), Some(&LeaderEffect::Ask));
    assert_eq!(leader.status().counts.joined, 6);
    assert!(Leader::from_parts(&bytes[1..], BTreeMap::new()).is_err());
    leader.stop();
    assert_eq!((leader.batch(), leader.is_asking()), (None, false));
}

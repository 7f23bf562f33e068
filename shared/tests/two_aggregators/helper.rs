//! What the helper refuses, by name, and what it answers again.

use crate::stage::{Stage, answer, answer_bytes, answered, secret, task};
use choir_shared::ids::{Digest, PublicKey, ReportId, RoundId, TaskId};
use choir_shared::task::{Aggregation, TaskConfig};
use choir_shared::two_aggregators::helper::MemoryLog;
use choir_shared::two_aggregators::{
    BatchRefusal, BatchRequest, HelperKey, HelperTask, HelperTaskError, ReportHeader,
};
use choir_shared::wire;
use zeroize::Zeroizing;
#[test]
fn the_helper_refuses_a_batch_below_its_minimum() {
    let stage = Stage::with(6);
    let mut log = MemoryLog::default();
    let mut request = stage.request();
    let all = request.reports.split_off(2);
    let refusal = BatchRefusal::TooFew {
        reports: 2,
        minimum: 3,
    };
    assert_eq!(answer(&request, &mut log), Err(refusal));
    request.reports.clear();
    assert!(matches!(
        answer(&request, &mut log),
        Err(BatchRefusal::TooFew { reports: 0, .. })
    ));
    // What was refused is not used up.
    request.reports = all;
    assert!(answer(&request, &mut log).is_ok());
}

#[test]
fn the_helper_refuses_a_report_that_was_in_an_answered_batch() {
    let stage = Stage::with(6);
    let mut log = MemoryLog::default();
    let mut first = stage.request();
    let rest = first.reports.split_off(3);
    assert!(answer(&first, &mut log).is_ok());
    let used = first.reports[1];
    let second = BatchRequest {
        reports: [&rest[..2], &[used]].concat(),
        ..first.clone()
    };
    assert_eq!(answer(&second, &mut log), Err(BatchRefusal::Used(used.id)));
    // The same reports in another order are another batch.
    first.reports.reverse();
    assert!(matches!(
        answer(&first, &mut log),
        Err(BatchRefusal::Used(_))
    ));
    let disjoint = BatchRequest {
        reports: rest,
        ..first
    };
    assert!(answer(&disjoint, &mut log).is_ok());
}

#[test]
fn the_same_batch_gets_the_same_answer_as_its_first_may_have_been_lost() {
    let stage = Stage::with(6);
    let mut log = MemoryLog::default();
    let first = answer(&stage.request(), &mut log).expect("an answer");
    assert_eq!(answer(&stage.request(), &mut log), Ok(first));
}

#[test]
fn the_helper_refuses_a_report_that_is_in_one_batch_twice() {
    let stage = Stage::with(6);
    let mut request = stage.request();
    request.reports[5] = request.reports[0];
    let id = request.reports[0].id;
    assert_eq!(
        answer(&request, &mut MemoryLog::default()),
        Err(BatchRefusal::Repeated(id))
    );
}

#[test]
fn the_helper_refuses_more_reports_than_a_cohort_and_bytes_that_are_no_batch() {
    let stage = Stage::with(6);
    let mut request = stage.request();
    let mut more = request.reports[0];
    more.id = ReportId([9; 16]);
    request.reports.push(more);
    assert_eq!(
        answer(&request, &mut MemoryLog::default()),
        Err(BatchRefusal::TooMany)
    );
    let good = wire::encode(&stage.request());
    for bytes in [
        &good[..good.len() - 1],
        &[&good[..], &[0]].concat(),
        &[2],
        &[],
    ] {
        assert_eq!(
            answer_bytes(bytes, &mut MemoryLog::default()),
            Err(BatchRefusal::Malformed)
        );
    }
}

#[test]
fn the_helper_takes_no_setting_from_the_leaders_header() {
    let stage = Stage::with(6);
    let request = stage.request();
    let own: ReportHeader = postcard::from_bytes(&request.header).expect("a header");
    let with = |change: &dyn Fn(&mut ReportHeader)| {
        let mut header = own.clone();
        change(&mut header);
        let request = BatchRequest {
            header: header.to_bytes(),
            ..request.clone()
        };
        answer(&request, &mut MemoryLog::default())
    };
    let changes: [&dyn Fn(&mut ReportHeader); 9] = [
        &|header| header.n_floor = 2,
        &|header| header.task_id = TaskId([9; 16]),
        &|header| header.d -= 1,
        &|header| header.r = 16,
        &|header| header.ver = 2,
        &|header| header.suite = 0,
        &|header| header.quantiser.levels = 1,
        &|header| header.quantiser.weight_max = 1,
        &|header| header.dp.noise_multiplier = 1.0,
    ];
    for change in changes {
        assert_eq!(with(change), Err(BatchRefusal::Header));
    }
    let other = HelperKey::new(Zeroizing::new([43; 32])).public();
    assert_eq!(
        with(&|header| header.helper = other),
        Err(BatchRefusal::OtherHelper)
    );
    // Round and model are bound: under others no seed opens.
    let bound: [&dyn Fn(&mut ReportHeader); 2] =
        [&|header| header.round_id = RoundId([8; 16]), &|header| {
            header.model_digest = Digest([8; 32])
        }];
    for change in bound {
        assert!(matches!(with(change), Err(BatchRefusal::TooFewOpened(ids)) if ids.len() == 6));
    }
}

#[test]
fn a_seed_opens_for_its_report_and_its_vector_only() {
    let stage = Stage::with(6);
    let mut request = stage.request();
    let (one, two) = (request.reports[0], request.reports[1]);
    request.reports[0].id = ReportId([9; 16]);
    request.reports[1].vector = one.vector;
    request.reports[2].seed = two.seed;
    let reply = answer(&request, &mut MemoryLog::default()).expect("three are left");
    let changed: Vec<ReportId> = request.reports[..3]
        .iter()
        .map(|report| report.id)
        .collect();
    assert_eq!(answered(&reply).left_out, changed);
}

#[test]
fn when_too_few_seeds_open_there_is_no_sum_and_nothing_is_used_up() {
    let stage = Stage::with(6);
    let mut log = MemoryLog::default();
    let mut request = stage.request();
    for report in &mut request.reports[..4] {
        report.seed.0[79] ^= 1;
    }
    assert!(
        matches!(answer(&request, &mut log), Err(BatchRefusal::TooFewOpened(ids)) if ids.len() == 4)
    );
    assert!(answer(&stage.request(), &mut log).is_ok());
}

#[test]
fn a_task_is_registered_only_with_its_own_helper_and_not_below_its_minimum() {
    let key = secret().public();
    let register = |task: TaskConfig, key: &PublicKey, minimum| {
        HelperTask::new(task, TaskId([1; 16]), key, minimum).err()
    };
    assert_eq!(register(task(), &key, 3), None);
    assert_eq!(
        register(task(), &key, 4),
        Some(HelperTaskError::BelowMinimum(4))
    );
    assert_eq!(
        register(task(), &PublicKey([9; 32]), 3),
        Some(HelperTaskError::OtherHelper)
    );
    let mut one = task();
    one.aggregation = Aggregation::OneAggregator;
    assert_eq!(register(one, &key, 3), Some(HelperTaskError::OtherHelper));
}

/// Two ways to the same function for whatever can be printed: naming it compiles only for types
/// that cannot.
trait NotPrinted<Way> {
    fn is_not_printed() {}
}

impl<T> NotPrinted<()> for T {}
impl<T: core::fmt::Debug> NotPrinted<u8> for T {}

#[test]
fn the_helpers_key_cannot_be_printed() {
    <HelperKey as NotPrinted<_>>::is_not_printed();
}

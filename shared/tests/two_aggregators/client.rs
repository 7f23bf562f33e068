//! Whom a client reports to, and what its report tells.

use crate::stage::{report_of, report_setup, round, secret, task, update};
use choir_shared::entropy::InsecureSeededEntropy;
use choir_shared::ids::PublicKey;
use choir_shared::policy::{Policy, PolicyError};
use choir_shared::round::{ClientRound, JoinError, JoinSetup};
use choir_shared::task::{Aggregation, Helper, TaskError};
use choir_shared::two_aggregators::{Leader, Report, ReportClient, ReportError, ReportSetup};
use choir_shared::wire;
#[test]
fn only_a_page_that_names_the_helper_reports_to_it() {
    let round = round();
    let make = |helpers: &[PublicKey], policy: Policy| {
        let mut entropy = InsecureSeededEntropy::new(1);
        let update = update(1, &mut entropy);
        let setup = ReportSetup {
            policy,
            ..report_setup(&round, helpers)
        };
        ReportClient::new(&setup, update, &mut entropy).err()
    };
    let key = secret().public();
    assert_eq!(make(&[PublicKey([9; 32]), key], Policy::demo()), None);
    let unnamed = Some(ReportError::Policy(PolicyError::Helper));
    assert_eq!(make(&[], Policy::demo()), unnamed);
    assert_eq!(make(&[PublicKey([9; 32])], Policy::demo()), unnamed);
    let floor = Some(ReportError::Policy(PolicyError::MinCohort));
    assert_eq!(make(&[key], Policy::default()), floor);
}

#[test]
fn a_task_of_one_mode_is_not_taken_for_the_other() {
    let mut one = round();
    one.task.aggregation = Aggregation::OneAggregator;
    let mut entropy = InsecureSeededEntropy::new(1);
    let frozen = update(1, &mut entropy);
    let helpers = [secret().public()];
    let report = ReportClient::new(&report_setup(&one, &helpers), frozen, &mut entropy);
    assert_eq!(report.err(), Some(ReportError::OneAggregator));
    assert_eq!(Leader::new(one).err(), Some(TaskError::Helper));
    let two = round();
    let setup = JoinSetup {
        policy: Policy::demo(),
        task: &two.task,
        task_id: two.task_id,
        round_id: two.round_id,
        version: two.version,
        adapter: two.adapter,
    };
    let frozen = update(1, &mut entropy);
    let joined = ClientRound::join(&setup, frozen, &mut entropy);
    assert_eq!(joined.err(), Some(JoinError::Policy(PolicyError::Helper)));
}

#[test]
fn a_helper_without_a_usable_address_or_key_makes_no_task() {
    let with = |url: &str, key: PublicKey| {
        let mut task = task();
        let url = url.to_owned();
        task.aggregation = Aggregation::TwoAggregators(Helper { url, key });
        task.check()
    };
    let key = secret().public();
    for good in [
        "https://helper.example",
        "http://127.0.0.1:8788",
        "https://a.example/b",
    ] {
        assert_eq!(with(good, key), Ok(()), "{good}");
    }
    for bad in [
        "",
        "https://",
        "http://helper.example",
        "https://a@b",
        "https://a?b",
        "https://a b",
    ] {
        assert_eq!(with(bad, key), Err(TaskError::Helper), "{bad}");
    }
    for bad in [[0; 32], [0xff; 32]] {
        assert_eq!(
            with("https://helper.example", PublicKey(bad)),
            Err(TaskError::Helper)
        );
    }
}

#[test]
fn two_reports_of_one_update_have_nothing_in_common() {
    let (one, plain) = report_of(&round(), 1);
    let mut entropy = InsecureSeededEntropy::new(1);
    let frozen = update(1, &mut entropy);
    assert_eq!(frozen.plain_words(), plain);
    let helpers = [secret().public()];
    let mut other = InsecureSeededEntropy::new(1000);
    let round = round();
    let two =
        ReportClient::new(&report_setup(&round, &helpers), frozen, &mut other).expect("a report");
    let decode = |bytes| wire::decode::<Report<'_>>(bytes, 1 << 20).expect("a report");
    let (one, two) = (decode(one.bytes()), decode(two.bytes()));
    assert_ne!(one.id, two.id);
    assert_ne!(one.seed, two.seed);
    let equal = one
        .words
        .iter()
        .zip(two.words)
        .filter(|(a, b)| a == b)
        .count();
    assert!(equal * 8 < one.words.len(), "{equal} bytes are equal");
}

//! Schedules of faults: what a round under them must come to, and that a broken platform is noticed.

use choir_shared::sim::schedule::{self, KINDS, Schedule, Verdict};
use choir_shared::sim::{self, Broken, Corruption, Plan};

/// The first schedule of a kind.
fn of_kind(kind: &str) -> Schedule {
    (0..)
        .map(|seed| schedule::draw(seed, &[]))
        .find(|schedule| schedule.kind == kind)
        .expect("every kind is drawn")
}

fn verdict(plan: Plan) -> Verdict {
    let report = sim::run(plan.clone()).expect("a sound task");
    schedule::judge(&plan, &report)
}

#[test]
fn a_round_of_every_kind_is_exact_or_ends_cleanly() {
    for kind in KINDS {
        assert_eq!(verdict(of_kind(kind).plan), Verdict::default(), "{kind}");
    }
}

#[test]
fn a_seed_draws_the_same_schedule_and_runs_the_same_again() {
    let run = || sim::run(schedule::draw(7, &[]).plan).expect("a sound task");
    let (one, other) = (run(), run());
    assert_eq!((one.sent, one.outcome), (other.sent, other.outcome));
}

#[test]
fn masks_that_are_expanded_wrongly_are_a_wrong_sum() {
    let mut plan = of_kind("calm").plan;
    plan.faults.broken = Some(Broken::Masks);
    assert!(verdict(plan).wrong_sum);
}

#[test]
fn a_platform_that_never_wakes_leaves_a_round_stuck() {
    let mut plan = of_kind("calm").plan;
    plan.faults.broken = Some(Broken::Sleeps);
    plan.faults.silent_permille = 1_000;
    plan.faults.closes = vec![(0, sim::Close::Before(sim::Step::Ack))];
    assert!(verdict(plan).stuck);
}

#[test]
fn what_a_corrupt_client_adds_in_range_is_in_the_sum_and_nothing_else_is() {
    let mut plan = of_kind("calm").plan;
    plan.faults.corrupt = vec![(1, Corruption::Poison)];
    let report = sim::run(plan.clone()).expect("a sound task");
    assert!(report.outcome.is_some() && report.uploaded.contains_key(&1));
    assert_ne!(report.uploaded[&1], report.plain[1]);
    assert_eq!(schedule::judge(&plan, &report), Verdict::default());
}

#[test]
fn shares_of_no_polynomial_and_noise_for_a_vector_never_make_a_sum() {
    for corruption in [Corruption::InconsistentDealer, Corruption::GarbageVector] {
        let mut plan = of_kind("calm").plan;
        plan.faults.corrupt = vec![(0, corruption)];
        let report = sim::run(plan.clone()).expect("a sound task");
        assert!(report.abort.is_some(), "{corruption:?}");
        assert_eq!(schedule::judge(&plan, &report), Verdict::default());
    }
}

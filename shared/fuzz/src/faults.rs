//! Many schedules on many threads, counted: how rounds ended, which faults were injected, and every
//! seed whose round was not as it must be.

use choir_shared::secure_sum::Parameters;
use choir_shared::sim::schedule::{self, Schedule};
use choir_shared::sim::{self, Broken, ClientEnd, Report, graph};
use serde::Serialize;
use std::collections::BTreeMap;
use std::num::NonZero;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

/// What to run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    /// How many schedules.
    schedules: u64,
    /// One schedule, told in words.
    seed: Option<u64>,
    /// Also the abort rates and the rounds of many clients.
    full: bool,
}

/// What came of all schedules of one sort.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    rounds: u64,
    wrong_sums: u64,
    stuck_rounds: u64,
    panics: u64,
    seconds: f64,
    /// Each seed whose round was not as it must be, and why.
    failures: Vec<(u64, String)>,
    /// How rounds ended.
    outcomes: BTreeMap<String, u64>,
    /// By kind of schedule: rounds, and how many of them closed.
    kinds: BTreeMap<&'static str, (u64, u64)>,
    /// How often each fault was injected.
    faults: BTreeMap<&'static str, u64>,
    /// Why the aggregator refused.
    refusals: BTreeMap<&'static str, u64>,
    /// How clients ended.
    clients: BTreeMap<String, u64>,
    /// Rounds by their number of clients.
    sizes: BTreeMap<usize, u64>,
    /// How many clients were missing from published sums.
    dropped: BTreeMap<u16, u64>,
}

/// How often a cohort aborts, by its graph and quorum alone.
#[derive(Clone, Debug, Serialize)]
struct AbortRate {
    clients: u16,
    loss: f64,
    trials: u32,
    rate: f64,
    /// The simulated line of the design, where it has one.
    design: Option<f64>,
    /// Whether the two are within what so many trials and the design's rounding leave open.
    agrees: Option<bool>,
}

#[derive(Clone, Debug, Serialize)]
struct Findings {
    wrong_sums: u64,
    stuck_rounds: u64,
    panics: u64,
    schedules: Tally,
    /// What a deliberately broken platform is found to do: each must be above 0.
    self_test: BTreeMap<&'static str, u64>,
    abort_rates: Vec<AbortRate>,
    full_rounds: BTreeMap<u16, Tally>,
}

impl Work {
    /// Reads `--schedules N`, `--seed S`, `--full`.
    ///
    /// # Errors
    /// What does not make sense.
    pub fn read(arguments: &[String]) -> Result<Self, String> {
        let mut work = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let value = arguments.next().and_then(|value| value.parse().ok());
                value.ok_or_else(|| format!("{argument} needs a number"))
            };
            match argument.as_str() {
                "--schedules" => work.schedules = number()?,
                "--seed" => work.seed = Some(number()?),
                "--full" => work.full = true,
                other => return Err(format!("there is no option {other}")),
            }
        }
        Ok(work)
    }
}

/// Runs it; findings as JSON, or one schedule in words.
#[must_use]
pub fn run(work: &Work) -> String {
    let old = schedule::old_messages();
    if let Some(seed) = work.seed {
        return told(schedule::draw(seed, &old));
    }
    quietly(|| {
        let schedules = tally(work.schedules, |seed| schedule::draw(seed, &old));
        let mut full_rounds = BTreeMap::new();
        if work.full {
            full_rounds = [(100, 50), (1_000, 2)]
                .map(|(clients, rounds)| (clients, tally(rounds, |seed| many(seed, clients))))
                .into();
        }
        let all = || full_rounds.values().chain([&schedules]);
        let findings = Findings {
            wrong_sums: all().map(|tally| tally.wrong_sums).sum(),
            stuck_rounds: all().map(|tally| tally.stuck_rounds).sum(),
            panics: all().map(|tally| tally.panics).sum(),
            self_test: self_test(&old),
            abort_rates: if work.full { abort_rates() } else { Vec::new() },
            schedules,
            full_rounds,
        };
        serde_json::to_string_pretty(&findings).expect("own types print")
    })
}

/// From a tenth to over half of the clients are lost.
fn many(seed: u64, clients: u16) -> Schedule {
    schedule::full_round(seed, clients, 100 + 115 * (seed % 5))
}

/// Schedules whose platform is broken, so that each count must move.
fn self_test(old: &[Vec<u8>]) -> BTreeMap<&'static str, u64> {
    let broken = |broken| {
        tally(SELF_TEST_ROUNDS, move |seed| {
            let mut schedule = schedule::draw(seed, old);
            schedule.plan.faults.broken = Some(broken);
            schedule
        })
    };
    BTreeMap::from([
        ("wrong_sums", broken(Broken::Masks).wrong_sums),
        ("stuck_rounds", broken(Broken::Sleeps).stuck_rounds),
        ("panics", broken(Broken::Panics).panics),
    ])
}

fn tally(rounds: u64, schedule: impl Fn(u64) -> Schedule + Sync) -> Tally {
    let start = Instant::now();
    let next = AtomicU64::new(0);
    let total = Mutex::new(Tally::default());
    let work = || {
        let mut tally = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= rounds {
                break;
            }
            tally.add(seed, schedule(seed));
            if seed % PROGRESS == PROGRESS - 1 {
                eprintln!("{} of {rounds}", seed + 1);
            }
        }
        if let Ok(mut total) = total.lock() {
            total.merge(tally);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(work);
        }
    });
    let mut total = total.into_inner().unwrap_or_default();
    total.seconds = start.elapsed().as_secs_f64();
    total.failures.sort();
    total.failures.truncate(FAILURES_SHOWN);
    total
}

impl Tally {
    fn add(&mut self, seed: u64, schedule: Schedule) {
        let Schedule { kind, plan } = schedule;
        self.rounds += 1;
        *self.sizes.entry(plan.updates.len()).or_default() += 1;
        let of_kind = self.kinds.entry(kind).or_default();
        of_kind.0 += 1;
        let ran = panic::catch_unwind(AssertUnwindSafe(|| sim::run(plan.clone())));
        let report = match ran {
            Ok(Ok(report)) => report,
            Ok(Err(error)) => return self.fails(seed, format!("{kind}: no task: {error}")),
            Err(_) => {
                self.panics += 1;
                return self.fails(seed, format!("{kind}: panic"));
            }
        };
        of_kind.1 += u64::from(report.outcome.is_some());
        let verdict = schedule::judge(&plan, &report);
        if verdict.wrong_sum {
            self.wrong_sums += 1;
            self.fails(seed, format!("{kind}: wrong sum"));
        }
        if verdict.stuck {
            self.stuck_rounds += 1;
            self.fails(seed, format!("{kind}: stuck"));
        }
        self.count(&report);
    }

    fn fails(&mut self, seed: u64, why: String) {
        self.failures.push((seed, why));
    }

    fn count(&mut self, report: &Report) {
        *self.outcomes.entry(end(report)).or_default() += 1;
        if let Some(outcome) = &report.outcome {
            *self.dropped.entry(outcome.dropped).or_default() += 1;
        }
        for (fault, count) in &report.injected {
            *self.faults.entry(fault).or_default() += count;
        }
        for code in &report.rejects {
            *self.refusals.entry(code.as_str()).or_default() += 1;
        }
        for client in &report.clients {
            let how = match client {
                ClientEnd::Finished(_) => "finished".to_owned(),
                ClientEnd::Left(reason) => format!("left: {reason}"),
                ClientEnd::Closed => "closed".to_owned(),
                ClientEnd::Waiting(phase) => format!("waiting in {phase}"),
            };
            *self.clients.entry(how).or_default() += 1;
        }
    }

    fn merge(&mut self, other: Self) {
        self.rounds += other.rounds;
        self.wrong_sums += other.wrong_sums;
        self.stuck_rounds += other.stuck_rounds;
        self.panics += other.panics;
        self.failures.extend(other.failures);
        for (kind, (rounds, closed)) in other.kinds {
            let of_kind = self.kinds.entry(kind).or_default();
            *of_kind = (of_kind.0 + rounds, of_kind.1 + closed);
        }
        add_all(&mut self.outcomes, other.outcomes);
        add_all(&mut self.faults, other.faults);
        add_all(&mut self.refusals, other.refusals);
        add_all(&mut self.clients, other.clients);
        add_all(&mut self.sizes, other.sizes);
        add_all(&mut self.dropped, other.dropped);
    }
}

fn add_all<K: Ord>(counts: &mut BTreeMap<K, u64>, more: BTreeMap<K, u64>) {
    for (key, count) in more {
        *counts.entry(key).or_default() += count;
    }
}

fn end(report: &Report) -> String {
    match (&report.outcome, report.abort) {
        (Some(_), _) => "closed".to_owned(),
        (None, Some(reason)) => format!("aborted: {reason}"),
        (None, None) => format!("ended in {}", report.phase),
    }
}

fn abort_rates() -> Vec<AbortRate> {
    let points = DESIGN
        .iter()
        .flat_map(|(clients, points)| points.iter().map(move |point| (*clients, *point)));
    let mut rates = Vec::new();
    thread::scope(|scope| {
        let runs: Vec<_> = points
            .map(|(clients, (loss, design))| scope.spawn(move || abort_rate(clients, loss, design)))
            .collect();
        rates.extend(runs.into_iter().filter_map(|run| run.join().ok()));
    });
    rates
}

fn abort_rate(clients: u16, loss: f64, design: Option<f64>) -> AbortRate {
    let parameters = Parameters::new(clients, 100, 300).expect("a cohort");
    let rate = graph::abort_rate(&parameters, loss, TRIALS, u64::from(clients));
    let trials = f64::from(TRIALS);
    // Four standard errors of each, and half of the design's last digit.
    let near = |design: f64| {
        let error = (rate * (1.0 - rate) / trials).sqrt();
        (rate - design).abs() <= 8.0 * error + if design < 0.05 { 0.001 } else { 0.006 }
    };
    AbortRate {
        clients,
        loss,
        trials: TRIALS,
        rate,
        design,
        agrees: design.map(near),
    }
}

/// One schedule, in words.
fn told(schedule: Schedule) -> String {
    let Schedule { kind, plan } = schedule;
    let faults = sim::Faults {
        old_messages: Vec::new(),
        ..plan.faults.clone()
    };
    let clients = plan.updates.len();
    println!("{kind}, {clients} clients, {faults:#?}");
    match sim::run(plan.clone()) {
        Ok(report) => format!(
            "{}\nrefused: {:?}\nclients: {:#?}\n{:?}",
            end(&report),
            report.rejects,
            report.clients,
            schedule::judge(&plan, &report)
        ),
        Err(error) => error.to_string(),
    }
}

/// Without the words of panics, which are counted.
fn quietly<T>(act: impl FnOnce() -> T) -> T {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let result = act();
    panic::set_hook(hook);
    result
}

/// A loss, and the rate that the design's simulation has for it.
type Point = (f64, Option<f64>);

/// The simulated line of the design, for its default parameters, and what it does not have.
const DESIGN: [(u16, &[Point]); 3] = [
    (
        10,
        &[
            (0.1, Some(0.003)),
            (0.2, Some(0.028)),
            (0.3, Some(0.14)),
            (0.4, None),
        ],
    ),
    (
        100,
        &[
            (0.2, Some(0.0)),
            (0.25, Some(0.004)),
            (0.3, Some(0.011)),
            (0.35, Some(0.09)),
            (0.4, Some(0.32)),
        ],
    ),
    (
        1_000,
        &[
            (0.2, None),
            (0.3, None),
            (0.35, None),
            (0.4, None),
            (0.45, None),
        ],
    ),
];

const TRIALS: u32 = 10_000;
const SELF_TEST_ROUNDS: u64 = 60;
const FAILURES_SHOWN: usize = 50;
const PROGRESS: u64 = 500;

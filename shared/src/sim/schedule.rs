//! Schedules of faults, each drawn from its seed, and what a run of one must show.
//!
//! A sum is wrong where it is not that of what its survivors' vectors hide: of their updates, or of
//! what a corrupt client made of its own. A round is stuck where nothing happens any more and it is
//! neither closed nor aborted, unless its lobby never filled; or where an honest client is still
//! waiting then.

use alloc::vec::Vec;

use super::{ClientEnd, Close, Corruption, Faults, Plan, Report, Step, head_task};
use crate::entropy::InsecureSeededEntropy;
use crate::policy::Policy;
use crate::round::PhaseName;
use crate::secure_sum::Parameters;
use crate::task::{Quantiser, TaskConfig};

/// A plan and what it is made to show.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Its name.
    pub kind: &'static str,
    /// The plan.
    pub plan: Plan,
}

/// What was wrong with a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// A sum was published that is not the plain one.
    pub wrong_sum: bool,
    /// The round, or an honest client, waits for ever.
    pub stuck: bool,
}

/// Every kind of schedule.
pub const KINDS: [&str; 12] = [
    "calm",
    "losses",
    "exact thresholds",
    "one is left alone",
    "connections break",
    "restarts",
    "replays and reorderings",
    "damage",
    "stalls and silent closes",
    "corrupt clients",
    "cut uploads",
    "everything",
];

const STEPS: [Step; 5] = [Step::Join, Step::Share, Step::Upload, Step::Ack, Step::Open];

/// The schedule of a seed: 3 to 24 clients, up to 63 coordinates, one kind of faults.
/// `old_messages` are of another round, to be replayed.
#[must_use]
pub fn draw(seed: u64, old_messages: &[Vec<u8>]) -> Schedule {
    let mut dice = InsecureSeededEntropy::new(seed ^ 0x5EED);
    let clients = 3 + dice.below(22) as u16;
    let kind = KINDS[dice.below(KINDS.len() as u64) as usize];
    let task = task(clients, &mut dice);
    let faults = Faults {
        max_delay_ms: dice.below(600),
        ..faults(kind, clients, old_messages, &mut dice)
    };
    Schedule {
        kind,
        plan: plan(seed, task, clients, faults, &mut dice),
    }
}

/// A round of many clients, each of whom is lost with a chance of so many thousandths.
#[must_use]
pub fn full_round(seed: u64, clients: u16, loss_permille: u64) -> Schedule {
    let mut dice = InsecureSeededEntropy::new(seed ^ 0xF011);
    let mut task = head_task(clients, clients / 2, 2);
    task.quantiser = Quantiser {
        levels: 16_383,
        weight_max: 16,
        ..task.quantiser
    };
    let faults = Faults {
        closes: losses(clients, loss_permille, &mut dice),
        duplicate_permille: 2,
        break_permille: 2,
        max_delay_ms: 300,
        ..Faults::default()
    };
    Schedule {
        kind: "full round",
        plan: plan(seed, task, clients, faults, &mut dice),
    }
}

/// The messages of an honest round of five other clients.
#[must_use]
pub fn old_messages() -> Vec<Vec<u8>> {
    let mut dice = InsecureSeededEntropy::new(0);
    let task = head_task(5, 3, 2);
    let plan = plan(0, task, 5, Faults::default(), &mut dice);
    let report = super::run(plan).map(|report| report.sent);
    report
        .unwrap_or_default()
        .into_iter()
        .map(|(_, bytes)| bytes)
        .collect()
}

/// What a run of this plan came to.
#[must_use]
pub fn judge(plan: &Plan, report: &Report) -> Verdict {
    let wrong_sum = report.outcome.as_ref().is_some_and(|outcome| {
        outcome.sum != report.plain_sum(&outcome.survivors) || report.abort.is_some()
    });
    let is_over = matches!(report.phase, PhaseName::Closed | PhaseName::Aborted);
    let never_filled = report.phase == PhaseName::Enroll && report.roster.is_empty();
    let is_honest = |client: usize| !plan.faults.corrupt.iter().any(|(liar, _)| *liar == client);
    let waits = report.clients.iter().enumerate().any(|(client, end)| {
        let in_lobby = never_filled && *end == ClientEnd::Waiting(PhaseName::Enroll);
        matches!(end, ClientEnd::Waiting(_)) && !in_lobby && is_honest(client)
    });
    Verdict {
        wrong_sum,
        stuck: waits || !(is_over || never_filled),
    }
}

fn plan(
    seed: u64,
    task: TaskConfig,
    clients: u16,
    faults: Faults,
    dice: &mut InsecureSeededEntropy,
) -> Plan {
    let values = 2 * task.base.shape.dim + 2;
    let mut update = |_| {
        let value = |_| dice.below(2_400) as f32 / 1_000.0 - 1.2;
        let values: Vec<f32> = (0..values).map(value).collect();
        (values, 1 + dice.below(600) as u32)
    };
    Plan {
        seed,
        updates: (0..clients).map(&mut update).collect(),
        task,
        policy: Policy::demo(),
        faults,
    }
}

/// A task whose ring has 16, 24 or 32 bits.
fn task(clients: u16, dice: &mut InsecureSeededEntropy) -> TaskConfig {
    let least = 3 + dice.below(u64::from(clients) - 2) as u16;
    let mut task = head_task(clients, least, 1 + dice.below(30) as u32);
    let (levels, weight_max) = [(127, 8), (16_383, 16), (65_535, 512)][dice.below(3) as usize];
    task.quantiser = Quantiser {
        levels,
        weight_max,
        ..task.quantiser
    };
    task
}

fn faults(
    kind: &str,
    clients: u16,
    old_messages: &[Vec<u8>],
    dice: &mut InsecureSeededEntropy,
) -> Faults {
    let few = 20 + dice.below(60);
    let loss = 50 + dice.below(400);
    let none = Faults::default();
    match kind {
        "losses" => Faults {
            closes: losses(clients, loss, dice),
            ..none
        },
        "exact thresholds" => Faults {
            closes: exact(clients, dice),
            ..none
        },
        "one is left alone" => Faults {
            closes: alone(clients, dice),
            ..none
        },
        "connections break" => Faults {
            break_permille: 4 * few,
            duplicate_permille: 2 * few,
            ..none
        },
        "restarts" => Faults {
            restart_permille: 10 * few,
            break_permille: few,
            closes: losses(clients, loss / 4, dice),
            ..none
        },
        "replays and reorderings" => Faults {
            replay_permille: 4 * few,
            reorder_permille: 2 * few,
            old_messages: old_messages.to_vec(),
            ..none
        },
        "damage" => Faults {
            damage_permille: 2 * few,
            ..none
        },
        "stalls and silent closes" => Faults {
            stall_permille: 10 * few,
            stall_ms: 60_000,
            silent_permille: 800,
            closes: losses(clients, loss / 2, dice),
            ..none
        },
        "corrupt clients" => Faults {
            corrupt: liars(clients, dice),
            ..none
        },
        "cut uploads" => Faults {
            closes: cuts(clients, dice),
            ..none
        },
        "everything" => Faults {
            closes: losses(clients, loss / 4, dice),
            duplicate_permille: few,
            break_permille: few,
            restart_permille: few,
            reorder_permille: few / 4,
            replay_permille: few,
            damage_permille: few / 4,
            silent_permille: 300,
            stall_permille: few,
            stall_ms: 20_000,
            corrupt: liars(clients, dice),
            old_messages: old_messages.to_vec(),
            ..none
        },
        _ => none,
    }
}

fn step(dice: &mut InsecureSeededEntropy) -> Step {
    STEPS[dice.below(STEPS.len() as u64) as usize]
}

fn close(dice: &mut InsecureSeededEntropy) -> Close {
    match dice.below(11) {
        10 => Close::MidUpload,
        roll if roll % 2 == 0 => Close::Before(step(dice)),
        _ => Close::After(step(dice)),
    }
}

fn losses(clients: u16, permille: u64, dice: &mut InsecureSeededEntropy) -> Vec<(usize, Close)> {
    let mut closes = Vec::new();
    for client in 0..usize::from(clients) {
        if dice.below(1000) < permille {
            closes.push((client, close(dice)));
        }
    }
    closes
}

/// One step keeps as many clients as a threshold asks for, or one fewer or more.
fn exact(clients: u16, dice: &mut InsecureSeededEntropy) -> Vec<(usize, Close)> {
    let Some(parameters) = Parameters::new(clients, 100, 300) else {
        return Vec::new();
    };
    let (quorum, threshold) = (parameters.quorum, parameters.threshold);
    let (step, kept) = match dice.below(4) {
        0 => (Step::Share, quorum),
        1 => (Step::Upload, quorum),
        2 => (Step::Ack, quorum),
        _ => (Step::Open, threshold + 1),
    };
    let kept = (kept + dice.below(3) as u16).saturating_sub(1).min(clients);
    (usize::from(kept)..usize::from(clients))
        .map(|client| (client, Close::Before(step)))
        .collect()
}

/// Everybody but one goes at one step.
fn alone(clients: u16, dice: &mut InsecureSeededEntropy) -> Vec<(usize, Close)> {
    let (left, step) = (dice.below(u64::from(clients)) as usize, step(dice));
    let close = match dice.below(2) {
        0 => Close::Before(step),
        _ => Close::After(step),
    };
    (0..usize::from(clients))
        .filter(|client| *client != left)
        .map(|client| (client, close))
        .collect()
}

fn cuts(clients: u16, dice: &mut InsecureSeededEntropy) -> Vec<(usize, Close)> {
    let mut closes = Vec::new();
    for client in 0..usize::from(clients) {
        if dice.below(4) == 0 {
            let hundredths = [1, 50, 99][dice.below(3) as usize];
            closes.push((client, Close::CutUpload(hundredths)));
        }
    }
    closes
}

/// Up to a third of the clients, and at least one.
fn liars(clients: u16, dice: &mut InsecureSeededEntropy) -> Vec<(usize, Corruption)> {
    let mut liars = Vec::new();
    for client in 0..=dice.below(u64::from(clients) / 3) as usize {
        let corruption = Corruption::ALL[dice.below(Corruption::ALL.len() as u64) as usize];
        liars.push((client, corruption));
    }
    liars
}

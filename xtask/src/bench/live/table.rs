//! The live bench's table, with what the design expects beside it.

use super::Measured;
use choir_shared::round::PhaseName;
use serde::Serialize;
use std::fmt::Write;

/// Rounds under one mean lifetime.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Line {
    /// Mean lifetime from JOIN on, in seconds.
    mean_life: f64,
    /// Rounds that published a sum, as a fraction.
    success: f64,
    /// Clients of the roster that were lost before the end, as a fraction of all rosters.
    loss: f64,
    /// What lifetimes of this mean lose within the time from ROSTER to DONE that was measured.
    expected_loss: Option<f64>,
    /// What the design expects to lose within 4 s.
    design_loss: f64,
    /// The rate of aborted cohorts that the design's simulation of 100 clients has at the loss that
    /// was measured; nothing beyond its range.
    design_abort: Option<f64>,
    /// From JOIN to DONE, mean over the rounds that closed.
    seconds: Option<f64>,
    /// Payload of one client to the aggregator, likewise.
    bytes_up: Option<f64>,
    /// From it.
    bytes_down: Option<f64>,
    /// CPU time of workerd for one round, mean over all.
    server_cpu_seconds: Option<f64>,
    /// CPU time of one client in one round, mean over all.
    client_cpu_ms: Option<f64>,
    /// Every round.
    rounds: Vec<Measured>,
}

impl Line {
    /// Sums up the rounds.
    pub(super) fn of(mean_life: f64, rounds: Vec<Measured>) -> Self {
        let closed = rounds.iter().filter(|round| round.closed).count();
        let rosters: u32 = rounds.iter().map(|round| u32::from(round.roster)).sum();
        let lost: u32 = rounds
            .iter()
            .map(|round| u32::from(round.lost_after_roster()))
            .sum();
        let loss = f64::from(lost) / f64::from(rosters.max(1));
        let over = |field: fn(&Measured) -> Option<f64>| mean(rounds.iter().filter_map(field));
        Self {
            mean_life,
            success: closed as f64 / rounds.len().max(1) as f64,
            loss,
            expected_loss: over(roster_to_done).map(|seconds| lost_within(seconds, mean_life)),
            design_loss: lost_within(DESIGN_SECONDS, mean_life),
            design_abort: abort_rate(loss),
            seconds: over(|round| round.seconds),
            bytes_up: over(|round| round.bytes_up),
            bytes_down: over(|round| round.bytes_down),
            server_cpu_seconds: over(|round| round.server_cpu_seconds),
            client_cpu_ms: over(|round| {
                let clients = f64::from(round.roster + round.lost_in_lobby).max(1.0);
                round
                    .client_cpu_seconds
                    .map(|seconds| 1000.0 * seconds / clients)
            }),
            rounds,
        }
    }

    fn phase(&self, phase: PhaseName) -> Option<f64> {
        let of_round = |round: &Measured| round.phase_seconds.get(phase.as_str()).copied();
        mean(self.rounds.iter().filter_map(of_round))
    }
}

/// The rate of aborted cohorts of 100 clients at default parameters (a tenth corrupt, three tenths
/// expected to be lost), by independent loss between ROSTER and OPEN: the design's simulation.
const ABORT_RATES: [(f64, f64); 6] = [
    (0.0, 0.0),
    (0.20, 0.0),
    (0.25, 0.004),
    (0.30, 0.011),
    (0.35, 0.09),
    (0.40, 0.32),
];
/// Four round trips, the upload, and the barriers' slack.
const DESIGN_SECONDS: f64 = 4.0;

/// The fraction of exponential lifetimes that end within that time.
fn lost_within(seconds: f64, mean_life: f64) -> f64 {
    1.0 - (-seconds / mean_life).exp()
}

fn roster_to_done(round: &Measured) -> Option<f64> {
    Some(round.seconds? - round.lobby_seconds?)
}

fn abort_rate(loss: f64) -> Option<f64> {
    ABORT_RATES.windows(2).find_map(|pair| {
        let [(from, low), (to, high)] = [pair[0], pair[1]];
        (from..=to)
            .contains(&loss)
            .then(|| low + (high - low) * (loss - from) / (to - from))
    })
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The table.
pub(super) fn text(lines: &[Line]) -> String {
    let mut text = String::from(
        "mean life  closed   lost  expected  design's loss  design's aborts  JOIN-DONE  lobby  share  upload  confirm  unmask   kB up  kB down  workerd CPU  client CPU\n",
    );
    for line in lines {
        let closed = line.rounds.iter().filter(|round| round.closed).count();
        let lobby = mean(line.rounds.iter().filter_map(|round| round.lobby_seconds));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:>7} s  {:>6}  {:>4.1} %  {:>8}  {:>11.1} %  {:>15}  {:>9}  {:>5}  {:>5}  {:>6}  {:>7}  {:>6}  {:>6}  {:>7}  {:>11}  {:>10}",
            line.mean_life,
            format!("{closed}/{}", line.rounds.len()),
            100.0 * line.loss,
            shown(line.expected_loss.map(|loss| 100.0 * loss), "%"),
            100.0 * line.design_loss,
            shown(line.design_abort.map(|rate| 100.0 * rate), "%"),
            shown(line.seconds, "s"),
            shown(lobby, "s"),
            shown(line.phase(PhaseName::ShareKeys), "s"),
            shown(line.phase(PhaseName::Collect), "s"),
            shown(line.phase(PhaseName::Confirm), "s"),
            shown(line.phase(PhaseName::Unmask), "s"),
            shown(line.bytes_up.map(|bytes| bytes / 1000.0), ""),
            shown(line.bytes_down.map(|bytes| bytes / 1000.0), ""),
            shown(line.server_cpu_seconds, "s"),
            shown(line.client_cpu_ms, "ms"),
        );
    }
    text
}

fn shown(value: Option<f64>, unit: &str) -> String {
    value.map_or_else(
        || "-".to_owned(),
        |value| format!("{value:.1} {unit}").trim_end().to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_designs_abort_rate_is_read_between_its_points() {
        assert_eq!(abort_rate(0.1), Some(0.0));
        let between = abort_rate(0.275).expect("within the range");
        assert!((between - 0.0075).abs() < 1e-12);
        assert_eq!(abort_rate(0.41), None);
    }

    #[test]
    fn a_line_counts_losses_over_all_rosters() {
        let round = |closed, roster, lost| Measured {
            closed,
            roster,
            lost: [("collect".to_owned(), lost)].into(),
            ..Measured::default()
        };
        let line = Line::of(15.0, vec![round(true, 90, 20), round(false, 110, 30)]);
        assert_eq!(line.success, 0.5);
        assert_eq!(line.loss, 0.25);
        assert!((line.design_loss - 0.234).abs() < 1e-3);
        assert_eq!(line.seconds, None);
        assert!(text(&[line]).contains("1/2"));
    }
}

//! Adding a round's updates up: plainly, and by the product's round machines on masked integers.

use choir_shared::fixed_point;
use choir_shared::policy::Policy;
use choir_shared::sim::{self, Close, Faults, Plan, Step};
use choir_shared::task::{CohortConfig, Quantiser, TaskConfig};

use super::error::SimError;

/// What one client sends.
pub(crate) struct Update {
    /// After training minus before.
    pub(crate) change: Vec<f32>,
    /// What it counts as.
    pub(crate) weight: u32,
    /// When it drops out, if it does.
    pub(crate) close: Option<Close>,
}

impl Update {
    /// Whether it reaches the aggregator whole.
    pub(crate) fn arrives(&self) -> bool {
        matches!(self.close, None | Some(Close::After(Step::Upload)))
    }
}

/// What a secure sum showed.
pub(crate) struct SecureSum {
    /// The weighted mean; none if the round was aborted.
    pub(crate) mean: Option<Vec<f32>>,
    /// Whether the published integers are the plain ones of exactly those who were to arrive.
    pub(crate) is_plain_sum: bool,
    /// Bytes that a client of the sum sent, all messages together, in the mean.
    pub(crate) bytes_up: u64,
}

/// Steps of a client's drop-out after JOIN.
pub(crate) const CLOSES: [Close; 4] = [
    Close::Before(Step::Share),
    Close::Before(Step::Upload),
    Close::MidUpload,
    Close::After(Step::Upload),
];

/// The weighted mean of what arrives; none if nothing does.
pub(crate) fn plain(updates: &[Update]) -> Option<Vec<f32>> {
    let arrived = || updates.iter().filter(|update| update.arrives());
    let total: f64 = arrived().map(|update| f64::from(update.weight)).sum();
    let len = arrived().next()?.change.len();
    let mut mean = vec![0.0; len];
    for update in arrived() {
        let share = f64::from(update.weight) / total;
        for (sum, &value) in mean.iter_mut().zip(&update.change) {
            *sum += share * f64::from(value);
        }
    }
    Some(mean.into_iter().map(|value| value as f32).collect())
}

/// The same by the round machines: joined, masked, dropped out of, unmasked.
pub(crate) fn secure(
    updates: &[Update],
    quantiser: Quantiser,
    seed: u64,
) -> Result<SecureSum, SimError> {
    let len = updates.first().map_or(0, |update| update.change.len());
    let task = carrier(len, updates.len(), quantiser);
    let padded = |update: &Update| {
        let mut values = update.change.clone();
        values.resize(coordinates(&task), 0.0);
        (values, update.weight)
    };
    let closes = updates.iter().enumerate();
    let faults = Faults {
        closes: closes
            .filter_map(|(at, update)| Some((at, update.close?)))
            .collect(),
        max_delay_ms: 50,
        ..Faults::default()
    };
    let report = sim::run(Plan {
        seed,
        task: task.clone(),
        updates: updates.iter().map(padded).collect(),
        policy: Policy::demo(),
        faults,
    })?;
    let Some(outcome) = &report.outcome else {
        return Ok(SecureSum {
            mean: None,
            is_plain_sum: true,
            bytes_up: 0,
        });
    };
    let places = outcome
        .survivors
        .iter()
        .map(|&index| report.roster[usize::from(index)]);
    let mut survivors: Vec<usize> = places.collect();
    survivors.sort_unstable();
    let expected = (0..updates.len()).filter(|&at| updates[at].arrives());
    let is_plain_sum = survivors.iter().copied().eq(expected)
        && outcome.sum == report.plain_sum(&outcome.survivors);
    let sent = report
        .sent
        .iter()
        .filter(|(client, _)| survivors.contains(client));
    let bytes: u64 = sent.map(|(_, bytes)| bytes.len() as u64).sum();
    Ok(SecureSum {
        mean: Some(outcome.mean[..len].to_vec()),
        is_plain_sum,
        bytes_up: bytes / survivors.len().max(1) as u64,
    })
}

/// The quantiser of updates whose coordinates stay within `bound`.
pub(crate) const fn quantiser(bound: f32, weight_max: u32) -> Quantiser {
    Quantiser {
        levels: 65_535,
        bound,
        weight_max,
    }
}

/// What a client with so many examples counts as.
pub(crate) fn weight(quantiser: &Quantiser, examples: usize) -> u32 {
    fixed_point::weight(quantiser, u32::try_from(examples).unwrap_or(u32::MAX))
}

/// A task whose payload has room for `len` coordinates: a round does not look at what they mean.
fn carrier(len: usize, clients: usize, quantiser: Quantiser) -> TaskConfig {
    let labels = len.div_ceil(WIDEST).max(1);
    let dim = len.div_ceil(labels).saturating_sub(1).max(1);
    let cohort_size = u16::try_from(clients).unwrap_or(u16::MAX);
    TaskConfig {
        labels: (0..labels)
            .map(|label| format!("coordinates {label}"))
            .collect(),
        quantiser,
        cohort: CohortConfig {
            cohort_size,
            min_cohort: 3,
            corrupt_permille: 0,
            drop_permille: 0,
        },
        ..sim::head_task(cohort_size, 3, dim as u32)
    }
}

const fn coordinates(carrier: &TaskConfig) -> usize {
    carrier.labels.len() * (carrier.base.shape.dim as usize + 1)
}

/// Rows of a carrier's head.
const WIDEST: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn updates(closes: &[Option<Close>]) -> Vec<Update> {
        let update = |(at, close): (usize, &Option<Close>)| Update {
            change: (0..5).map(|i| (at * 7 + i) as f32 / 100.0 - 0.1).collect(),
            weight: 1 + at as u32,
            close: *close,
        };
        closes.iter().enumerate().map(update).collect()
    }

    #[test]
    fn every_drop_out_leaves_a_secure_mean_that_is_the_plain_one() {
        for close in CLOSES {
            let updates = updates(&[None, Some(close), None, None, Some(CLOSES[0]), None]);
            let plain = plain(&updates).unwrap();
            let secure = secure(&updates, quantiser(0.5, 512), 3).unwrap();
            assert!(secure.is_plain_sum, "{close:?}");
            let mean = secure.mean.unwrap();
            assert_eq!(mean.len(), 5);
            for (secure, plain) in mean.iter().zip(&plain) {
                assert!((secure - plain).abs() < 2.0 * 0.5 / 65_535.0, "{close:?}");
            }
        }
    }

    #[test]
    fn a_round_that_loses_too_many_has_no_result() {
        let lost = Some(Close::Before(Step::Upload));
        let found = secure(&updates(&[None, lost, lost, lost]), quantiser(0.5, 512), 1).unwrap();
        assert_eq!(found.mean, None);
    }

    #[test]
    fn a_carrier_has_room_for_any_number_of_coordinates() {
        for len in [1, 2, 103_373, WIDEST, WIDEST + 1, 3 * WIDEST - 1] {
            let task = carrier(len, 10, quantiser(0.1, 512));
            assert_eq!(task.check(), Ok(()));
            assert!(
                coordinates(&task) >= len && coordinates(&task) < len + 4,
                "{len}"
            );
        }
    }
}

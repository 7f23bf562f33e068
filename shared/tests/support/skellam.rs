//! The exact law of Skellam noise, and how far samples lie from a law.
#![allow(dead_code, reason = "each test takes what it needs")]

use choir_shared::entropy::InsecureSeededEntropy;
use choir_shared::noise::Noise;

/// Beyond this many standard deviations a statistic is off: one in 150,000 of sound ones would be, and
/// as every seed is fixed, none of those below ever is.
pub(crate) const LIMIT: f64 = 4.5;

/// The first so many integers of noise of this variance.
pub(crate) fn samples(variance: f64, count: usize, seed: u64) -> Vec<i64> {
    let mut noise =
        Noise::new(variance, &mut InsecureSeededEntropy::new(seed)).expect("a variance");
    (0..count).map(|_| noise.sample()).collect()
}

/// Poisson's probabilities from a first count on, as far as they matter: by the ratio of neighbours
/// outwards from the mode, then divided by their sum.
pub(crate) struct Poisson {
    first: i64,
    probabilities: Vec<f64>,
}

impl Poisson {
    pub(crate) fn new(mean: f64) -> Self {
        let mode = mean.floor() as i64;
        let reach = (12.0 * mean.sqrt() + 40.0) as i64;
        let first = (mode - reach).max(0);
        let mut probabilities = vec![0.0; (mode + reach - first) as usize];
        let middle = (mode - first) as usize;
        probabilities[middle] = 1.0;
        for at in (0..middle).rev() {
            probabilities[at] = probabilities[at + 1] * (first + at as i64 + 1) as f64 / mean;
        }
        for at in middle + 1..probabilities.len() {
            probabilities[at] = probabilities[at - 1] * mean / (first + at as i64) as f64;
        }
        let sum: f64 = probabilities.iter().sum();
        probabilities.iter_mut().for_each(|p| *p /= sum);
        Self {
            first,
            probabilities,
        }
    }

    fn at(&self, count: i64) -> f64 {
        usize::try_from(count - self.first)
            .ok()
            .and_then(|place| self.probabilities.get(place))
            .copied()
            .unwrap_or(0.0)
    }
}

/// The probability of `value` under Skellam's law of this variance: the sum over all pairs of
/// counts with that difference.
pub(crate) fn probability(counts: &Poisson, value: i64) -> f64 {
    let last = counts.first + counts.probabilities.len() as i64;
    (counts.first..last)
        .map(|count| counts.at(count) * counts.at(count + value))
        .sum()
}

/// The probability of `reach` or more in magnitude.
pub(crate) fn tail(variance: f64, reach: i64) -> f64 {
    let counts = Poisson::new(variance / 2.0);
    // From each count on upwards, smallest first.
    let mut above = counts.probabilities.clone();
    for at in (0..above.len() - 1).rev() {
        above[at] += above[at + 1];
    }
    let one_side: f64 = (0..counts.probabilities.len())
        .map(|at| counts.probabilities[at] * above.get(at + reach as usize).copied().unwrap_or(0.0))
        .sum();
    2.0 * one_side
}

/// Of each of the first four moments: how many of its own standard deviations it lies from that of
/// Skellam's law. Its cumulants of even order are all the variance, those of odd order zero.
pub(crate) fn moments(samples: &[i64], variance: f64) -> [f64; 4] {
    let count = samples.len() as f64;
    let mean_power = |power: i32| {
        let sum: f64 = samples.iter().map(|&x| (x as f64).powi(power)).sum();
        sum / count
    };
    let v = variance;
    let (second, fourth) = (v, v + 3.0 * v * v);
    let sixth = v + 15.0 * v.powi(2) + 15.0 * v.powi(3);
    let eighth = v + 63.0 * v.powi(2) + 210.0 * v.powi(3) + 105.0 * v.powi(4);
    let off =
        |found: f64, expected: f64, variance: f64| (found - expected) / (variance / count).sqrt();
    [
        off(mean_power(1), 0.0, second),
        off(mean_power(2), second, fourth - second * second),
        off(mean_power(3), 0.0, sixth),
        off(mean_power(4), fourth, eighth - fourth * fourth),
    ]
}

/// Pearson's chi-square of the samples against Skellam's law, as standard deviations of a normal (by
/// Wilson and Hilferty's cube root). Both tails are one class each from where fewer than 50 are
/// expected.
pub(crate) fn chi_square(samples: &[i64], variance: f64) -> f64 {
    let counts = Poisson::new(variance / 2.0);
    let total = samples.len() as f64;
    let edge = (0..)
        .find(|&edge| total * probability(&counts, edge) < 50.0)
        .expect("the law has tails");
    let class = |value: i64| (value.clamp(-edge, edge) + edge) as usize;
    let mut expected: Vec<f64> = (-edge..=edge)
        .map(|value| total * probability(&counts, value))
        .collect();
    let outside = total * tail(variance, edge) / 2.0;
    let last = expected.len() - 1;
    (expected[0], expected[last]) = (outside, outside);
    let mut found = vec![0u32; expected.len()];
    samples.iter().for_each(|&value| found[class(value)] += 1);
    let square: f64 = found
        .iter()
        .zip(&expected)
        .map(|(&found, expected)| (f64::from(found) - expected).powi(2) / expected)
        .sum();
    let freedom = (expected.len() - 1) as f64;
    let spread = 2.0 / (9.0 * freedom);
    ((square / freedom).cbrt() - (1.0 - spread)) / spread.sqrt()
}

/// How many of its standard deviations the correlation of two series lies from zero.
pub(crate) fn correlation(left: &[i64], right: &[i64]) -> f64 {
    let product =
        |a: &[i64], b: &[i64]| -> f64 { a.iter().zip(b).map(|(&x, &y)| x as f64 * y as f64).sum() };
    let (left, right) = (&left[..left.len().min(right.len())], right);
    let scale = (product(left, left) * product(right, right)).sqrt();
    product(left, right) / scale * (left.len() as f64).sqrt()
}

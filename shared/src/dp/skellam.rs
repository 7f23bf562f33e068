//! What the noise inside a sum promises: Renyi differential privacy of the Skellam mechanism.
//!
//! Against one update left out of a sum, that is, replaced by one that is zero everywhere, for integers
//! of L2 norm D2 and L1 norm D1 under noise of variance mu (Agarwal, Kairouz and Liu 2021, "The
//! Skellam Mechanism for Differentially Private Federated Learning", theorem 3.5):
//!
//! `eps(a) <= a D2^2 / (2 mu) + min(((2a - 1) D2^2 + 6 D1) / (4 mu^2), 3 D1 / (2 mu))`
//!
//! for integer orders a >= 2. Participations add up. Renyi's epsilon becomes one at delta by Canonne,
//! Kamath and Steinke 2020, "The Discrete Gaussian for Differential Privacy", proposition 12, at
//! the best order. This is an upper bound, above what the Gaussian mechanism of that size has
//! exactly ([`super::epsilon`]) by the price of the conversion and that of the steps.

use crate::noise;
use crate::task::{Dp, Quantiser};

/// The orders that are tried.
const ORDERS: core::ops::RangeInclusive<u32> = 2..=512;

/// An epsilon at `delta` that holds for a visitor after so many participations in rounds with this
/// noise and so many coordinates, if every sum holds `honest` honest inputs. `None` where there is
/// none: no noise, or `delta` is no probability.
#[must_use]
pub fn skellam_epsilon(
    dp: &Dp,
    quantiser: &Quantiser,
    coordinates: usize,
    participations: u32,
    delta: f64,
) -> Option<f64> {
    let is_probability = delta > 0.0 && delta < 1.0;
    let variance = noise::share_variance(dp, quantiser) * f64::from(dp.honest);
    if !is_probability || !variance.is_finite() || variance <= 0.0 {
        return None;
    }
    if participations == 0 {
        return Some(0.0);
    }
    let norm = noise::rounded_norm(dp, quantiser, coordinates);
    // Of integers, the L1 norm is at most the square of the L2 norm.
    let sum = (libm::sqrt(coordinates as f64) * norm).min(norm * norm);
    let best = ORDERS
        .map(|order| {
            let rdp = f64::from(participations) * rdp(order, norm * norm, sum, variance);
            epsilon_of(order, rdp, delta)
        })
        .fold(f64::INFINITY, f64::min);
    best.is_finite().then_some(best.max(0.0))
}

/// The theorem's right side, with the square of D2.
fn rdp(order: u32, norm_squared: f64, sum: f64, variance: f64) -> f64 {
    let order = f64::from(order);
    let steps = ((2.0 * order - 1.0) * norm_squared + 6.0 * sum) / (4.0 * variance * variance);
    order * norm_squared / (2.0 * variance) + steps.min(3.0 * sum / (2.0 * variance))
}

/// Proposition 12.
fn epsilon_of(order: u32, rdp: f64, delta: f64) -> f64 {
    let order = f64::from(order);
    rdp + libm::log1p(-1.0 / order) - (libm::log(delta) + libm::log(order)) / (order - 1.0)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn epsilon(steps: u32, coordinates: usize, noise_multiplier: f32) -> f64 {
        let quantiser = Quantiser {
            levels: 2 * steps,
            bound: 1.0,
            weight_max: 1,
        };
        let dp = Dp {
            noise_multiplier,
            clip: 1.0,
            honest: 46,
        };
        skellam_epsilon(&dp, &quantiser, coordinates, 1, 1e-6).unwrap_or(f64::NAN)
    }

    /// The same bound evaluated by another program, to the digits that it printed: at 2^8, 2^12 and
    /// 2^14 steps to a unit, for 10,000, 100,000 and 2^20 coordinates, at noise multipliers 1 and 4.
    #[test]
    fn epsilon_is_that_of_an_independent_computation() {
        let table = [
            (1 << 8, [[5.351, 1.169], [6.298, 1.363], [13.47, 2.740]]),
            (
                1 << 12,
                [[5.2236, 1.1434], [5.2277, 1.1443], [5.2701, 1.1531]],
            ),
            (
                1 << 14,
                [[5.2226, 1.1432], [5.2229, 1.1433], [5.2255, 1.1438]],
            ),
        ];
        for (steps, rows) in table {
            for (coordinates, row) in [10_000, 100_000, 1 << 20].into_iter().zip(rows) {
                for (noise_multiplier, expected) in [1.0, 4.0].into_iter().zip(row) {
                    let found = epsilon(steps, coordinates, noise_multiplier);
                    assert!((found / expected - 1.0).abs() < 5e-4, "{found} {expected}");
                }
            }
        }
        // Steps so fine that nothing but the conversion is left.
        assert!((epsilon(1 << 30, 10_000, 1.0) - 5.2224).abs() < 1e-4);
        assert!((epsilon(1 << 30, 10_000, 4.0) - 1.1432).abs() < 1e-4);
    }

    #[test]
    fn it_is_never_below_the_exact_epsilon_of_gaussian_noise() {
        for noise_multiplier in [0.5_f32, 1.0, 2.0, 4.0, 10.0] {
            for steps in [1 << 9, 1 << 12, 1 << 20] {
                let gaussian = super::super::epsilon(noise_multiplier.into(), 1, 1e-6);
                let found = epsilon(steps, 10_000, noise_multiplier);
                assert!(Some(found) > gaussian, "{found} {gaussian:?}");
            }
        }
    }

    /// The divergence of one coordinate, summed over both laws.
    fn exact_rdp(order: u32, shift: usize, variance: f64) -> f64 {
        let law = skellam(variance, 200);
        let ratio = |at: usize| libm::pow(law[at] / law[at + shift], f64::from(order) - 1.0);
        let sum: f64 = (60..340).map(|at| law[at] * ratio(at)).sum();
        libm::log(sum) / (f64::from(order) - 1.0)
    }

    /// Probabilities of the integers from `-reach` to `reach`.
    fn skellam(variance: f64, reach: usize) -> Vec<f64> {
        let mean = variance / 2.0;
        let mut poisson = alloc::vec![libm::exp(-mean)];
        for count in 1..3 * reach {
            poisson.push(poisson[count - 1] * mean / count as f64);
        }
        (0..=2 * reach)
            .map(|at| at.abs_diff(reach))
            .map(|value| {
                poisson
                    .iter()
                    .zip(&poisson[value..])
                    .map(|(p, q)| p * q)
                    .sum()
            })
            .collect()
    }

    #[test]
    fn the_bound_is_above_the_exact_divergence_and_not_far() {
        for variance in [8.0, 20.0, 60.0] {
            for shift in [1, 2, 3] {
                for order in [2, 3, 5, 8] {
                    let length = shift as f64;
                    let bound = rdp(order, length * length, length, variance);
                    let exact = exact_rdp(order, shift, variance);
                    assert!(
                        exact <= bound,
                        "{variance} {shift} {order}: {exact} {bound}"
                    );
                    // The more noise, the less of the bound is the price of whole steps.
                    let gaussian = f64::from(order) * length * length / (2.0 * variance);
                    let near = 1.0 + 8.0 * f64::from(order) / variance;
                    assert!(bound < near * gaussian, "{variance} {shift} {order}");
                }
            }
        }
    }

    #[test]
    fn participations_cost_and_noise_that_is_none_promises_nothing() {
        let quantiser = Quantiser {
            levels: 1 << 14,
            bound: 1.0,
            weight_max: 1,
        };
        let at = |noise_multiplier, participations, delta| {
            let dp = Dp {
                noise_multiplier,
                clip: 1.0,
                honest: 10,
            };
            skellam_epsilon(&dp, &quantiser, 1_000, participations, delta)
        };
        assert!(at(1.0, 1, 1e-6) < at(1.0, 2, 1e-6));
        assert!(at(2.0, 1, 1e-6) < at(1.0, 1, 1e-6));
        // Eight releases at a multiplier of 4 and delta 1e-6.
        let eight = at(4.0, 8, 1e-6).unwrap_or(f64::NAN);
        assert!((eight / 3.542 - 1.0).abs() < 1e-3, "{eight}");
        assert_eq!(at(1.0, 0, 1e-6), Some(0.0));
        for (noise_multiplier, delta) in [(0.0, 1e-6), (f32::NAN, 1e-6), (1.0, 0.0), (1.0, 1.0)] {
            assert_eq!(at(noise_multiplier, 1, delta), None);
        }
    }
}

//! What Gaussian noise on a sum promises: the exact privacy loss of the Gaussian mechanism.
//!
//! With `mu` the sensitivity over the noise's standard deviation, the mechanism is
//! (epsilon, delta)-differentially private exactly where
//! `Phi(mu/2 - epsilon/mu) - e^epsilon·Phi(-mu/2 - epsilon/mu) <= delta`
//! (Balle and Wang 2018, "Improving the Gaussian Mechanism for Differential Privacy", theorem 8).
//! Taking part `k` times, each time under fresh noise of the same size, is one Gaussian mechanism
//! of `sqrt(k)` times the sensitivity, adaptive or not (Dong, Roth and Su 2022, "Gaussian
//! Differential Privacy", corollary 3.3), so `k` participations need no bound of their own.
//!
//! For the noise that clients make themselves: [`skellam_epsilon`].

mod skellam;

pub use skellam::skellam_epsilon;

use core::f64::consts::{FRAC_1_SQRT_2, PI, SQRT_2};

/// From here on the continued fraction is as exact as the quotient, and nothing underflows.
const FAR_TAIL: f64 = 8.0;
/// Levels of the continued fraction: at [`FAR_TAIL`] more change nothing.
const FRACTION_LEVELS: u32 = 80;

/// The smallest epsilon at `delta` after so many participations with a noise multiplier, which is
/// the noise's standard deviation over the clip norm. `None` where there is none: no noise, or
/// arguments that are no noise and no probability.
#[must_use]
pub fn epsilon(noise_multiplier: f64, participations: u32, delta: f64) -> Option<f64> {
    let is_noise = noise_multiplier.is_finite() && noise_multiplier > 0.0;
    let is_probability = delta > 0.0 && delta < 1.0;
    if !is_noise || !is_probability {
        return None;
    }
    if participations == 0 {
        return Some(0.0);
    }
    let mu = libm::sqrt(f64::from(participations)) / noise_multiplier;
    if !mu.is_finite() {
        return None;
    }
    if delta_at(mu, 0.0) <= delta {
        return Some(0.0);
    }
    let mut above = 1.0;
    while delta_at(mu, above) > delta {
        above *= 2.0;
    }
    if !above.is_finite() {
        return None;
    }
    let mut below = if above > 1.0 { above / 2.0 } else { 0.0 };
    // Delta falls as epsilon grows: halve the interval until no number is left inside.
    loop {
        let middle = below + (above - below) / 2.0;
        let is_inside = below < middle && middle < above;
        if !is_inside {
            return Some(above);
        }
        if delta_at(mu, middle) > delta {
            below = middle;
        } else {
            above = middle;
        }
    }
}

/// Theorem 8's left side. With `a = mu/2 - epsilon/mu` and `b = mu/2 + epsilon/mu`, the second term
/// is `phi(a)·Phi(-b)/phi(b)`: the exponential never stands alone, so it cannot overflow.
fn delta_at(mu: f64, epsilon: f64) -> f64 {
    let a = mu / 2.0 - epsilon / mu;
    let b = mu / 2.0 + epsilon / mu;
    cumulative(a) - density(a) * tail_over_density(b)
}

/// The standard normal's distribution function.
fn cumulative(x: f64) -> f64 {
    0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
}

/// The standard normal's density.
fn density(x: f64) -> f64 {
    libm::exp(-0.5 * x * x) / libm::sqrt(2.0 * PI)
}

/// `Phi(-x)/phi(x)` for `x >= 0`: Mills' ratio, far out by its continued fraction
/// `1/(x + 1/(x + 2/(x + ...)))` (Abramowitz and Stegun 1964, 26.2.14).
fn tail_over_density(x: f64) -> f64 {
    if x < FAR_TAIL {
        return libm::erfc(x / SQRT_2) * libm::exp(0.5 * x * x) * libm::sqrt(PI / 2.0);
    }
    let inner = (1..=FRACTION_LEVELS)
        .rev()
        .fold(x, |below, level| x + f64::from(level) / below);
    1.0 / inner
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELTA: f64 = 1e-5;

    fn assert_near(found: Option<f64>, expected: f64, tolerance: f64) {
        let found = found.unwrap_or(f64::NAN);
        assert!(
            (found - expected).abs() <= tolerance * expected,
            "{found} is not {expected}"
        );
    }

    /// Theorem 8 solved with mpmath 1.3 at 60 digits: `ncdf(mu/2 - e/mu) - exp(e)*ncdf(-mu/2 - e/mu)`
    /// halved to `delta`. The second row is the noise for epsilon 1 that the authors'
    /// own calibration finds, 3.730632.
    #[test]
    fn epsilon_is_that_of_an_independent_computation() {
        for (noise, participations, delta, expected) in [
            (1.0, 1, DELTA, 4.377_178_095_681_224_6),
            (3.730_631_634_815_942, 1, DELTA, 1.0),
            (0.5, 1, DELTA, 9.997_256_146_434_3),
            (10.0, 1, DELTA, 0.340_669_364_684_326_4),
            (100.0, 1, DELTA, 0.027_219_419_814_577_135),
            (1.0, 10, DELTA, 17.856_586_830_107_613),
            (4.0, 100, 1e-6, 14.450_776_965_991_357),
            (0.1, 1, DELTA, 91.817_289_624_663_74),
            (0.02, 7, DELTA, 9_313.207_819_474_566),
        ] {
            assert_near(epsilon(noise, participations, delta), expected, 1e-10);
        }
    }

    #[test]
    fn the_promise_is_exact_at_the_epsilon_found() {
        for noise in [0.05, 0.3, 1.0, 2.5, 20.0] {
            for participations in [1, 3, 40] {
                let found = epsilon(noise, participations, DELTA).unwrap_or(f64::NAN);
                let mu = libm::sqrt(f64::from(participations)) / noise;
                assert!(delta_at(mu, found) <= DELTA);
                assert!(delta_at(mu, found * (1.0 - 1e-9)) > DELTA, "{noise}");
            }
        }
    }

    #[test]
    fn less_noise_and_more_participations_promise_less() {
        let at = |noise, count| epsilon(noise, count, DELTA).unwrap_or(f64::NAN);
        for pair in [0.2, 0.5, 1.0, 2.0, 4.0].windows(2) {
            assert!(at(pair[0], 1) > at(pair[1], 1));
        }
        for count in 1..50 {
            assert!(at(1.0, count) < at(1.0, count + 1));
        }
        // Four times as often is half the noise.
        assert_near(epsilon(2.0, 4, DELTA), at(1.0, 1), 1e-12);
        assert!(epsilon(1.0, 1, 1e-9) > epsilon(1.0, 1, 1e-3));
    }

    #[test]
    fn without_noise_or_a_probability_there_is_no_epsilon() {
        for noise in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(epsilon(noise, 1, DELTA), None);
        }
        for delta in [0.0, 1.0, -0.1, f64::NAN] {
            assert_eq!(epsilon(1.0, 1, delta), None);
        }
        assert_eq!(epsilon(1.0, 0, DELTA), Some(0.0));
        // So much noise that delta alone covers it.
        assert_eq!(epsilon(1e6, 1, DELTA), Some(0.0));
        // So little that no number is large enough.
        assert_eq!(epsilon(1e-300, 1, DELTA), None);
    }

    #[test]
    fn both_forms_of_the_tail_meet() {
        let quotient = libm::erfc(FAR_TAIL / SQRT_2)
            * libm::exp(0.5 * FAR_TAIL * FAR_TAIL)
            * libm::sqrt(PI / 2.0);
        assert_near(Some(tail_over_density(FAR_TAIL)), quotient, 1e-13);
        assert!(tail_over_density(1e8) > 0.0);
    }
}

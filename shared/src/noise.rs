//! Noise inside the sum: every client adds a share of it before it masks, so that no one ever holds
//! the sum without it.
//!
//! A share is symmetric Skellam: the difference of two independent Poisson variables of one mean,
//! an integer. Sums of Skellam variables are Skellam and their variances add, so the noise of a sum is
//! known exactly whoever survived (Agarwal, Kairouz and Liu 2021, "The Skellam Mechanism for
//! Differentially Private Federated Learning"). With `s = L / (2B)` steps of the
//! quantiser to a unit, the variance of one share is `(z s C)^2 / h`, in squared steps: the `h`
//! honest inputs that any opened sum holds carry `z` times the clip norm together, further
//! survivors add to it.
//!
//! **Exactness.** Poisson variables come from `rand_distr`, in f64: below a mean of 12 by products of
//! uniforms (Knuth), above by Ahrens and Dieter 1982, "Computer Generation of Poisson Deviates from
//! Modified Normal Distributions", algorithm PD. In real numbers the first is exact; the second is
//! but for its table and its expansion of a discrete normal. The law of PD with those, evaluated
//! at 40 digits for means of 12 to 30,000, is within 2 in 10^9 of Poisson's in total variation, and
//! each outcome within eight standard deviations has its probability up to a factor of
//! `1 ± 10^-7`; by the way it comes about that does not grow with the mean. Rounding adds less:
//! uniforms are multiples of 2^-53, so what is rarer than that is missed, and a deviate of mean m is
//! rounded to a multiple of `m 2^-52`, which [`MAX_VARIANCE`] holds far below one step. A sampler in
//! exact rational arithmetic (Canonne, Kamath and Steinke 2020) costs over a hundred times as much.
//! The integers carry no trace of the floats that they were made with, so the low bits of a float
//! betray nothing (Mironov 2012, "On Significance of the Least Significant Bits for Differential
//! Privacy").
//!
//! **Time** depends on what is drawn; an observer of a client's clock is outside the model.
//!
//! Its random source is ChaCha20 under a key fresh from [`Entropy`]. Not here: what the noise
//! promises ([`crate::dp`]).

use chacha20::ChaCha20Rng;
use rand_distr::{Distribution, Poisson};

use crate::entropy::{self, Entropy};
use crate::task::{Dp, Quantiser};

/// Largest variance of one share, in squared steps: a standard deviation of 2^20 steps.
pub const MAX_VARIANCE: f64 = 1_099_511_627_776.0;

/// How far noise may carry a coordinate, in standard deviations.
const MARGIN_DEVIATIONS: f64 = 8.0;

/// Added to the margin for small variances, whose tails are heavier than a normal's. By Bernstein's
/// inequality for steps of one, noise of any variance exceeds eight deviations and 24 with a
/// probability below `2 exp(-32)`, 3 in 10^14.
const MARGIN_STEPS: f64 = 24.0;

/// A client's noise, one integer for each coordinate. Its random state is wiped when dropped.
pub struct Noise {
    poisson: Option<Poisson<f64>>,
    stream: ChaCha20Rng,
}

impl Noise {
    /// Noise of this variance in squared steps; nothing if it is negative, no number or above
    /// [`MAX_VARIANCE`].
    #[must_use]
    pub fn new(variance: f64, entropy: &mut dyn Entropy) -> Option<Self> {
        if !(0.0..=MAX_VARIANCE).contains(&variance) {
            return None;
        }
        Some(Self {
            // A mean of zero is no Poisson variable to the library: it is always zero.
            poisson: Poisson::new(variance / 2.0).ok(),
            stream: entropy::stream(entropy),
        })
    }

    /// The next integer.
    pub fn sample(&mut self) -> i64 {
        let Some(poisson) = &self.poisson else {
            return 0;
        };
        let plus = poisson.sample(&mut self.stream);
        let minus = poisson.sample(&mut self.stream);
        // Both are whole numbers below 2^53.
        (plus - minus) as i64
    }
}

/// Steps of the quantiser to one unit of the update: `s = L / (2B)`.
#[must_use]
pub fn steps_per_unit(quantiser: &Quantiser) -> f64 {
    f64::from(quantiser.levels) / (2.0 * f64::from(quantiser.bound))
}

/// Variance of one client's share, in squared steps: `(z s C)^2 / h`. Zero without noise.
#[must_use]
pub fn share_variance(dp: &Dp, quantiser: &Quantiser) -> f64 {
    if !dp.has_noise() {
        return 0.0;
    }
    let deviation = f64::from(dp.noise_multiplier) * steps_per_unit(quantiser) * f64::from(dp.clip);
    deviation * deviation / f64::from(dp.honest)
}

/// How far, in steps, the noise of so many clients may carry a coordinate of a sum beyond its range:
/// eight standard deviations, and 24. Zero without noise; saturates.
#[must_use]
pub fn margin(dp: &Dp, quantiser: &Quantiser, clients: u16) -> u64 {
    if !dp.has_noise() {
        return 0;
    }
    let deviation = libm::sqrt(share_variance(dp, quantiser) * f64::from(clients));
    // The cast saturates.
    libm::ceil(MARGIN_DEVIATIONS * deviation + MARGIN_STEPS) as u64
}

/// The L2 norm, in steps, that a rounded update of so many coordinates is held to:
/// `sqrt(c^2 + d/4 + sqrt(2 ln(1/beta)) (c + sqrt(d)/2))` with `c = s C` and `beta = e^(-1/2)`, for
/// which that root is 1, and never more than `c + sqrt(d)`, which rounding cannot exceed (Kairouz,
/// Liu and Steinke 2021, "The Distributed Discrete Gaussian Mechanism for Federated Learning with
/// Secure Aggregation", algorithm 1).
#[must_use]
pub fn rounded_norm(dp: &Dp, quantiser: &Quantiser, coordinates: usize) -> f64 {
    let clip = steps_per_unit(quantiser) * f64::from(dp.clip);
    let coordinates = coordinates as f64;
    let root = libm::sqrt(coordinates);
    let likely = clip * clip + coordinates / 4.0 + clip + root / 2.0;
    libm::sqrt(likely).min(clip + root)
}

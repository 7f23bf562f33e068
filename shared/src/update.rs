//! A client's update, frozen: rounded to integers once, used in one round, never shown.
//!
//! In this order, as far as the task names it: clipped to an L2 norm, rotated, clipped coordinate by
//! coordinate, rounded at random, noise added.

use alloc::vec::Vec;

use chacha20::ChaCha20Rng;
use zeroize::Zeroizing;

use crate::entropy::{self, Entropy};
use crate::fixed_point;
use crate::noise::{self, Noise};
use crate::rotation::Rotation;
use crate::task::{AdapterLayout, Quantiser, TaskConfig, TaskError};

/// How often an update is rounded anew whose norm came out above the bound. One rounding is within it
/// with a probability of at least 1 - e^(-1/2), 0.39, so so many are in vain with less than 2^-92.
const ROUNDINGS: u32 = 128;

/// An update that cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// The task's settings make no sense.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The vector does not have the payload's length.
    #[error("the update has {actual} values, the task's payload {expected}")]
    WrongLength {
        /// The payload's.
        expected: usize,
        /// The vector's.
        actual: usize,
    },
    /// A value is NaN or infinite, or so large that rotating it makes it so.
    #[error("the update has a value that is not finite")]
    NotFinite,
    /// There were no examples.
    #[error("an update needs at least one example")]
    NoExamples,
}

/// An update as integers, the weight last. A round consumes it; it cannot be copied, printed or
/// used twice, and its memory is wiped.
///
/// Two sums that differ in one update give it away, so an update whose round was aborted is never
/// offered again. A second round with the same one does not compile:
///
/// ```compile_fail,E0382
/// # use choir_shared::{entropy::Entropy, round::{ClientRound, JoinSetup}, update::FrozenUpdate};
/// fn twice(setup: &JoinSetup<'_>, update: FrozenUpdate, entropy: &mut dyn Entropy) {
///     let first = ClientRound::join(setup, update, entropy);
///     let again = ClientRound::join(setup, update, entropy);
/// }
/// ```
///
/// nor does a copy of it:
///
/// ```compile_fail,E0277
/// # use choir_shared::update::FrozenUpdate;
/// fn copy<T: Clone>(update: &T) -> T {
///     update.clone()
/// }
/// fn copied(update: &FrozenUpdate) -> FrozenUpdate {
///     copy(update)
/// }
/// ```
///
/// Once does:
///
/// ```
/// # use choir_shared::{entropy::Entropy, round::{ClientRound, JoinSetup}, update::FrozenUpdate};
/// fn once(setup: &JoinSetup<'_>, update: FrozenUpdate, entropy: &mut dyn Entropy) {
///     let first = ClientRound::join(setup, update, entropy);
/// }
/// ```
pub struct FrozenUpdate {
    words: Zeroizing<Vec<u32>>,
    clipped: usize,
}

impl FrozenUpdate {
    /// Rounds `values`, the update of `example_count` examples, and adds the noise that the task
    /// names.
    ///
    /// # Errors
    /// [`UpdateError`] if the vector is not an update of this task.
    pub fn new(
        values: &[f32],
        example_count: u32,
        task: &TaskConfig,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, UpdateError> {
        task.check()?;
        let layout = AdapterLayout::new(task)?;
        if values.len() != layout.len() {
            return Err(UpdateError::WrongLength {
                expected: layout.len(),
                actual: values.len(),
            });
        }
        if example_count == 0 {
            return Err(UpdateError::NoExamples);
        }
        let values = prepared(values, task)?;
        let quantiser = &task.quantiser;
        let weight = fixed_point::weight(quantiser, example_count);
        let mut rounding = entropy::stream(entropy);
        let mut words = if task.dp.has_noise() {
            let bound = noise::rounded_norm(&task.dp, quantiser, values.len());
            let mut words = round_within(bound, &values, quantiser, &mut rounding);
            add_noise(&mut words, task, entropy)?;
            words
        } else {
            round(&values, weight, quantiser, &mut rounding)
        };
        words.push(weight);
        let clipped = values
            .iter()
            .filter(|value| value.abs() > quantiser.bound)
            .count();
        Ok(Self { words, clipped })
    }

    /// How many values were outside the quantiser's bound and were clipped to it, counted after
    /// clipping to the norm and rotating.
    #[must_use]
    pub const fn clipped(&self) -> usize {
        self.clipped
    }

    /// The plain elements of the task's ring, noise included, for tests that compare a published
    /// sum with the plain one.
    #[cfg(any(feature = "observe", feature = "test-util"))]
    #[must_use]
    pub fn plain_words(&self) -> &[u32] {
        &self.words
    }

    /// Gives up the integers, to be masked.
    pub(crate) fn into_words(self) -> Zeroizing<Vec<u32>> {
        self.words
    }

    pub(crate) fn len(&self) -> usize {
        self.words.len()
    }
}

/// The values clipped to the task's L2 norm and rotated.
fn prepared(values: &[f32], task: &TaskConfig) -> Result<Zeroizing<Vec<f32>>, UpdateError> {
    // Room for what is pushed onto the words later is no concern here: this never grows.
    let mut values = Zeroizing::new(values.to_vec());
    ensure_finite(&values)?;
    if task.dp.clip > 0.0 {
        clip_to_norm(&mut values, task.dp.clip);
    }
    if task.rotation {
        Rotation::new(&task.seed).apply(&mut values);
        ensure_finite(&values)?;
    }
    Ok(values)
}

fn ensure_finite(values: &[f32]) -> Result<(), UpdateError> {
    if values.iter().all(|value| value.is_finite()) {
        Ok(())
    } else {
        Err(UpdateError::NotFinite)
    }
}

/// Scales the values down to the L2 norm `clip` if theirs is larger.
fn clip_to_norm(values: &mut [f32], clip: f32) {
    let squares: f64 = values
        .iter()
        .map(|&value| f64::from(value) * f64::from(value))
        .sum();
    let scale = f64::from(clip) / libm::sqrt(squares);
    if scale < 1.0 {
        for value in values {
            *value = (f64::from(*value) * scale) as f32;
        }
    }
}

/// Every value rounded at random, with room for the weight.
fn round(
    values: &[f32],
    weight: u32,
    quantiser: &Quantiser,
    rounding: &mut ChaCha20Rng,
) -> Zeroizing<Vec<u32>> {
    let mut words = Zeroizing::new(Vec::with_capacity(values.len() + 1));
    let rounded = values
        .iter()
        .map(|&x| fixed_point::quantise(x, weight, quantiser, rounding));
    words.extend(rounded);
    words
}

/// The same with weight 1, until the integers' distance from the level of zero is at most `bound`.
///
/// If none of [`ROUNDINGS`] is, every value is rounded towards zero, which moves none of them away
/// from it: the promise holds then too, at the price of a bias that nobody will live to see.
fn round_within(
    bound: f64,
    values: &[f32],
    quantiser: &Quantiser,
    rounding: &mut ChaCha20Rng,
) -> Zeroizing<Vec<u32>> {
    let zero = quantiser.levels / 2;
    (0..ROUNDINGS)
        .map(|_| round(values, 1, quantiser, rounding))
        .find(|words| norm(words, zero) <= bound)
        .unwrap_or_else(|| round_towards_zero(values, quantiser))
}

/// The L2 norm of the integers, seen from `zero`.
fn norm(words: &[u32], zero: u32) -> f64 {
    let square = |&word: &u32| u128::from(word.abs_diff(zero)).pow(2);
    let squares: u128 = words.iter().map(square).sum();
    libm::sqrt(squares as f64)
}

fn round_towards_zero(values: &[f32], quantiser: &Quantiser) -> Zeroizing<Vec<u32>> {
    let (zero, steps) = (quantiser.levels / 2, noise::steps_per_unit(quantiser));
    let mut words = Zeroizing::new(Vec::with_capacity(values.len() + 1));
    words.extend(values.iter().map(|&x| {
        let bounded = f64::from(x.clamp(-quantiser.bound, quantiser.bound));
        // The cast rounds towards zero.
        zero.saturating_add_signed((bounded * steps) as i32)
    }));
    words
}

fn add_noise(
    words: &mut [u32],
    task: &TaskConfig,
    entropy: &mut dyn Entropy,
) -> Result<(), TaskError> {
    let variance = noise::share_variance(&task.dp, &task.quantiser);
    let mut noise = Noise::new(variance, entropy).ok_or(TaskError::NoiseSize)?;
    let ring = task.ring();
    for word in words {
        // Wraps modulo 2^32, of which 2^r is a divisor.
        *word = word.wrapping_add(noise.sample() as u32) & ring.mask();
    }
    Ok(())
}

#[cfg(all(test, feature = "test-util"))]
mod tests {
    use super::*;
    use crate::entropy::InsecureSeededEntropy;

    const QUANTISER: Quantiser = Quantiser {
        levels: 100,
        bound: 1.0,
        weight_max: 1,
    };

    fn stream() -> ChaCha20Rng {
        entropy::stream(&mut InsecureSeededEntropy::new(8))
    }

    #[test]
    fn an_update_is_rounded_until_its_norm_is_within_the_bound() {
        // Half a step each: every coordinate becomes 0 or 1 step, as likely as not.
        let values = [0.01; 64];
        for bound in [5.0, 5.5, 6.0] {
            let words = round_within(bound, &values, &QUANTISER, &mut stream());
            assert!(norm(&words, 50) <= bound);
            // Not by the last resort, which would round them all to zero.
            assert!(norm(&words, 50) > 3.0);
        }
        let free = round(&values, 1, &QUANTISER, &mut stream());
        assert!(norm(&free, 50) > 5.0, "the bound had something to do");
    }

    #[test]
    fn a_bound_that_no_rounding_meets_is_met_by_rounding_towards_zero() {
        let values = [0.01, -0.01, 0.035, -0.999, 3.0, -3.0, 0.0, 0.021];
        let words = round_within(0.0, &values, &QUANTISER, &mut stream());
        assert_eq!(words[..], [50, 50, 51, 1, 100, 0, 50, 51]);
        assert!(words.capacity() > words.len(), "room for the weight");
    }

    #[test]
    fn clipping_scales_down_to_the_norm_and_never_up() {
        let mut long = [3.0, -4.0, 0.0];
        clip_to_norm(&mut long, 1.0);
        assert_eq!(long, [0.6, -0.8, 0.0]);
        let mut short = [0.3, -0.4, 0.0];
        clip_to_norm(&mut short, 1.0);
        assert_eq!(short, [0.3, -0.4, 0.0]);
        let mut none = [0.0; 3];
        clip_to_norm(&mut none, 1.0);
        assert_eq!(none, [0.0; 3]);
        let mut huge = [f32::MAX; 4];
        clip_to_norm(&mut huge, 2.0);
        assert_eq!(huge, [1.0; 4]);
    }
}

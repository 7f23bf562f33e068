//! Real numbers as integers of the ring Z_2^r, and back.
//!
//! A coordinate `x` is clipped to `[-B, B]` and becomes `w (x + B) L / (2B)`, rounded up or down at
//! random so that its expectation is exact. Each client adds an integer in `[0, w L]` with
//! `w <= w_max`; as `n w_max L < 2^r`, the residue of the sum modulo 2^r is the integer sum,
//! whatever the masks were. Noise ([`crate::noise`]) may carry a coordinate beyond that range by a
//! margin on either side; then `n L` and two margins fit, and residues near 2^r are negative.

use alloc::vec::Vec;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::Rng;

use crate::noise;
use crate::rotation::Rotation;
use crate::secure_sum::Ring;
use crate::task::{Dp, Quantiser, TaskConfig};

/// How many integers a coordinate of a sum of `clients` updates may take, less one: `n w_max L` and
/// a margin for noise on either side. Saturates.
fn span(quantiser: &Quantiser, dp: &Dp, clients: u16) -> u64 {
    let client = u64::from(quantiser.weight_max) * u64::from(quantiser.levels);
    let margins = noise::margin(dp, quantiser, clients).saturating_mul(2);
    client
        .saturating_mul(u64::from(clients))
        .saturating_add(margins)
}

/// Whether the sum of `clients` updates stays below 2^32; with noise below 2^31, so that a vector of
/// garbage is noticed.
#[must_use]
pub fn sum_fits(quantiser: &Quantiser, dp: &Dp, clients: u16) -> bool {
    let bits = if dp.has_noise() { 31 } else { 32 };
    span(quantiser, dp, clients) < 1 << bits
}

/// The ring that sums of `clients` updates need: the smallest of 16, 24 and 32 bits in which a
/// vector of garbage is noticed, as half of its elements or more are no sum; with 32 bits and
/// without noise there may be no such slack.
#[must_use]
pub fn ring(quantiser: &Quantiser, dp: &Dp, clients: u16) -> Ring {
    let span = span(quantiser, dp, clients);
    let smallest = [16, 24].into_iter().find(|&bits| span < 1 << (bits - 1));
    smallest.and_then(Ring::new).unwrap_or(Ring::FULL)
}

/// The weight of an update over `example_count` examples.
#[must_use]
pub fn weight(quantiser: &Quantiser, example_count: u32) -> u32 {
    example_count.clamp(1, quantiser.weight_max)
}

/// One coordinate of a client with this `weight`, in `[0, weight * levels]`.
pub(crate) fn quantise(
    x: f32,
    weight: u32,
    quantiser: &Quantiser,
    rounding: &mut ChaCha20Rng,
) -> u32 {
    let bound = f64::from(quantiser.bound);
    let clipped = f64::from(x).clamp(-bound, bound);
    let top = f64::from(weight) * f64::from(quantiser.levels);
    let scaled = ((clipped + bound) / (2.0 * bound) * top).clamp(0.0, top);
    // `scaled` is not negative, so the cast is the floor.
    let floor = scaled as u32;
    floor + u32::from(uniform(rounding) < scaled - f64::from(floor))
}

/// Uniform in `[0, 1)`, a multiple of 2^-32.
fn uniform(random: &mut ChaCha20Rng) -> f64 {
    f64::from(random.next_u32()) / 4_294_967_296.0
}

/// Whether every coordinate can be the sum of this many updates, and the last their total weight.
///
/// A vector made with a wrong key makes the sum uniform, and a coordinate of it is out of range with
/// probability above a half: what passes here passes by accident only with 2^-d. With noise a sum
/// of sound updates is refused with a probability below 3 in 10^14 for each coordinate
/// ([`noise::margin`]).
#[must_use]
pub fn in_range(sum: &[u32], quantiser: &Quantiser, dp: &Dp, survivors: u16, ring: Ring) -> bool {
    let Some((&weight, values)) = sum.split_last() else {
        return false;
    };
    let most = u64::from(survivors) * u64::from(quantiser.weight_max);
    if !(u64::from(survivors)..=most).contains(&u64::from(weight)) {
        return false;
    }
    let margin = noise::margin(dp, quantiser, survivors);
    let top = (u64::from(weight) * u64::from(quantiser.levels)).saturating_add(margin);
    let negative = (u64::from(ring.mask()) + 1).saturating_sub(margin);
    values.iter().all(|&word| {
        u64::from(word) <= top || (negative..=u64::from(ring.mask())).contains(&u64::from(word))
    })
}

/// The weighted mean that a sum of this task's updates stands for; the sum's last word is the total
/// weight.
///
/// Gives nothing when the total weight is zero.
#[must_use]
pub fn mean(sum: &[u32], task: &TaskConfig) -> Option<Vec<f32>> {
    let mut mean = weighted_mean(sum, &task.quantiser, &task.dp, task.ring())?;
    if task.rotation {
        Rotation::new(&task.seed).undo(&mut mean);
    }
    Some(mean)
}

/// The weighted mean of what the integers stand for, still rotated if they were.
fn weighted_mean(sum: &[u32], quantiser: &Quantiser, dp: &Dp, ring: Ring) -> Option<Vec<f32>> {
    let (&total_weight, values) = sum.split_last()?;
    if total_weight == 0 {
        return None;
    }
    let bound = f64::from(quantiser.bound);
    let step = 2.0 * bound / (f64::from(quantiser.levels) * f64::from(total_weight));
    // With noise every weight is one, so the total weight is the number of survivors.
    let survivors = u16::try_from(total_weight).unwrap_or(u16::MAX);
    let modulus = u64::from(ring.mask()) + 1;
    let negative = modulus.saturating_sub(noise::margin(dp, quantiser, survivors));
    let signed = |word: u32| {
        if u64::from(word) < negative {
            f64::from(word)
        } else {
            f64::from(word) - modulus as f64
        }
    };
    Some(
        values
            .iter()
            .map(|&word| (signed(word) * step - bound) as f32)
            .collect(),
    )
}

/// Federated averaging: adds the mean update to the global adapter, in f32, in index order.
///
/// # Panics
/// If the lengths differ.
pub fn apply_mean(adapter: &mut [f32], mean: &[f32]) {
    assert_eq!(
        adapter.len(),
        mean.len(),
        "an adapter and its mean update have one length"
    );
    for (value, change) in adapter.iter_mut().zip(mean) {
        *value += change;
    }
}

/// An adapter as it is stored: little-endian f32.
#[must_use]
pub fn adapter_bytes(adapter: &[f32]) -> Vec<u8> {
    adapter
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// The inverse of [`adapter_bytes`]; nothing if the length is no multiple of 4.
#[must_use]
pub fn adapter_from_bytes(bytes: &[u8]) -> Option<Vec<f32>> {
    let words = bytes.chunks_exact(4);
    if !words.remainder().is_empty() {
        return None;
    }
    Some(
        words
            .map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]]))
            .collect(),
    )
}

//! Real numbers as integers of the ring Z_2^32, and back.
//!
//! A coordinate `x` is clipped to `[-B, B]` and becomes `w (x + B) L / (2B)`, rounded up or down at
//! random so that its expectation is exact. Each client adds an integer in `[0, w L]` with
//! `w <= w_max`; as `n w_max L < 2^32`, the residue of the sum modulo 2^32 is the integer sum,
//! whatever the masks were.

use alloc::vec::Vec;

use chacha20::cipher::StreamCipher;
use chacha20::{ChaCha20, KeyIvInit};
use zeroize::Zeroize;

use crate::entropy::{self, Entropy};
use crate::secure_sum::Ring;
use crate::task::Quantiser;

/// Whether the sum of `clients` updates stays below 2^32.
#[must_use]
pub fn sum_fits(quantiser: &Quantiser, clients: u16) -> bool {
    let client = u64::from(quantiser.weight_max) * u64::from(quantiser.levels);
    client
        .checked_mul(u64::from(clients))
        .is_some_and(|sum| sum <= u64::from(u32::MAX))
}

/// The ring that sums of `clients` updates need: the smallest of 16, 24 and 32 bits in which a
/// vector of garbage is noticed, as half of its elements or more are no sum; with 32 bits there may
/// be no such slack.
#[must_use]
pub fn ring(quantiser: &Quantiser, clients: u16) -> Ring {
    let client = u64::from(quantiser.weight_max) * u64::from(quantiser.levels);
    let sum = client.saturating_mul(u64::from(clients));
    let smallest = [16, 24].into_iter().find(|&bits| sum < 1 << (bits - 1));
    smallest.and_then(Ring::new).unwrap_or(Ring::FULL)
}

/// The weight of an update over `example_count` examples.
#[must_use]
pub fn weight(quantiser: &Quantiser, example_count: u32) -> u32 {
    example_count.clamp(1, quantiser.weight_max)
}

/// Random bits for rounding: a ChaCha20 stream under a fresh key.
pub(crate) struct Rounding {
    stream: ChaCha20,
    tile: [u8; 1024],
    used: usize,
}

impl Rounding {
    pub(crate) fn new(entropy: &mut dyn Entropy) -> Self {
        let mut key = entropy::array::<32>(entropy);
        let stream = ChaCha20::new(&key.into(), &[0; 12].into());
        key.zeroize();
        Self {
            stream,
            tile: [0; 1024],
            used: 1024,
        }
    }

    /// Uniform in `[0, 1)`, a multiple of 2^-32.
    fn uniform(&mut self) -> f64 {
        if self.used == self.tile.len() {
            self.tile.fill(0);
            self.stream.apply_keystream(&mut self.tile);
            self.used = 0;
        }
        let mut word = [0; 4];
        word.copy_from_slice(&self.tile[self.used..self.used + 4]);
        self.used += 4;
        f64::from(u32::from_le_bytes(word)) / 4_294_967_296.0
    }
}

impl Drop for Rounding {
    fn drop(&mut self) {
        self.tile.zeroize();
    }
}

/// One coordinate of a client with this `weight`, in `[0, weight * levels]`.
pub(crate) fn quantise(x: f32, weight: u32, quantiser: &Quantiser, rounding: &mut Rounding) -> u32 {
    let bound = f64::from(quantiser.bound);
    let clipped = f64::from(x).clamp(-bound, bound);
    let top = f64::from(weight) * f64::from(quantiser.levels);
    let scaled = ((clipped + bound) / (2.0 * bound) * top).clamp(0.0, top);
    // `scaled` is not negative, so the cast is the floor.
    let floor = scaled as u32;
    floor + u32::from(rounding.uniform() < scaled - f64::from(floor))
}

/// The weighted mean that a sum stands for; the sum's last word is the total weight.
///
/// Gives nothing when the total weight is zero.
#[must_use]
pub fn weighted_mean(sum: &[u32], quantiser: &Quantiser) -> Option<Vec<f32>> {
    let (&total_weight, values) = sum.split_last()?;
    if total_weight == 0 {
        return None;
    }
    let bound = f64::from(quantiser.bound);
    let step = 2.0 * bound / (f64::from(quantiser.levels) * f64::from(total_weight));
    Some(
        values
            .iter()
            .map(|&word| (f64::from(word) * step - bound) as f32)
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

//! A random rotation of updates that all clients share, for rounding: it spreads a few large
//! coordinates over all of them, so that a smaller bound clips nothing.
//!
//! Random signs, then a Walsh-Hadamard transform divided by the root of its length, is orthogonal
//! (Suresh et al. 2017, "Distributed Mean Estimation with Limited Communication", section 3). Such a
//! transform has a power of two coordinates. Instead of padding a vector of `d` to the next one,
//! which may double the upload, the transform is applied twice, over windows of the largest power of
//! two `m <= d`: to the first `m` coordinates, then, if `m < d`, to the last `m`, each with signs of
//! its own. As `2m > d` the windows overlap and cover everything; a product of orthogonal maps is
//! orthogonal, and nothing is added to the vector.
//!
//! The signs are public: bit `j` of window `w` (0, then 1), least significant bit of each byte
//! first, of the ChaCha20 stream (RFC 8439, nonce 0, counter from 0) under the key
//! `SHA-256("choir/rotation" || w as one byte || the task's seed)`; 1 is minus. They hide nothing
//! and protect nothing: rounding only needs them not to be chosen by those who train.

use alloc::vec::Vec;

use chacha20::cipher::StreamCipher;
use chacha20::{ChaCha20, KeyIvInit};

use crate::ids::Digest;

/// The rotation of a task.
pub struct Rotation<'a> {
    seed: &'a [u8; 32],
}

impl<'a> Rotation<'a> {
    /// The rotation that belongs to a task's seed.
    #[must_use]
    pub const fn new(seed: &'a [u8; 32]) -> Self {
        Self { seed }
    }

    /// Rotates an update. Keeps its L2 norm, up to f32 rounding.
    pub fn apply(&self, values: &mut [f32]) {
        for window in Window::all(values.len()) {
            let signs = self.signs(&window);
            let part = &mut values[window.start..window.start + window.len];
            flip(part, &signs);
            transform(part);
        }
    }

    /// Rotates back.
    pub fn undo(&self, values: &mut [f32]) {
        for window in Window::all(values.len()).into_iter().rev() {
            let signs = self.signs(&window);
            let part = &mut values[window.start..window.start + window.len];
            // The transform is its own inverse.
            transform(part);
            flip(part, &signs);
        }
    }

    fn signs(&self, window: &Window) -> Vec<u8> {
        let key = Digest::of_parts(&[b"choir/rotation", &[window.label], self.seed]);
        let mut bits = alloc::vec![0; window.len.div_ceil(8)];
        ChaCha20::new(&key.0.into(), &[0; 12].into()).apply_keystream(&mut bits);
        bits
    }
}

/// A power of two of neighbouring coordinates.
struct Window {
    label: u8,
    start: usize,
    len: usize,
}

impl Window {
    fn all(coordinates: usize) -> Vec<Self> {
        let Some(exponent) = coordinates.checked_ilog2() else {
            return Vec::new();
        };
        let len = 1 << exponent;
        let first = Self {
            label: 0,
            start: 0,
            len,
        };
        let last = (len < coordinates).then_some(Self {
            label: 1,
            start: coordinates - len,
            len,
        });
        core::iter::once(first).chain(last).collect()
    }
}

fn flip(values: &mut [f32], signs: &[u8]) {
    for (values, signs) in values.chunks_mut(8).zip(signs) {
        for (bit, value) in values.iter_mut().enumerate() {
            if signs >> bit & 1 == 1 {
                *value = -*value;
            }
        }
    }
}

/// The Walsh-Hadamard transform of a power of two of values in natural order, over the root of
/// their number.
fn transform(values: &mut [f32]) {
    let mut half = 1;
    while half < values.len() {
        for block in values.chunks_exact_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for (low, high) in low.iter_mut().zip(high) {
                (*low, *high) = (*low + *high, *low - *high);
            }
        }
        half *= 2;
    }
    let scale = (1.0 / libm::sqrt(values.len() as f64)) as f32;
    values.iter_mut().for_each(|value| *value *= scale);
}

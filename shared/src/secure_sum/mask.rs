//! Masks: a ChaCha20 stream (RFC 8439, nonce 0, counter from 0), one little-endian word for each
//! coordinate, or one half of a word in a ring of up to 16 bits, added to or subtracted from a
//! vector tile by tile.
//!
//! The stream is the `chacha20` crate's, which picks the CPU's vector instructions by itself; on
//! wasm, where it has none, it is [`lanes`]. Tests hold the two against each other.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::Ring;

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod crate_stream;
#[cfg(any(test, all(target_arch = "wasm32", target_feature = "simd128")))]
mod four;
#[cfg(any(test, all(target_arch = "wasm32", target_feature = "simd128")))]
mod lanes;

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
use crate_stream::Stream;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
use lanes::Stream;

/// Every mask has a key of its own, so its nonce says nothing.
const NONCE: [u8; 12] = [0; 12];

/// A mask's ChaCha20 key. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct MaskKey(Zeroizing<[u8; 32]>);

impl MaskKey {
    /// The key with these bytes.
    #[must_use]
    pub const fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The key's bytes, for known-answer tests.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Whether a mask is added or subtracted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Added.
    Plus,
    /// Subtracted.
    Minus,
}

impl Sign {
    /// The other one.
    #[must_use]
    pub const fn flipped(self) -> Self {
        match self {
            Self::Plus => Self::Minus,
            Self::Minus => Self::Plus,
        }
    }
}

/// How client `index` applies its mask with `other`: the lower index adds, the higher subtracts.
#[must_use]
pub const fn pair_sign(index: u16, other: u16) -> Sign {
    if index < other {
        Sign::Plus
    } else {
        Sign::Minus
    }
}

/// Adds the mask to `vector`, or subtracts it, without ever holding the whole mask. The vector is
/// the mask's coordinates from 0 on.
pub fn add_mask(vector: &mut [u32], key: &MaskKey, sign: Sign, ring: Ring) {
    add_mask_from(vector, key, sign, ring, 0);
}

/// The same for the coordinates from `first` on: a part of a longer vector.
///
/// Up to 16 bits a word of the stream makes two coordinates, the low half first; above, one.
pub fn add_mask_from(vector: &mut [u32], key: &MaskKey, sign: Sign, ring: Ring, first: usize) {
    let stream = Stream::new(&key.0, &NONCE);
    if ring.bits() <= 16 {
        stream.fold_halves(vector, first, sign);
    } else {
        stream.fold_words(vector, first, sign);
    }
}

/// The first `count` words of a mask, low r bits each, for known-answer tests.
#[must_use]
pub fn mask_words(key: &MaskKey, count: usize, ring: Ring) -> Vec<u32> {
    let mut words = alloc::vec![0; count];
    add_mask(&mut words, key, Sign::Plus, ring);
    words.iter_mut().for_each(|word| *word &= ring.mask());
    words
}

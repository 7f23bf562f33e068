//! Masks: a ChaCha20 stream (RFC 8439, nonce 0, counter from 0), one little-endian word for each
//! coordinate, or one half of a word in a ring of up to 16 bits, added to or subtracted from a vector tile by tile.

use alloc::vec::Vec;

use chacha20::cipher::{StreamCipher, StreamCipherSeek};
use chacha20::{ChaCha20, KeyIvInit};
use zeroize::{Zeroize, Zeroizing};

use super::Ring;

/// Bytes of stream that are expanded at a time: 64 blocks, small enough for the stack and the
/// first-level cache.
const TILE_BYTES: usize = 4096;

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
    match sign {
        Sign::Plus => fold_stream(vector, key, ring, first, u32::wrapping_add),
        Sign::Minus => fold_stream(vector, key, ring, first, u32::wrapping_sub),
    }
}

fn fold_stream(
    vector: &mut [u32],
    key: &MaskKey,
    ring: Ring,
    first: usize,
    fold: impl Fn(u32, u32) -> u32,
) {
    let width = if ring.bits() <= 16 { 2 } else { 4 };
    let mut stream = ChaCha20::new((&*key.0).into(), &[0; 12].into());
    stream.seek(first as u64 * width as u64);
    let mut tile = [0u8; TILE_BYTES];
    for words in vector.chunks_mut(TILE_BYTES / width) {
        let tile = &mut tile[..words.len() * width];
        stream.write_keystream(tile);
        for (word, bytes) in words.iter_mut().zip(tile.chunks_exact(width)) {
            let mut mask = [0; 4];
            mask[..width].copy_from_slice(bytes);
            *word = fold(*word, u32::from_le_bytes(mask));
        }
    }
    tile.zeroize();
}

/// The first `count` words of a mask, low r bits each, for known-answer tests.
#[must_use]
pub fn mask_words(key: &MaskKey, count: usize, ring: Ring) -> Vec<u32> {
    let mut words = alloc::vec![0; count];
    add_mask(&mut words, key, Sign::Plus, ring);
    words.iter_mut().for_each(|word| *word &= ring.mask());
    words
}

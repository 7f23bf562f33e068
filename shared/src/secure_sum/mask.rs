//! Masks: a ChaCha20 stream (RFC 8439, nonce 0, counter from 0), one little-endian word for each
//! coordinate, added to or subtracted from a vector tile by tile.

use alloc::vec::Vec;

use chacha20::cipher::StreamCipher;
use chacha20::{ChaCha20, KeyIvInit};
use zeroize::{Zeroize, Zeroizing};

/// Bytes of stream that are expanded at a time: 64 blocks, small enough for the stack and the
/// first-level cache.
const TILE_BYTES: usize = 4096;

/// A mask's ChaCha20 key. Wiped when dropped, never printed.
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

/// Adds the mask to `vector`, or subtracts it, without ever holding the whole mask.
pub fn add_mask(vector: &mut [u32], key: &MaskKey, sign: Sign) {
    match sign {
        Sign::Plus => fold_stream(vector, key, u32::wrapping_add),
        Sign::Minus => fold_stream(vector, key, u32::wrapping_sub),
    }
}

fn fold_stream(vector: &mut [u32], key: &MaskKey, fold: impl Fn(u32, u32) -> u32) {
    let mut stream = ChaCha20::new((&*key.0).into(), &[0; 12].into());
    let mut tile = [0u8; TILE_BYTES];
    for words in vector.chunks_mut(TILE_BYTES / 4) {
        let tile = &mut tile[..words.len() * 4];
        stream.write_keystream(tile);
        for (word, bytes) in words.iter_mut().zip(tile.chunks_exact(4)) {
            *word = fold(
                *word,
                u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
            );
        }
    }
    tile.zeroize();
}

/// The first `count` words of a mask, for known-answer tests.
#[must_use]
pub fn mask_words(key: &MaskKey, count: usize) -> Vec<u32> {
    let mut words = alloc::vec![0; count];
    add_mask(&mut words, key, Sign::Plus);
    words
}

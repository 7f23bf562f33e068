//! The ring Z_2^r and its elements as bytes.
//!
//! Words are held as `u32` and added modulo 2^32: as 2^r divides 2^32, only packing has to cut them
//! to their low r bits.

use alloc::vec::Vec;

/// The ring of integers modulo 2^r, r from 1 to 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring(u8);

impl Ring {
    /// 32 bits.
    pub const FULL: Self = Self(32);

    /// The ring of this many bits; nothing outside 1 to 32.
    #[must_use]
    pub const fn new(bits: u8) -> Option<Self> {
        match bits {
            1..=32 => Some(Self(bits)),
            _ => None,
        }
    }

    /// r.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// 2^r - 1.
    #[must_use]
    pub const fn mask(self) -> u32 {
        u32::MAX >> (32 - self.0)
    }

    /// Bytes of so many packed elements: `ceil(coordinates r / 8)`.
    #[must_use]
    pub const fn packed_len(self, coordinates: usize) -> usize {
        (coordinates * self.0 as usize).div_ceil(8)
    }

    /// The low r bits of each word, one after the other, least significant bit first.
    #[must_use]
    pub fn pack(self, words: &[u32]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.packed_len(words.len()));
        let (mut held, mut bits) = (0u64, 0u32);
        for word in words {
            held |= u64::from(word & self.mask()) << bits;
            bits += u32::from(self.0);
            while bits >= 8 {
                bytes.push(held as u8);
                held >>= 8;
                bits -= 8;
            }
        }
        if bits > 0 {
            bytes.push(held as u8);
        }
        bytes
    }

    /// The words that were packed; nothing if the length is not theirs or a spare bit is set.
    #[must_use]
    pub fn unpack(self, bytes: &[u8], coordinates: usize) -> Option<Vec<u32>> {
        let mut words = alloc::vec![0; coordinates];
        self.add_packed(&mut words, bytes).then_some(words)
    }

    /// Adds packed words to `sum`, modulo 2^32; false, and nothing added, if their length is not
    /// that of `sum` or a spare bit is set.
    #[must_use]
    pub fn add_packed(self, sum: &mut [u32], bytes: &[u8]) -> bool {
        if bytes.len() != self.packed_len(sum.len()) {
            return false;
        }
        let spare = bytes.len() * 8 - sum.len() * usize::from(self.0);
        if spare > 0 && bytes.last().is_some_and(|last| last >> (8 - spare) != 0) {
            return false;
        }
        let (mut held, mut bits) = (0u64, 0u32);
        let mut bytes = bytes.iter();
        for total in sum {
            while bits < u32::from(self.0) {
                held |= u64::from(bytes.next().copied().unwrap_or_default()) << bits;
                bits += 8;
            }
            *total = total.wrapping_add(held as u32 & self.mask());
            held >>= self.0;
            bits -= u32::from(self.0);
        }
        true
    }
}

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
        let mut bytes = alloc::vec![0; self.packed_len(words.len())];
        match self.0 {
            8 => pack_bytes::<1>(words, &mut bytes),
            16 => pack_bytes::<2>(words, &mut bytes),
            24 => pack_triples(words, &mut bytes),
            32 => pack_bytes::<4>(words, &mut bytes),
            _ => self.pack_bits(words, &mut bytes),
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
        match self.0 {
            8 => add_bytes::<1>(sum, bytes),
            16 => add_bytes::<2>(sum, bytes),
            24 => add_triples(sum, bytes),
            32 => add_bytes::<4>(sum, bytes),
            _ => self.add_bits(sum, bytes),
        }
        true
    }

    fn pack_bits(self, words: &[u32], bytes: &mut [u8]) {
        let (mut held, mut bits) = (0u64, 0u32);
        let mut words = words.iter();
        for byte in bytes {
            while bits < 8 {
                let Some(word) = words.next() else { break };
                held |= u64::from(word & self.mask()) << bits;
                bits += u32::from(self.0);
            }
            *byte = held as u8;
            held >>= 8;
            bits = bits.saturating_sub(8);
        }
    }

    fn add_bits(self, sum: &mut [u32], bytes: &[u8]) {
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
    }
}

/// The lowest `BYTES` bytes of each word.
fn pack_bytes<const BYTES: usize>(words: &[u32], bytes: &mut [u8]) {
    let (places, _) = bytes.as_chunks_mut::<BYTES>();
    for (place, word) in places.iter_mut().zip(words) {
        place.copy_from_slice(&word.to_le_bytes()[..BYTES]);
    }
}

fn add_bytes<const BYTES: usize>(sum: &mut [u32], bytes: &[u8]) {
    for (total, bytes) in sum.iter_mut().zip(bytes.as_chunks::<BYTES>().0) {
        let mut word = [0; 4];
        word[..BYTES].copy_from_slice(bytes);
        *total = total.wrapping_add(u32::from_le_bytes(word));
    }
}

/// Four words of 24 bits as three of 32, where there are four.
fn pack_triples(words: &[u32], bytes: &mut [u8]) {
    let (groups, last_words) = words.as_chunks::<4>();
    let (places, last_bytes) = bytes.as_chunks_mut::<12>();
    for (place, [a, b, c, d]) in places.iter_mut().zip(groups) {
        let a = a & 0x00ff_ffff;
        let b = b & 0x00ff_ffff;
        let c = c & 0x00ff_ffff;
        place[..4].copy_from_slice(&(a | b << 24).to_le_bytes());
        place[4..8].copy_from_slice(&(b >> 8 | c << 16).to_le_bytes());
        place[8..].copy_from_slice(&(c >> 16 | d << 8).to_le_bytes());
    }
    pack_bytes::<3>(last_words, last_bytes);
}

fn add_triples(sum: &mut [u32], bytes: &[u8]) {
    let (totals, last_totals) = sum.as_chunks_mut::<4>();
    let (groups, last_bytes) = bytes.as_chunks::<12>();
    for (totals, group) in totals.iter_mut().zip(groups) {
        let [x, y, z] = [0, 4, 8]
            .map(|at| u32::from_le_bytes([group[at], group[at + 1], group[at + 2], group[at + 3]]));
        let words = [
            x & 0x00ff_ffff,
            x >> 24 | (y & 0xffff) << 8,
            y >> 16 | (z & 0xff) << 16,
            z >> 8,
        ];
        for (total, word) in totals.iter_mut().zip(words) {
            *total = total.wrapping_add(word);
        }
    }
    add_bytes::<3>(last_totals, last_bytes);
}

//! Sets of clients: bit 0 of byte 0 is index 0.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// A subset of a roster of `len` clients, in `ceil(len / 8)` bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bitmap {
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
    len: u16,
}

impl Bitmap {
    /// The empty set.
    #[must_use]
    pub fn new(len: u16) -> Self {
        Self {
            bytes: alloc::vec![0; usize::from(len).div_ceil(8)],
            len,
        }
    }

    /// The set of the indices for which `contains` holds.
    #[must_use]
    pub fn from_fn(len: u16, mut contains: impl FnMut(u16) -> bool) -> Self {
        let mut set = Self::new(len);
        (0..len)
            .filter(|&index| contains(index))
            .for_each(|index| set.insert(index));
        set
    }

    /// Reads a set; nothing if the length is wrong or a bit beyond the roster is set.
    #[must_use]
    pub fn from_bytes(len: u16, bytes: &[u8]) -> Option<Self> {
        let spare = bytes.len() * 8;
        let set = Self {
            bytes: bytes.to_vec(),
            len,
        };
        let fits = bytes.len() == usize::from(len).div_ceil(8)
            && (usize::from(len)..spare).all(|bit| bytes[bit / 8] >> (bit % 8) & 1 == 0);
        fits.then_some(set)
    }

    /// The set as it is hashed and sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds an index of the roster.
    ///
    /// # Panics
    /// If the index is beyond the roster.
    pub fn insert(&mut self, index: u16) {
        assert!(index < self.len, "a set holds only clients of its roster");
        self.bytes[usize::from(index / 8)] |= 1 << (index % 8);
    }

    /// Whether the set has this index.
    #[must_use]
    pub fn contains(&self, index: u16) -> bool {
        index < self.len && self.bytes[usize::from(index / 8)] >> (index % 8) & 1 == 1
    }

    /// How many indices the set has.
    #[must_use]
    pub fn count(&self) -> u16 {
        self.bytes.iter().map(|byte| byte.count_ones() as u16).sum()
    }

    /// Whether every index of this set is in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().all(|index| other.contains(index))
    }

    /// The indices, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0..self.len).filter(|&index| self.contains(index))
    }

    /// The indices but `index`, ascending.
    pub fn others(&self, index: u16) -> impl Iterator<Item = u16> + '_ {
        self.iter().filter(move |&other| other != index)
    }
}

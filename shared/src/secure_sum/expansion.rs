//! The masks that a finished round takes off its sum, as work that can be split.
//!
//! The mask stream is seekable, so that any range of coordinates can be expanded by itself: in one
//! place, or in several at once.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use zeroize::Zeroizing;

use super::{MaskKey, Ring, Sign, add_mask_from};

/// Bytes of one mask: its sign and its key.
const MASK_BYTES: usize = 33;

/// Masks, each with the sign that it is applied with.
#[derive(Clone, PartialEq, Eq)]
pub struct Expansion {
    ring: Ring,
    masks: Vec<(MaskKey, Sign)>,
}

/// How many masks; never their keys.
impl fmt::Debug for Expansion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Expansion({} masks)", self.masks.len())
    }
}

impl Expansion {
    /// The sum of these masks in `ring`.
    #[must_use]
    pub const fn new(ring: Ring, masks: Vec<(MaskKey, Sign)>) -> Self {
        Self { ring, masks }
    }

    /// How many masks.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.masks.len()
    }

    /// Whether there is nothing to expand.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.masks.is_empty()
    }

    /// The sum of the masks at these coordinates.
    #[must_use]
    pub fn expand(&self, coordinates: Range<usize>) -> Vec<u32> {
        let mut sum = alloc::vec![0; coordinates.len()];
        for (key, sign) in &self.masks {
            add_mask_from(&mut sum, key, *sign, self.ring, coordinates.start);
        }
        sum
    }

    /// The bits of the ring, then for each mask 0 or 1 for its sign and its key. These bytes are as
    /// secret as the masks.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(1 + self.len() * MASK_BYTES));
        bytes.push(self.ring.bits());
        for (key, sign) in &self.masks {
            bytes.push(u8::from(*sign == Sign::Minus));
            bytes.extend_from_slice(key.expose());
        }
        bytes
    }

    /// The inverse of [`Self::to_bytes`]; nothing if the bytes are no expansion.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&bits, masks) = bytes.split_first()?;
        let (masks, []) = masks.as_chunks::<MASK_BYTES>() else {
            return None;
        };
        let mask = |[sign, key @ ..]: &[u8; MASK_BYTES]| {
            let sign = match sign {
                0 => Sign::Plus,
                1 => Sign::Minus,
                _ => return None,
            };
            Some((MaskKey::new(Zeroizing::new(*key)), sign))
        };
        Some(Self {
            ring: Ring::new(bits)?,
            masks: masks.iter().map(mask).collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expansion(bits: u8) -> Expansion {
        let mask = |byte: u8, sign| (MaskKey::new(Zeroizing::new([byte; 32])), sign);
        let ring = Ring::new(bits).expect("a ring");
        Expansion::new(
            ring,
            [
                mask(1, Sign::Plus),
                mask(2, Sign::Minus),
                mask(3, Sign::Plus),
            ]
            .into(),
        )
    }

    #[test]
    fn parts_of_an_expansion_are_the_whole() {
        for bits in [16, 24, 32] {
            let expansion = expansion(bits);
            let whole = expansion.expand(0..5_000);
            for cut in [0, 1, 63, 64, 1_001, 4_999, 5_000] {
                let parts = [expansion.expand(0..cut), expansion.expand(cut..5_000)].concat();
                assert_eq!(parts, whole, "{bits} bits cut at {cut}");
            }
        }
    }

    #[test]
    fn an_expansion_survives_the_way_to_bytes_and_back() {
        let expansion = expansion(24);
        let bytes = expansion.to_bytes();
        assert_eq!(Expansion::from_bytes(&bytes), Some(expansion));
        assert_eq!(Expansion::from_bytes(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Expansion::from_bytes(&[]), None);
        let mut other_sign = bytes.to_vec();
        other_sign[1] = 2;
        assert_eq!(Expansion::from_bytes(&other_sign), None);
        let mut no_ring = bytes.to_vec();
        no_ring[0] = 33;
        assert_eq!(Expansion::from_bytes(&no_ring), None);
    }
}

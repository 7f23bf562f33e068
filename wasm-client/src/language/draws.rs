//! Numbers that a seed decides, the same on every machine: a ChaCha20 stream.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};

/// The stream of a seed.
#[derive(Debug)]
pub(crate) struct Draws(ChaCha20Rng);

impl Draws {
    /// `purpose` keeps two uses of one seed apart; its first 24 bytes count.
    pub(crate) fn new(purpose: &str, seed: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        for (place, byte) in key[8..].iter_mut().zip(purpose.bytes()) {
            *place = byte;
        }
        Self(ChaCha20Rng::from_seed(key))
    }

    /// In [0, 1), a multiple of 2^-53.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Below `bound`, which is positive. The error of the multiplication is below `bound` / 2^64.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.0.next_u64()) * bound as u128) >> 64) as usize
    }

    /// Fisher and Yates.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_and_purposes_decide_the_numbers() {
        let first = |purpose, seed| Draws::new(purpose, seed).unit();
        assert_eq!(first("a", 1), first("a", 1));
        assert_ne!(first("a", 1), first("a", 2));
        assert_ne!(first("a", 1), first("b", 1));
    }

    #[test]
    fn every_number_below_the_bound_is_as_likely() {
        let mut draws = Draws::new("test", 3);
        let mut counts = [0i32; 7];
        for _ in 0..70_000 {
            counts[draws.below(7)] += 1;
        }
        // Five standard deviations of a count are 463.
        assert!(
            counts.iter().all(|count| (count - 10_000).abs() < 463),
            "{counts:?}"
        );
    }

    #[test]
    fn a_shuffle_loses_nothing() {
        let mut items: Vec<usize> = (0..50).collect();
        Draws::new("test", 4).shuffle(&mut items);
        assert_ne!(items, (0..50).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
    }
}

//! Seeded numbers for splitting data and drawing clients: the same seed gives the same on every
//! machine, as logarithms and roots come from `libm` and not from the system.
//!
//! SplitMix64 (Steele, Lea and Flood 2014); nothing secret ever comes from here.

use alloc::vec::Vec;

/// A seeded stream.
#[derive(Clone, Debug)]
pub struct Stream(u64);

impl Stream {
    /// The stream of a seed for one purpose.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        let mixed = purpose.bytes().fold(seed ^ OFFSET, |state, byte| {
            (state ^ u64::from(byte)).wrapping_mul(PRIME)
        });
        Self(mixed)
    }

    /// The next 64 bits.
    pub fn next_word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// Uniform in `[0, 1)`.
    pub fn uniform(&mut self) -> f64 {
        (self.next_word() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in `0..bound`; `bound` is small beside 2^64.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next_word() % bound.max(1) as u64) as usize
    }

    /// Brings the items into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// `count` different numbers below `bound`, or all of them if there are fewer; sorted.
    pub fn choose(&mut self, count: usize, bound: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..bound).collect();
        self.shuffle(&mut all);
        all.truncate(count);
        all.sort_unstable();
        all
    }

    /// A point of the simplex from the symmetric Dirichlet distribution.
    pub fn dirichlet(&mut self, alpha: f64, parts: usize) -> Vec<f64> {
        let draws: Vec<f64> = (0..parts).map(|_| self.gamma(alpha)).collect();
        let sum: f64 = draws.iter().sum();
        draws.iter().map(|draw| draw / sum).collect()
    }

    /// Gamma with scale 1 (Marsaglia and Tsang 2000), for shapes below 1 by their power rule.
    fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let power = libm::pow(self.uniform().max(f64::MIN_POSITIVE), 1.0 / shape);
            return self.gamma(shape + 1.0) * power;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / libm::sqrt(9.0 * d);
        loop {
            let normal = self.normal();
            let root = 1.0 + c * normal;
            let v = root * root * root;
            let accept =
                0.5 * normal * normal + d - d * v + d * libm::log(v.max(f64::MIN_POSITIVE));
            if v > 0.0 && libm::log(self.uniform().max(f64::MIN_POSITIVE)) < accept {
                return d * v;
            }
        }
    }

    /// Standard normal, by Box and Muller.
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(self.uniform().max(f64::MIN_POSITIVE)));
        radius * libm::cos(core::f64::consts::TAU * self.uniform())
    }
}

const OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01B3;

#[cfg(test)]
mod tests {
    use super::Stream;
    use alloc::vec::Vec;

    #[test]
    fn a_seed_gives_the_same_order_again() {
        let order = |seed| {
            let mut items: Vec<u32> = (0..50).collect();
            Stream::new(seed, "order").shuffle(&mut items);
            items
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }

    #[test]
    fn dirichlet_draws_lie_on_the_simplex_with_equal_means() {
        let mut stream = Stream::new(7, "simplex");
        let mut means = [0.0; 4];
        for _ in 0..4000 {
            let draw = stream.dirichlet(0.5, 4);
            assert!((draw.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            for (mean, part) in means.iter_mut().zip(draw) {
                *mean += part / 4000.0;
            }
        }
        assert!(
            means.iter().all(|mean| (mean - 0.25).abs() < 0.03),
            "{means:?}"
        );
    }

    #[test]
    fn chosen_numbers_are_different_and_every_one_has_its_turn() {
        let mut stream = Stream::new(3, "choice");
        let mut seen = [0; 10];
        for _ in 0..1000 {
            let chosen = stream.choose(4, 10);
            assert_eq!(chosen.len(), 4);
            assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]));
            chosen.iter().for_each(|&number| seen[number] += 1);
        }
        assert!(
            seen.iter().all(|&count| (330..470).contains(&count)),
            "{seen:?}"
        );
        assert_eq!(stream.choose(9, 3), [0, 1, 2]);
    }
}

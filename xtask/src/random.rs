//! Seeded numbers for splitting data: the same seed gives the same shares on every machine.
//!
//! SplitMix64 (Steele, Lea and Flood 2014); nothing secret ever comes from here.

/// A seeded stream.
pub(crate) struct Stream(u64);

impl Stream {
    /// The stream of a seed for one purpose.
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        let mixed = purpose.bytes().fold(seed ^ OFFSET, |state, byte| {
            (state ^ u64::from(byte)).wrapping_mul(PRIME)
        });
        Self(mixed)
    }

    /// The next 64 bits.
    pub(crate) fn next_word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// Uniform in `[0, 1)`.
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.next_word() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in `0..bound`; `bound` is small beside 2^64.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next_word() % bound.max(1) as u64) as usize
    }

    /// Brings the items into a random order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// A point of the simplex from the symmetric Dirichlet distribution.
    pub(crate) fn dirichlet(&mut self, alpha: f64, parts: usize) -> Vec<f64> {
        let draws: Vec<f64> = (0..parts).map(|_| self.gamma(alpha)).collect();
        let sum: f64 = draws.iter().sum();
        draws.iter().map(|draw| draw / sum).collect()
    }

    /// Gamma with scale 1 (Marsaglia and Tsang 2000), for shapes below 1 by their power rule.
    fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let power = self.uniform().max(f64::MIN_POSITIVE).powf(1.0 / shape);
            return self.gamma(shape + 1.0) * power;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let normal = self.normal();
            let v = (1.0 + c * normal).powi(3);
            let accept = 0.5 * normal * normal + d - d * v + d * v.max(f64::MIN_POSITIVE).ln();
            if v > 0.0 && self.uniform().max(f64::MIN_POSITIVE).ln() < accept {
                return d * v;
            }
        }
    }

    /// Standard normal, by Box and Muller.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().max(f64::MIN_POSITIVE).ln()).sqrt();
        radius * (core::f64::consts::TAU * self.uniform()).cos()
    }
}

const OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01B3;

#[cfg(test)]
mod tests {
    use super::Stream;

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
}

//! Dropout (Srivastava et al. 2014): some of an operation's input values are left out at random in a
//! training step. Which ones follows from a key and a value's place alone, so that every engine leaves
//! out the same and nothing has to be kept for the gradient.

/// What is left out of one operation's input, and what becomes of the rest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// The part of all values that is left out in the mean, within `[0, 1)`.
    pub rate: f32,
    /// What the others are multiplied by.
    pub factor: f32,
    /// Of what is left out.
    pub key: u32,
}

impl Dropout {
    /// Hashes below this are of values that are left out.
    pub fn threshold(&self) -> u32 {
        (f64::from(self.rate) * 4_294_967_296.0) as u32
    }

    /// What the value at this place is multiplied by.
    pub fn factor_at(&self, place: u32) -> f32 {
        let hash = hash(self.key.wrapping_add(hash(place)));
        if hash < self.threshold() {
            0.0
        } else {
            self.factor
        }
    }
}

/// PCG's output function on its own (Jarzynski and Olano 2020, *Hash functions for GPU rendering*,
/// section 4: `pcg`).
pub fn hash(input: u32) -> u32 {
    let state = input.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let word = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
    (word >> 22) ^ word
}

#[cfg(test)]
mod tests {
    use super::Dropout;

    #[test]
    fn the_part_left_out_is_the_rate_and_another_key_leaves_out_others() {
        let dropout = |rate, key| Dropout {
            rate,
            factor: 2.0,
            key,
        };
        let kept = |dropout: Dropout| -> Vec<bool> {
            (0..20_000).map(|at| dropout.factor_at(at) > 0.0).collect()
        };
        assert!(kept(dropout(0.0, 7)).iter().all(|kept| *kept));
        for rate in [0.1, 0.5, 0.9] {
            let first = kept(dropout(rate, 1));
            let part = first.iter().filter(|kept| !**kept).count() as f32 / 20_000.0;
            assert!((part - rate).abs() < 0.02, "{part} for {rate}");
            // Two independent draws are equal where both keep or both leave out.
            let second = kept(dropout(rate, 2));
            let equal = first.iter().zip(&second).filter(|(a, b)| a == b).count() as f32;
            let expected = rate * rate + (1.0 - rate) * (1.0 - rate);
            assert!((equal / 20_000.0 - expected).abs() < 0.02, "at {rate}");
        }
    }
}

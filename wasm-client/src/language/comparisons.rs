//! How often the preferred one of two answers comes out ahead. A tie counts one half, as a coin
//! would decide it.

use core::cmp::Ordering;

/// Outcomes of comparisons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Comparisons {
    /// The preferred answer was ahead.
    pub right: usize,
    /// Neither was.
    pub tied: usize,
    /// The other was ahead.
    pub wrong: usize,
}

impl Comparisons {
    /// Counts how the preferred answer's score compares to the other's. What cannot be compared
    /// (a score that is no number) is wrong: a model that diverged is not right by half.
    pub fn of(outcomes: impl IntoIterator<Item = Option<Ordering>>) -> Self {
        let mut counts = Self::default();
        for outcome in outcomes {
            match outcome {
                Some(Ordering::Greater) => counts.right += 1,
                Some(Ordering::Equal) => counts.tied += 1,
                Some(Ordering::Less) | None => counts.wrong += 1,
            }
        }
        counts
    }

    /// Number of comparisons.
    pub fn count(&self) -> usize {
        self.right + self.tied + self.wrong
    }

    /// Comparisons that were right, ties one half.
    pub fn successes(&self) -> f64 {
        self.right as f64 + self.tied as f64 / 2.0
    }

    /// Their share; none without a comparison.
    pub fn accuracy(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.successes() / self.count() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_count_one_half_and_nonsense_nothing() {
        let scores = [(2.0, 1.0), (1.0, 1.0), (0.0, 1.0), (f64::NAN, 1.0)];
        let counts = Comparisons::of(scores.map(|(a, b): (f64, f64)| a.partial_cmp(&b)));
        assert_eq!(
            counts,
            Comparisons {
                right: 1,
                tied: 1,
                wrong: 2
            }
        );
        assert_eq!(counts.accuracy(), Some(0.375));
        assert_eq!(Comparisons::default().accuracy(), None);
    }
}

//! Times of steps by either clock.

use serde_json::{Value, json};

/// By what a session is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::bench) enum Clock {
    /// CPU time of the browser's process tree over so many cores.
    Cpu {
        cores: f64,
    },
    Wall,
}

impl Clock {
    pub(in crate::bench) const fn name(self) -> &'static str {
        match self {
            Self::Cpu { .. } => "CPU time of the browser's process tree over the cores",
            Self::Wall => "wall",
        }
    }
}

/// Milliseconds of some steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::bench) struct Spread {
    pub(in crate::bench) median: f64,
    pub(in crate::bench) min: f64,
    pub(in crate::bench) max: f64,
}

impl Spread {
    /// Of these steps, or nothing of none.
    pub(in crate::bench) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            median: *sorted.get(sorted.len() / 2)?,
            min: *sorted.first()?,
            max: *sorted.last()?,
        })
    }

    pub(in crate::bench) fn json(self) -> Value {
        json!({ "median": self.median, "min": self.min, "spread": self.max - self.min })
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn a_spread_is_of_sorted_steps() {
        let spread = Spread::of(&[3.0, 1.0, 2.0]);
        let expected = Spread {
            median: 2.0,
            min: 1.0,
            max: 3.0,
        };
        assert_eq!(spread, Some(expected));
        assert_eq!(Spread::of(&[]), None);
    }
}

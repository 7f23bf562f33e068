//! A number that was measured several times.

use serde_json::{Value, json};

/// Milliseconds of each repetition.
#[derive(Clone, Debug, Default)]
pub(super) struct Spread(Vec<f64>);

impl Spread {
    /// Of these repetitions.
    pub(super) fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The smallest; 0 of none.
    pub(super) fn best(&self) -> f64 {
        self.0.first().copied().unwrap_or_default()
    }

    fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or_default()
    }

    /// Every repetition changed in the same way.
    pub(super) fn map(&self, change: impl Fn(f64) -> f64) -> Self {
        Self(self.0.iter().map(|value| change(*value)).collect())
    }

    /// Repetitions, best, median, and from best to worst.
    pub(super) fn json(&self) -> Value {
        let worst = self.0.last().copied().unwrap_or_default();
        json!({
            "n": self.0.len(),
            "best": self.best(),
            "median": self.median(),
            "spread": worst - self.best(),
        })
    }
}

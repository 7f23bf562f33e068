//! The next global adapter: the mean of the clients', each by its examples (FedAvg, McMahan et al.
//! 2017).

/// What the clients' adapters come to so far.
#[derive(Clone, Debug, Default)]
pub struct Mean {
    sum: Vec<f64>,
    examples: usize,
}

impl Mean {
    /// Adds a client's adapter.
    pub fn add(&mut self, adapter: &[f32], examples: usize) {
        self.sum.resize(adapter.len(), 0.0);
        for (sum, value) in self.sum.iter_mut().zip(adapter) {
            *sum += f64::from(*value) * examples as f64;
        }
        self.examples += examples;
    }

    /// The mean of all; none without an example.
    pub fn adapter(&self) -> Option<Vec<f32>> {
        let mean = |sum: &f64| (sum / self.examples as f64) as f32;
        (self.examples > 0).then(|| self.sum.iter().map(mean).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_count_by_their_examples() {
        let mut mean = Mean::default();
        assert_eq!(mean.adapter(), None);
        mean.add(&[1.0, 0.0], 3);
        mean.add(&[5.0, 4.0], 1);
        assert_eq!(mean.adapter().unwrap(), [2.0, 1.0]);
    }
}

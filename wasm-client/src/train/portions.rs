//! A batch in portions, one for each thread that takes part in a step. Each portion's mean gradient
//! times its weight is its part of the whole batch's: their sum is what a step of one thread has.
//!
//! The adapter and its optimizer live in one thread. The others are given the adapter and a portion
//! for each step and remember nothing, so a thread that is gone costs nothing but its portion.

use core::cmp::Reverse;

use super::batch::Examples;
use super::{TrainError, Trainer};
use crate::engine::Engine;
use crate::engine::summed_gradient::SummedGradient;

/// What one thread computes of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Portion<T> {
    /// Never empty.
    pub examples: T,
    /// Of its mean in the mean of the whole batch.
    pub weight: f64,
}

impl<E: Engine> Trainer<E> {
    /// The next batch of the shuffled examples in at most so many portions, for [`Self::gradient`];
    /// [`Self::apply_gradient`] ends the step.
    ///
    /// # Errors
    /// [`TrainError::TooEarly`] without weights or examples.
    pub fn next_portions(&mut self, most: usize) -> Result<Vec<Portion<Examples>>, TrainError> {
        if self.examples.is_empty() {
            return Err(TrainError::TooEarly("set the examples"));
        }
        let prompt = self.model()?.adapter().num_virtual_tokens() as usize;
        let size = usize::from(self.task.training.batch_size);
        let drawn = self.shuffle.draw(size);
        let lengths = self.examples.lengths(&drawn);
        let rows: Vec<usize> = lengths.iter().map(|length| length + prompt).collect();
        let portions = deal(&rows, most).into_iter().map(|places| Portion {
            weight: places.len() as f64 / drawn.len() as f64,
            examples: self
                .examples
                .pick(&places.iter().map(|&at| drawn[at]).collect::<Vec<_>>()),
        });
        Ok(portions.collect())
    }

    /// Takes the step by the gradient of the whole batch that was drawn last.
    ///
    /// # Errors
    /// [`crate::engine::EngineError::Shape`] where it is not as long as the adapter.
    pub fn apply_gradient(&mut self, gradient: &[f32]) -> Result<(), TrainError>
    where
        E: SummedGradient,
    {
        self.engine.load_gradient(gradient)?;
        let optimizer = self.optimizer();
        self.engine.optimizer_step(&optimizer)?;
        self.steps += 1;
        Ok(())
    }
}

/// Deals out sequences of so many rows to at most `most` portions that are about equally long: the
/// longest one that is left goes where the fewest rows are. Within a portion the order stays.
pub(super) fn deal(rows: &[usize], most: usize) -> Vec<Vec<usize>> {
    let count = most.min(rows.len()).max(1);
    let mut portions = vec![(0, Vec::new()); count];
    let mut places: Vec<usize> = (0..rows.len()).collect();
    places.sort_by_key(|&place| Reverse(rows[place]));
    for place in places {
        if let Some((sum, portion)) = portions.iter_mut().min_by_key(|(sum, _)| *sum) {
            *sum += rows[place];
            portion.push(place);
        }
    }
    let sorted = |(_, mut portion): (usize, Vec<usize>)| {
        portion.sort_unstable();
        portion
    };
    portions.into_iter().map(sorted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sequence_is_dealt_out_once_and_no_portion_is_empty() {
        let rows = [7, 1, 5, 5, 2, 9, 1];
        for most in 0..10 {
            let portions = deal(&rows, most);
            assert_eq!(portions.len(), most.clamp(1, rows.len()));
            assert!(portions.iter().all(|portion| !portion.is_empty()));
            let mut all = portions.concat();
            all.sort_unstable();
            assert_eq!(all, [0, 1, 2, 3, 4, 5, 6]);
        }
    }

    #[test]
    fn portions_are_about_equally_long() {
        let portions = deal(&[7, 1, 5, 5, 2, 9, 1], 2);
        assert_eq!(portions, [vec![1, 3, 5], vec![0, 2, 4, 6]]);
        assert_eq!(deal(&[128; 4], 2), [[0, 2], [1, 3]]);
        assert_eq!(deal(&[3], 2), [[0]]);
    }
}

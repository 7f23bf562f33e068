//! A client's update, frozen: rounded to integers once, used in one round, never shown.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use crate::entropy::Entropy;
use crate::fixed_point::{self, Rounding};
use crate::task::{AdapterLayout, TaskConfig, TaskError};

/// An update that cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// The task's settings make no sense.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The vector does not have the payload's length.
    #[error("the update has {actual} values, the task's payload {expected}")]
    WrongLength {
        /// The payload's.
        expected: usize,
        /// The vector's.
        actual: usize,
    },
    /// A value is NaN or infinite.
    #[error("the update has a value that is not finite")]
    NotFinite,
    /// There were no examples.
    #[error("an update needs at least one example")]
    NoExamples,
}

/// An update as integers, the weight last. A round consumes it; it cannot be copied, printed or
/// used twice, and its memory is wiped.
pub struct FrozenUpdate {
    words: Zeroizing<Vec<u32>>,
    clipped: usize,
}

impl FrozenUpdate {
    /// Rounds `values`, the update of `example_count` examples.
    ///
    /// # Errors
    /// [`UpdateError`] if the vector is not an update of this task.
    pub fn new(
        values: &[f32],
        example_count: u32,
        task: &TaskConfig,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, UpdateError> {
        task.check()?;
        let layout = AdapterLayout::new(task)?;
        if values.len() != layout.len() {
            return Err(UpdateError::WrongLength {
                expected: layout.len(),
                actual: values.len(),
            });
        }
        if !values.iter().all(|value| value.is_finite()) {
            return Err(UpdateError::NotFinite);
        }
        if example_count == 0 {
            return Err(UpdateError::NoExamples);
        }
        let quantiser = &task.quantiser;
        let weight = fixed_point::weight(quantiser, example_count);
        let mut rounding = Rounding::new(entropy);
        let mut words = Zeroizing::new(Vec::with_capacity(layout.ring_len()));
        words.extend(
            values
                .iter()
                .map(|&x| fixed_point::quantise(x, weight, quantiser, &mut rounding)),
        );
        words.push(weight);
        let clipped = values
            .iter()
            .filter(|value| value.abs() > quantiser.bound)
            .count();
        Ok(Self { words, clipped })
    }

    /// How many values were outside the quantiser's bound and were clipped to it.
    #[must_use]
    pub const fn clipped(&self) -> usize {
        self.clipped
    }

    /// The plain integers, for tests that compare a published sum with the plain one.
    #[cfg(any(feature = "observe", feature = "test-util"))]
    #[must_use]
    pub fn plain_words(&self) -> &[u32] {
        &self.words
    }

    /// Gives up the integers, to be masked.
    pub(crate) fn into_words(self) -> Zeroizing<Vec<u32>> {
        self.words
    }

    pub(crate) fn len(&self) -> usize {
        self.words.len()
    }
}

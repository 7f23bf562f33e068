//! Examples in memory and the batches made of them.

use crate::engine::{Batch, EngineError};

/// Labelled token sequences, packed one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examples {
    tokens: Vec<u32>,
    starts: Vec<u32>,
    labels: Vec<u32>,
}

impl Examples {
    /// `starts` has one entry more than there are sequences; `labels` has one for each, or none.
    ///
    /// # Errors
    /// [`EngineError::Shape`] or [`EngineError::OutOfRange`] if they do not fit together, or a
    /// sequence is empty.
    pub fn new(tokens: Vec<u32>, starts: Vec<u32>, labels: Vec<u32>) -> Result<Self, EngineError> {
        let shape = |what: &str, expected: usize, found: usize| {
            let what = what.to_owned();
            if expected == found {
                Ok(())
            } else {
                Err(EngineError::Shape {
                    what,
                    expected,
                    found,
                })
            }
        };
        let count = starts.len().saturating_sub(1);
        shape(
            "first token start",
            0,
            starts.first().map_or(1, |&start| start as usize),
        )?;
        for pair in starts.windows(2) {
            let [value, limit] = [pair[0] as usize, pair[1] as usize];
            if value >= limit {
                return Err(EngineError::OutOfRange {
                    what: "start of a sequence",
                    value,
                    limit,
                });
            }
        }
        shape("tokens", starts[count] as usize, tokens.len())?;
        if !labels.is_empty() {
            shape("labels", count, labels.len())?;
        }
        Ok(Self {
            tokens,
            starts,
            labels,
        })
    }

    /// Packs sequences.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn pack<'a>(
        sequences: impl IntoIterator<Item = &'a [u32]>,
        labels: Vec<u32>,
    ) -> Result<Self, EngineError> {
        let mut tokens = Vec::new();
        let mut starts = vec![0];
        for sequence in sequences {
            tokens.extend_from_slice(sequence);
            starts.push(tokens.len() as u32);
        }
        Self::new(tokens, starts, labels)
    }

    /// Number of sequences.
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens of all sequences, one after the other.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Where each sequence begins, and at the end the number of tokens.
    pub fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// One label for each sequence, or none.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Tokens of each of these sequences.
    pub fn lengths(&self, indices: &[usize]) -> Vec<usize> {
        let length = |index: &usize| (self.starts[index + 1] - self.starts[*index]) as usize;
        indices.iter().map(length).collect()
    }

    /// The sequences of these indices as a batch.
    pub fn batch(&self, indices: &[usize], num_virtual_tokens: u32) -> Batch {
        let mut batch = Batch {
            tokens: Vec::new(),
            token_starts: vec![0],
            labels: Vec::new(),
            num_virtual_tokens,
            past: 0,
        };
        for &index in indices {
            let range = self.starts[index] as usize..self.starts[index + 1] as usize;
            batch.tokens.extend_from_slice(&self.tokens[range]);
            batch.token_starts.push(batch.tokens.len() as u32);
            batch.labels.extend(self.labels.get(index));
        }
        batch
    }

    /// The sequences of these indices.
    pub fn pick(&self, indices: &[usize]) -> Self {
        let Batch {
            tokens,
            token_starts: starts,
            labels,
            ..
        } = self.batch(indices, 0);
        Self {
            tokens,
            starts,
            labels,
        }
    }

    /// The sequences of consecutive indices.
    pub fn slice(&self, range: core::ops::Range<usize>) -> Self {
        let starts = &self.starts[range.start..=range.end];
        let first = starts[0];
        let last = starts[starts.len() - 1];
        let labels = self.labels.get(range).unwrap_or_default();
        Self {
            tokens: self.tokens[first as usize..last as usize].to_vec(),
            starts: starts.iter().map(|start| start - first).collect(),
            labels: labels.to_vec(),
        }
    }

    /// Consecutive runs of indices, each of at most `rows` tokens or of one sequence.
    pub fn runs(&self, rows: usize) -> Vec<core::ops::Range<usize>> {
        let mut runs = Vec::new();
        let mut first = 0;
        for index in 0..self.len() {
            let tokens = (self.starts[index + 1] - self.starts[first]) as usize;
            if tokens > rows && index > first {
                runs.push(first..index);
                first = index;
            }
        }
        if first < self.len() {
            runs.push(first..self.len());
        }
        runs
    }
}

/// Draws batches: every example once in a seeded order, then in another one.
#[derive(Clone, Debug)]
pub struct Shuffle {
    order: Vec<usize>,
    next: usize,
    state: u64,
}

impl Shuffle {
    /// An order of `count` examples.
    pub fn new(count: usize, seed: u64) -> Self {
        let mut shuffle = Self {
            order: (0..count).collect(),
            next: 0,
            state: seed,
        };
        shuffle.reorder();
        shuffle
    }

    /// The next `size` indices; all of them, each once, if there are fewer.
    pub fn draw(&mut self, size: usize) -> Vec<usize> {
        let size = size.min(self.order.len());
        let mut drawn = Vec::with_capacity(size);
        while drawn.len() < size {
            if self.next == self.order.len() {
                self.reorder();
            }
            drawn.push(self.order[self.next]);
            self.next += 1;
        }
        drawn
    }

    /// Fisher and Yates.
    fn reorder(&mut self) {
        for i in (1..self.order.len()).rev() {
            let j = (u128::from(self.word()) * (i as u128 + 1)) >> 64;
            self.order.swap(i, j as usize);
        }
        self.next = 0;
    }

    /// SplitMix64 (Steele et al. 2014).
    fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_comes_once_before_any_comes_twice() {
        let mut shuffle = Shuffle::new(10, 7);
        let mut drawn: Vec<usize> = (0..5).flat_map(|_| shuffle.draw(4)).collect();
        drawn[..10].sort_unstable();
        drawn[10..].sort_unstable();
        let all: Vec<usize> = (0..10).collect();
        assert_eq!((&drawn[..10], &drawn[10..]), (&all[..], &all[..]));
        assert_eq!(shuffle.draw(99).len(), 10);
    }

    #[test]
    fn seeds_decide_the_order() {
        let order = |seed| Shuffle::new(50, seed).draw(50);
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }

    #[test]
    fn batches_hold_the_sequences_asked_for() {
        let sequences: [&[u32]; 3] = [&[1, 2], &[3], &[4, 5, 6]];
        let examples = Examples::pack(sequences, vec![0, 1, 2]).unwrap();
        let batch = examples.batch(&[2, 0], 0);
        assert_eq!(batch.tokens, [4, 5, 6, 1, 2]);
        assert_eq!(batch.token_starts, [0, 3, 5]);
        assert_eq!(batch.labels, [2, 0]);
        let slice = Examples::pack(sequences[1..].iter().copied(), vec![1, 2]).unwrap();
        assert_eq!(examples.slice(1..3), slice);
        assert_eq!(examples.pick(&[1, 2]), slice);
        assert_eq!(examples.runs(3), [0..2, 2..3]);
        assert_eq!(examples.runs(1), [0..1, 1..2, 2..3]);
    }

    #[test]
    fn examples_that_do_not_fit_together_are_refused() {
        let new = |starts: &[u32], labels: &[u32]| {
            Examples::new(vec![1, 2, 3], starts.to_vec(), labels.to_vec())
        };
        assert!(new(&[0, 1, 3], &[0, 1]).is_ok());
        assert!(new(&[0, 1, 3], &[]).is_ok());
        for (starts, labels) in [
            (&[0, 1, 3][..], &[0][..]),
            (&[0, 3, 3], &[]),
            (&[0, 2], &[]),
            (&[], &[]),
            (&[1, 3], &[]),
        ] {
            assert!(new(starts, labels).is_err(), "{starts:?} {labels:?}");
        }
    }
}

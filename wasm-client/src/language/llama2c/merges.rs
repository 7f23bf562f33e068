//! The merges of neighbouring tokens, best score first, of equal scores the leftmost first.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::Llama2cTokenizer;

/// run.c merges nothing that scores less.
const LEAST_SCORE: f32 = -1e10;

/// Two neighbours that are a token together.
#[derive(Clone, Copy, Debug)]
struct Merge {
    score: f32,
    /// Places of the two, and the tokens they had then.
    places: [usize; 2],
    tokens: [u32; 2],
    merged: u32,
}

impl Merge {
    fn rank(&self, other: &Self) -> Ordering {
        // Adding 0 makes −0 equal to 0, as in C.
        (self.score + 0.0)
            .total_cmp(&(other.score + 0.0))
            .then(Reverse(self.places).cmp(&Reverse(other.places)))
    }
}

impl PartialEq for Merge {
    fn eq(&self, other: &Self) -> bool {
        self.rank(other).is_eq()
    }
}

impl Eq for Merge {}

impl PartialOrd for Merge {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Merge {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank(other)
    }
}

/// Tokens in a list that shrinks: a merged token stands in the place of its left part.
struct Line {
    tokens: Vec<Option<u32>>,
    left: Vec<Option<usize>>,
    right: Vec<Option<usize>>,
}

impl Line {
    fn new(tokens: Vec<u32>) -> Self {
        let count = tokens.len();
        Self {
            tokens: tokens.into_iter().map(Some).collect(),
            left: (0..count).map(|place| place.checked_sub(1)).collect(),
            right: (1..=count)
                .map(|place| (place < count).then_some(place))
                .collect(),
        }
    }

    /// Whether both parts are still as they were.
    fn has(&self, merge: &Merge) -> bool {
        merge
            .places
            .iter()
            .zip(merge.tokens)
            .all(|(&place, token)| self.tokens[place] == Some(token))
            && self.right[merge.places[0]] == Some(merge.places[1])
    }

    fn apply(&mut self, merge: &Merge) {
        let [first, second] = merge.places;
        self.tokens[first] = Some(merge.merged);
        self.tokens[second] = None;
        self.right[first] = self.right[second];
        if let Some(next) = self.right[first] {
            self.left[next] = Some(first);
        }
    }
}

impl Llama2cTokenizer {
    pub(super) fn merge(&self, tokens: Vec<u32>) -> Vec<u32> {
        let mut line = Line::new(tokens);
        let mut heap: BinaryHeap<Merge> = (0..line.tokens.len())
            .filter_map(|place| self.candidate(&line, Some(place)))
            .collect();
        while let Some(merge) = heap.pop() {
            if !line.has(&merge) {
                continue;
            }
            line.apply(&merge);
            let place = merge.places[0];
            heap.extend(self.candidate(&line, line.left[place]));
            heap.extend(self.candidate(&line, Some(place)));
        }
        line.tokens.into_iter().flatten().collect()
    }

    /// The merge of the token at a place with its right neighbour.
    fn candidate(&self, line: &Line, place: Option<usize>) -> Option<Merge> {
        let first = place?;
        let second = line.right[first]?;
        let tokens = [line.tokens[first]?, line.tokens[second]?];
        let bytes = tokens.map(|token| self.pieces[token as usize].as_slice());
        let merged = *self.ids.get(&bytes.concat())?;
        let score = self.scores[merged as usize];
        (score > LEAST_SCORE).then_some(Merge {
            score,
            places: [first, second],
            tokens,
            merged,
        })
    }
}

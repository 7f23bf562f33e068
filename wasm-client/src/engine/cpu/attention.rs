//! Softmax attention, one sequence and head at a time: scores are small enough to stay in cache.
//! Under a causal mask queries come in blocks, and a block's products end with its last query's key.

use core::cell::RefCell;
use core::ops::Range;

use super::parallel::{by_sequence, for_each};
use super::pointwise::{dot, exp_shifted, max, sum};
use super::product::{Matrix, Store, matrix, multiply, row_major, transposed};
use crate::engine::{AttentionMask, EngineError};

/// Queries of a block under a causal mask.
const BLOCK: usize = 32;

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Shape of an attention call.
#[derive(Clone, Copy)]
pub(super) struct Heads<'a> {
    pub(super) heads: usize,
    /// Heads of keys and values; divides `heads`.
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
    pub(super) mask: AttentionMask,
    /// Where each sequence's rows begin, and the end.
    pub(super) row_starts: &'a [u32],
}

impl Heads<'_> {
    /// Columns of queries.
    fn columns(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Columns of keys and of values.
    fn key_columns(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    fn scaled<'b>(&self, add: bool) -> Store<'b> {
        Store {
            scale: Some(1.0 / (self.head_dim as f32).sqrt()),
            add,
            bias: None,
        }
    }

    /// The head of keys that query head `h` looks at.
    fn key_head(&self, h: usize) -> usize {
        h / (self.heads / self.kv_heads)
    }

    /// The query heads that look at key head `g`.
    fn group(&self, g: usize) -> Range<usize> {
        let size = self.heads / self.kv_heads;
        g * size..(g + 1) * size
    }

    /// The columns of a head.
    fn place(&self, head: usize) -> Range<usize> {
        head * self.head_dim..(head + 1) * self.head_dim
    }

    fn rows(&self, s: usize) -> Range<usize> {
        self.row_starts[s] as usize..self.row_starts[s + 1] as usize
    }

    /// Rows of queries that are computed together, and how many keys they see at most.
    fn blocks(&self, len: usize) -> impl Iterator<Item = (Range<usize>, usize)> + use<> {
        let causal = self.mask == AttentionMask::Causal;
        let step = if causal { BLOCK } else { len.max(1) };
        (0..len).step_by(step).map(move |from| {
            let to = len.min(from + step);
            (from..to, if causal { to } else { len })
        })
    }

    /// Values of scratch for the scores of one block.
    fn scores(&self, len: usize) -> usize {
        match self.mask {
            AttentionMask::Bidirectional => len * len,
            AttentionMask::Causal => len.min(BLOCK) * len,
        }
    }

    /// Keys that row `i` of a sequence of `len` sees.
    fn seen(&self, i: usize, len: usize) -> usize {
        match self.mask {
            AttentionMask::Bidirectional => len,
            AttentionMask::Causal => i + 1,
        }
    }
}

/// One head's columns of `[rows, columns]`.
#[derive(Clone, Copy)]
struct Head<'v> {
    values: &'v [f32],
    columns: usize,
    first_column: usize,
    head_dim: usize,
}

impl<'v> Head<'v> {
    fn rows(self, rows: Range<usize>) -> Result<Matrix<'v>, EngineError> {
        let from = rows.start * self.columns + self.first_column;
        let shape = [rows.len(), self.head_dim];
        matrix(&self.values[from..], shape, [self.columns, 1])
    }

    fn rows_transposed(self, rows: Range<usize>) -> Result<Matrix<'v>, EngineError> {
        let from = rows.start * self.columns + self.first_column;
        let shape = [self.head_dim, rows.len()];
        matrix(&self.values[from..], shape, [1, self.columns])
    }
}

impl Heads<'_> {
    fn query<'v>(&self, values: &'v [f32], h: usize) -> Head<'v> {
        Head {
            values,
            columns: self.columns(),
            first_column: h * self.head_dim,
            head_dim: self.head_dim,
        }
    }

    fn key<'v>(&self, values: &'v [f32], g: usize) -> Head<'v> {
        Head {
            columns: self.key_columns(),
            ..self.query(values, g)
        }
    }
}

/// Writes `out` and, as the first of a row's and head's statistics, the log of its sum of
/// exponentials.
pub(super) fn forward(
    shape: Heads<'_>,
    [q, k, v]: [&[f32]; 3],
    out: &mut [f32],
    statistics: &mut [f32],
) -> Result<(), EngineError> {
    let outs = by_sequence(out, shape.row_starts, shape.columns());
    let statistics = by_sequence(statistics, shape.row_starts, 2 * shape.heads);
    let tasks: Vec<_> = outs.into_iter().zip(statistics).enumerate().collect();
    for_each(tasks, |(s, (out, statistics))| {
        let rows = shape.rows(s);
        let len = rows.len();
        with_scratch(shape.scores(len) + len * shape.head_dim, |scratch| {
            let (scores, head_out) = scratch.split_at_mut(shape.scores(len));
            for h in 0..shape.heads {
                let g = shape.key_head(h);
                let (q, k, v) = (shape.query(q, h), shape.key(k, g), shape.key(v, g));
                for (block, keys) in shape.blocks(len) {
                    let scores = &mut scores[..block.len() * keys];
                    let [queries, seen] = [&block, &(0..keys)].map(|part| within(&rows, part));
                    let transposed = k.rows_transposed(seen.clone())?;
                    multiply(scores, q.rows(queries)?, transposed, shape.scaled(false))?;
                    for (i, row) in block.clone().zip(scores.chunks_exact_mut(keys)) {
                        let at = 2 * (i * shape.heads + h);
                        statistics[at] = softmax(row, shape.seen(i, len));
                    }
                    let weights = row_major(scores, [block.len(), keys])?;
                    let head_out = &mut head_out[..block.len() * shape.head_dim];
                    multiply(head_out, weights, v.rows(seen)?, Store::default())?;
                    let out = &mut out[block.start * shape.columns()..];
                    put_head(head_out, out, shape.columns(), shape.place(h));
                }
            }
            Ok(())
        })
    })
}

/// What the gradient reads.
#[derive(Clone, Copy)]
pub(super) struct Saved<'a> {
    pub(super) q: &'a [f32],
    pub(super) k: &'a [f32],
    pub(super) v: &'a [f32],
    pub(super) out: &'a [f32],
    pub(super) d_out: &'a [f32],
}

/// Writes the gradients of queries, keys and values, and `Σ d_out·out` as the second of a row's and
/// head's statistics.
pub(super) fn backward(
    shape: Heads<'_>,
    saved: Saved<'_>,
    statistics: &mut [f32],
    [d_q, d_k, d_v]: [&mut [f32]; 3],
) -> Result<(), EngineError> {
    let cut = |values, columns| by_sequence(values, shape.row_starts, columns);
    let tasks: Vec<_> = cut(d_q, shape.columns())
        .into_iter()
        .zip(cut(d_k, shape.key_columns()))
        .zip(cut(d_v, shape.key_columns()))
        .zip(cut(statistics, 2 * shape.heads))
        .enumerate()
        .collect();
    for_each(tasks, |(s, (((d_q, d_k), d_v), statistics))| {
        let rows = shape.rows(s);
        sequence_delta(shape, saved, rows.start, statistics);
        let len = rows.len();
        let task = SequenceTask {
            shape,
            saved,
            rows,
            statistics,
        };
        let scores = shape.scores(len);
        with_scratch(2 * scores + 3 * len * shape.head_dim, |scratch| {
            for g in 0..shape.kv_heads {
                task.gradients(g, scratch, [&mut *d_q, &mut *d_k, &mut *d_v])?;
            }
            Ok(())
        })
    })
}

/// One sequence, backwards.
struct SequenceTask<'a> {
    shape: Heads<'a>,
    saved: Saved<'a>,
    /// Of this sequence.
    rows: Range<usize>,
    /// Of this sequence, `[len, heads, 2]`.
    statistics: &'a [f32],
}

/// Scratch of one head of keys.
struct HeadScratch<'a> {
    weights: &'a mut [f32],
    d_scores: &'a mut [f32],
    head_q: &'a mut [f32],
    /// Summed over the group's heads of queries and their blocks.
    head_k: &'a mut [f32],
    head_v: &'a mut [f32],
}

impl SequenceTask<'_> {
    /// Gradients of key head `g` and of the query heads that look at it.
    fn gradients(
        &self,
        g: usize,
        scratch: &mut [f32],
        [d_q, d_k, d_v]: [&mut [f32]; 3],
    ) -> Result<(), EngineError> {
        let shape = self.shape;
        let len = self.rows.len();
        let (weights, rest) = scratch.split_at_mut(shape.scores(len));
        let (d_scores, rest) = rest.split_at_mut(shape.scores(len));
        let (head_q, rest) = rest.split_at_mut(len * shape.head_dim);
        let (head_k, head_v) = rest.split_at_mut(len * shape.head_dim);
        head_k.fill(0.0);
        head_v.fill(0.0);
        let mut scratch = HeadScratch {
            weights,
            d_scores,
            head_q,
            head_k,
            head_v,
        };
        for h in shape.group(g) {
            for (block, keys) in shape.blocks(len) {
                self.block([h, g], block.clone(), keys, &mut scratch)?;
                let d_q = &mut d_q[block.start * shape.columns()..];
                let head_q = &scratch.head_q[..block.len() * shape.head_dim];
                put_head(head_q, d_q, shape.columns(), shape.place(h));
            }
        }
        put_head(scratch.head_k, d_k, shape.key_columns(), shape.place(g));
        put_head(scratch.head_v, d_v, shape.key_columns(), shape.place(g));
        Ok(())
    }

    /// The queries of one block: their own gradient, and their part of the keys' and values'.
    fn block(
        &self,
        [h, g]: [usize; 2],
        block: Range<usize>,
        keys: usize,
        scratch: &mut HeadScratch<'_>,
    ) -> Result<(), EngineError> {
        let Self { shape, saved, .. } = *self;
        let size = [block.len(), keys];
        let weights = &mut scratch.weights[..block.len() * keys];
        let d_scores = &mut scratch.d_scores[..block.len() * keys];
        let [queries, seen] = [&block, &(0..keys)].map(|part| within(&self.rows, part));
        let (q, d_out) = (shape.query(saved.q, h), shape.query(saved.d_out, h));
        let (k, v) = (shape.key(saved.k, g), shape.key(saved.v, g));
        let (q, d_out) = (q.rows(queries.clone())?, d_out.rows(queries)?);

        let transposed_k = k.rows_transposed(seen.clone())?;
        multiply(weights, q, transposed_k, shape.scaled(false))?;
        let transposed_v = v.rows_transposed(seen.clone())?;
        multiply(d_scores, d_out, transposed_v, Store::default())?;
        self.differentiate_softmax(h, block.clone(), weights, d_scores);

        let add = Store {
            add: true,
            ..Store::default()
        };
        let all = ..keys * shape.head_dim;
        multiply(
            &mut scratch.head_v[all],
            transposed(weights, size)?,
            d_out,
            add,
        )?;
        let d_scores = &*d_scores;
        let head_q = &mut scratch.head_q[..block.len() * shape.head_dim];
        multiply(
            head_q,
            row_major(d_scores, size)?,
            k.rows(seen)?,
            shape.scaled(false),
        )?;
        let head_k = &mut scratch.head_k[all];
        multiply(head_k, transposed(d_scores, size)?, q, shape.scaled(true))
    }

    /// Scores to weights, and gradients of the weights to gradients of the scores.
    fn differentiate_softmax(
        &self,
        h: usize,
        block: Range<usize>,
        weights: &mut [f32],
        d_scores: &mut [f32],
    ) {
        let keys = weights.len() / block.len();
        let rows = weights
            .chunks_exact_mut(keys)
            .zip(d_scores.chunks_exact_mut(keys));
        for (i, (row, d_row)) in block.zip(rows) {
            let seen = self.shape.seen(i, self.rows.len());
            let at = 2 * (i * self.shape.heads + h);
            let [log_sum_exp, delta] = [self.statistics[at], self.statistics[at + 1]];
            exp_shifted(&mut row[..seen], log_sum_exp);
            row[seen..].fill(0.0);
            for (d_score, weight) in d_row.iter_mut().zip(row) {
                *d_score = *weight * (*d_score - delta);
            }
        }
    }
}

/// `part` of a sequence whose rows are `rows`, as rows of the batch.
fn within(rows: &Range<usize>, part: &Range<usize>) -> Range<usize> {
    rows.start + part.start..rows.start + part.end
}

/// `Σ d_out·out` of each row and head of the sequence that begins at `first`.
fn sequence_delta(shape: Heads<'_>, saved: Saved<'_>, first: usize, statistics: &mut [f32]) {
    let from = first * shape.columns();
    let heads = saved.d_out[from..].chunks_exact(shape.head_dim);
    let outs = saved.out[from..].chunks_exact(shape.head_dim);
    for (pair, (d_out, out)) in statistics.chunks_exact_mut(2).zip(heads.zip(outs)) {
        pair[1] = dot(d_out, out);
    }
}

/// Softmax over the first `seen` scores, zero beyond; yields the log of the sum of exponentials.
fn softmax(row: &mut [f32], seen: usize) -> f32 {
    let (scores, hidden) = row.split_at_mut(seen);
    hidden.fill(0.0);
    let largest = max(scores);
    exp_shifted(scores, largest);
    let total = sum(scores);
    let inverse = 1.0 / total;
    for score in scores {
        *score *= inverse;
    }
    largest + total.ln()
}

/// Copies one head's `[len, head_dim]` to its columns of `rows`.
fn put_head(head: &[f32], rows: &mut [f32], columns: usize, place: Range<usize>) {
    let rows = rows.chunks_exact_mut(columns);
    for (row, values) in rows.zip(head.chunks_exact(place.len())) {
        row[place.clone()].copy_from_slice(values);
    }
}

fn with_scratch<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut scratch = SCRATCH.take();
    if scratch.len() < len {
        scratch.resize(len, 0.0);
    }
    let result = work(&mut scratch[..len]);
    SCRATCH.set(scratch);
    result
}

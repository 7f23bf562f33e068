//! Softmax attention, one sequence and head at a time: scores are small enough to stay in cache.

use core::cell::RefCell;

use super::parallel::{by_sequence, for_each};
use super::pointwise::{dot, exp_shifted, max, sum};
use super::product::{Matrix, Store, matrix, multiply, row_major, transposed};
use crate::engine::{AttentionMask, EngineError};

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Shape of an attention call.
#[derive(Clone, Copy)]
pub(super) struct Heads<'a> {
    pub(super) heads: usize,
    pub(super) head_dim: usize,
    pub(super) mask: AttentionMask,
    /// Where each sequence's rows begin, and the end.
    pub(super) row_starts: &'a [u32],
}

impl Heads<'_> {
    fn columns(&self) -> usize {
        self.heads * self.head_dim
    }

    fn scale(&self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }

    /// The rows of sequence `s`, columns of head `h`, as a matrix.
    fn head<'v>(&self, values: &'v [f32], s: usize, h: usize) -> Result<Matrix<'v>, EngineError> {
        let [start, end] = [self.row_starts[s] as usize, self.row_starts[s + 1] as usize];
        let from = start * self.columns() + h * self.head_dim;
        matrix(
            &values[from..],
            [end - start, self.head_dim],
            [self.columns(), 1],
        )
    }

    /// The same, transposed.
    fn head_transposed<'v>(
        &self,
        values: &'v [f32],
        s: usize,
        h: usize,
    ) -> Result<Matrix<'v>, EngineError> {
        let [start, end] = [self.row_starts[s] as usize, self.row_starts[s + 1] as usize];
        let from = start * self.columns() + h * self.head_dim;
        matrix(
            &values[from..],
            [self.head_dim, end - start],
            [1, self.columns()],
        )
    }

    /// Keys that row `i` of a sequence of `len` sees.
    fn seen(&self, i: usize, len: usize) -> usize {
        match self.mask {
            AttentionMask::Bidirectional => len,
            AttentionMask::Causal => i + 1,
        }
    }
}

/// Writes `out` and the log of each row's sum of exponentials.
pub(super) fn forward(
    shape: Heads<'_>,
    [q, k, v]: [&[f32]; 3],
    out: &mut [f32],
    log_sum_exp: &mut [f32],
) -> Result<(), EngineError> {
    let outs = by_sequence(out, shape.row_starts, shape.columns());
    let logs = by_sequence(log_sum_exp, shape.row_starts, shape.heads);
    let tasks: Vec<_> = outs.into_iter().zip(logs).enumerate().collect();
    for_each(tasks, |(s, (out, logs))| {
        let len = logs.len() / shape.heads;
        with_scratch(len * len + len * shape.head_dim, |scratch| {
            let (scores, head_out) = scratch.split_at_mut(len * len);
            for h in 0..shape.heads {
                let keys = shape.head_transposed(k, s, h)?;
                let scaled = Store {
                    scale: Some(shape.scale()),
                    ..Store::default()
                };
                multiply(scores, shape.head(q, s, h)?, keys, scaled)?;
                for (i, row) in scores.chunks_exact_mut(len).enumerate() {
                    logs[i * shape.heads + h] = softmax(row, shape.seen(i, len));
                }
                let weights = row_major(scores, [len, len])?;
                let values = shape.head(v, s, h)?;
                multiply(head_out, weights, values, Store::default())?;
                put_head(head_out, out, shape, h);
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
    pub(super) log_sum_exp: &'a [f32],
    pub(super) d_out: &'a [f32],
}

/// Writes the gradients of queries, keys and values, and `Σ d_out·out` per row and head.
pub(super) fn backward(
    shape: Heads<'_>,
    saved: Saved<'_>,
    delta: &mut [f32],
    [d_q, d_k, d_v]: [&mut [f32]; 3],
) -> Result<(), EngineError> {
    let cut = |values| by_sequence(values, shape.row_starts, shape.columns());
    let deltas = by_sequence(delta, shape.row_starts, shape.heads);
    let tasks: Vec<_> = cut(d_q)
        .into_iter()
        .zip(cut(d_k))
        .zip(cut(d_v))
        .zip(deltas)
        .enumerate()
        .collect();
    for_each(tasks, |(s, (((d_q, d_k), d_v), delta))| {
        sequence_delta(shape, saved, s, delta);
        let len = delta.len() / shape.heads;
        with_scratch(2 * len * len + len * shape.head_dim, |scratch| {
            for h in 0..shape.heads {
                let task = HeadTask {
                    shape,
                    saved,
                    s,
                    h,
                    delta,
                };
                task.gradients(scratch, [&mut *d_q, &mut *d_k, &mut *d_v])?;
            }
            Ok(())
        })
    })
}

/// One head of one sequence, backwards.
struct HeadTask<'a> {
    shape: Heads<'a>,
    saved: Saved<'a>,
    s: usize,
    h: usize,
    /// Of this sequence, `[len, heads]`.
    delta: &'a [f32],
}

impl HeadTask<'_> {
    fn gradients(
        &self,
        scratch: &mut [f32],
        [d_q, d_k, d_v]: [&mut [f32]; 3],
    ) -> Result<(), EngineError> {
        let Self {
            shape,
            saved,
            s,
            h,
            delta,
        } = *self;
        let len = delta.len() / shape.heads;
        let first = shape.row_starts[s] as usize;
        let (weights, rest) = scratch.split_at_mut(len * len);
        let (d_weights, head_out) = rest.split_at_mut(len * len);
        let scaled = Store {
            scale: Some(shape.scale()),
            ..Store::default()
        };

        let keys = shape.head_transposed(saved.k, s, h)?;
        multiply(weights, shape.head(saved.q, s, h)?, keys, scaled)?;
        let values = shape.head_transposed(saved.v, s, h)?;
        multiply(
            d_weights,
            shape.head(saved.d_out, s, h)?,
            values,
            Store::default(),
        )?;
        let rows = weights
            .chunks_exact_mut(len)
            .zip(d_weights.chunks_exact_mut(len));
        for (i, (row, d_row)) in rows.enumerate() {
            let seen = shape.seen(i, len);
            exp_shifted(
                &mut row[..seen],
                saved.log_sum_exp[(first + i) * shape.heads + h],
            );
            row[seen..].fill(0.0);
            let delta = delta[i * shape.heads + h];
            for (d_score, weight) in d_row.iter_mut().zip(row) {
                *d_score = *weight * (*d_score - delta);
            }
        }

        let d_out = shape.head(saved.d_out, s, h)?;
        multiply(
            head_out,
            transposed(weights, [len, len])?,
            d_out,
            Store::default(),
        )?;
        put_head(head_out, d_v, shape, h);
        let keys = shape.head(saved.k, s, h)?;
        multiply(head_out, row_major(d_weights, [len, len])?, keys, scaled)?;
        put_head(head_out, d_q, shape, h);
        let queries = shape.head(saved.q, s, h)?;
        multiply(
            head_out,
            transposed(d_weights, [len, len])?,
            queries,
            scaled,
        )?;
        put_head(head_out, d_k, shape, h);
        Ok(())
    }
}

/// `Σ d_out·out` of each row and head of sequence `s`.
fn sequence_delta(shape: Heads<'_>, saved: Saved<'_>, s: usize, delta: &mut [f32]) {
    let from = shape.row_starts[s] as usize * shape.columns();
    let heads = saved.d_out[from..].chunks_exact(shape.head_dim);
    let outs = saved.out[from..].chunks_exact(shape.head_dim);
    for (delta, (d_out, out)) in delta.iter_mut().zip(heads.zip(outs)) {
        *delta = dot(d_out, out);
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
fn put_head(head: &[f32], rows: &mut [f32], shape: Heads<'_>, h: usize) {
    let from = h * shape.head_dim;
    let rows = rows.chunks_exact_mut(shape.columns());
    for (row, values) in rows.zip(head.chunks_exact(shape.head_dim)) {
        row[from..from + shape.head_dim].copy_from_slice(values);
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

//! What is computed row by row: embedding, norm, pooling, cross-entropy, AdamW.

use rayon::prelude::*;

use super::pointwise::{dot, exp, max, sum, sum_by};
use crate::engine::{AdamW, OptimizerState};

/// Rows that one task works on at least.
const GRAIN: usize = 32;

/// `x + residual` normalized, and what its gradient needs.
pub(super) struct Norm<'a> {
    pub(super) x: &'a [f32],
    pub(super) residual: Option<&'a [f32]>,
    pub(super) gain: &'a [f32],
    pub(super) bias: &'a [f32],
    pub(super) eps: f32,
}

impl Norm<'_> {
    /// Writes all rows; the outputs have exactly as many.
    pub(super) fn forward(&self, normalized: &mut [f32], rstd: &mut [f32], y: &mut [f32]) {
        let dim = self.gain.len();
        let pieces = normalized
            .par_chunks_mut(GRAIN * dim)
            .zip(rstd.par_chunks_mut(GRAIN))
            .zip(y.par_chunks_mut(GRAIN * dim));
        pieces
            .enumerate()
            .for_each(|(piece, ((normalized, rstd), y))| {
                let rows = normalized
                    .chunks_exact_mut(dim)
                    .zip(rstd)
                    .zip(y.chunks_exact_mut(dim));
                for (row, ((normalized, rstd), y)) in rows.enumerate() {
                    *rstd = self.row((piece * GRAIN + row) * dim, normalized, y);
                }
            });
    }

    fn row(&self, from: usize, normalized: &mut [f32], y: &mut [f32]) -> f32 {
        let dim = normalized.len();
        normalized.copy_from_slice(&self.x[from..from + dim]);
        if let Some(residual) = self.residual {
            for (value, residual) in normalized.iter_mut().zip(&residual[from..from + dim]) {
                *value += residual;
            }
        }
        let mean = sum(normalized) / dim as f32;
        for value in normalized.iter_mut() {
            *value -= mean;
        }
        let variance = dot(normalized, normalized) / dim as f32;
        let rstd = 1.0 / (variance + self.eps).sqrt();
        let outputs = normalized
            .iter_mut()
            .zip(y)
            .zip(self.gain.iter().zip(self.bias));
        for ((value, y), (gain, bias)) in outputs {
            *value *= rstd;
            *y = *value * gain + bias;
        }
        rstd
    }
}

/// A norm's output, of its normalized rows, gain and bias.
pub(super) fn norm_output(normalized: &[f32], [gain, bias]: [&[f32]; 2], y: &mut [f32]) {
    let dim = gain.len();
    let rows = y.par_chunks_mut(dim).zip(normalized.par_chunks(dim));
    rows.for_each(|(y, normalized)| {
        let values = normalized.iter().zip(gain.iter().zip(bias));
        for (y, (value, (gain, bias))) in y.iter_mut().zip(values) {
            *y = *value * gain + bias;
        }
    });
}

/// The gradient of a norm's input: `rstd·(g - mean(g) - n·mean(g·n))` with `g = d_y·gain`.
pub(super) fn norm_gradient(
    d_y: &[f32],
    normalized: &[f32],
    rstd: &[f32],
    gain: &[f32],
    d_x: &mut [f32],
    add: bool,
) {
    let dim = gain.len();
    d_x.par_chunks_mut(GRAIN * dim)
        .enumerate()
        .for_each(|(piece, d_x)| {
            let mut scaled = vec![0.0; dim];
            for (row, d_x) in d_x.chunks_exact_mut(dim).enumerate() {
                let row = piece * GRAIN + row;
                let (d_y, n) = (&d_y[row * dim..][..dim], &normalized[row * dim..][..dim]);
                for ((scaled, d_y), gain) in scaled.iter_mut().zip(d_y).zip(gain) {
                    *scaled = d_y * gain;
                }
                let mean = sum(&scaled) / dim as f32;
                let slope = sum_by(&scaled, n, |g, n| g * n) / dim as f32;
                let keep = if add { 1.0 } else { 0.0 };
                if !add {
                    d_x.fill(0.0);
                }
                for ((d_x, g), n) in d_x.iter_mut().zip(&scaled).zip(n) {
                    *d_x = keep * *d_x + rstd[row] * (g - mean - n * slope);
                }
            }
        });
}

/// Which rows belong to which sequence.
#[derive(Clone, Copy)]
pub(super) struct Sequences<'a> {
    pub(super) row_starts: &'a [u32],
    pub(super) virtual_tokens: usize,
}

impl Sequences<'_> {
    /// The rows of each sequence's real tokens.
    fn real_rows(&self) -> impl Iterator<Item = core::ops::Range<usize>> {
        let virtual_tokens = self.virtual_tokens;
        self.row_starts
            .windows(2)
            .map(move |w| w[0] as usize + virtual_tokens..w[1] as usize)
    }

    /// The first row of each sequence.
    pub(super) fn first_rows(&self) -> impl Iterator<Item = usize> {
        self.row_starts[..self.row_starts.len() - 1]
            .iter()
            .map(|&row| row as usize)
    }
}

/// Mean over each sequence's real tokens.
pub(super) fn mean_pool(x: &[f32], sequences: Sequences<'_>, out: &mut [f32], dim: usize) {
    for (out, rows) in out.chunks_exact_mut(dim).zip(sequences.real_rows()) {
        let inverse = 1.0 / rows.len() as f32;
        out.fill(0.0);
        for row in rows {
            for (out, x) in out.iter_mut().zip(&x[row * dim..][..dim]) {
                *out += x * inverse;
            }
        }
    }
}

/// Its gradient, zero for virtual tokens.
pub(super) fn mean_pool_gradient(
    d_out: &[f32],
    sequences: Sequences<'_>,
    d_x: &mut [f32],
    dim: usize,
) {
    d_x.fill(0.0);
    for (d_out, rows) in d_out.chunks_exact(dim).zip(sequences.real_rows()) {
        let inverse = 1.0 / rows.len() as f32;
        for row in rows {
            for (d_x, d_out) in d_x[row * dim..][..dim].iter_mut().zip(d_out) {
                *d_x = d_out * inverse;
            }
        }
    }
}

/// The mean loss, and its gradient by the logits.
pub(super) fn cross_entropy(
    logits: &[f32],
    labels: &[u32],
    d_logits: &mut [f32],
    classes: usize,
) -> f32 {
    let inverse = 1.0 / labels.len() as f32;
    let mut loss = 0.0f64;
    let rows = logits
        .chunks_exact(classes)
        .zip(d_logits.chunks_exact_mut(classes));
    for ((logits, d_logits), &label) in rows.zip(labels) {
        let largest = max(logits);
        for (d, logit) in d_logits.iter_mut().zip(logits) {
            *d = exp(logit - largest);
        }
        let total = sum(d_logits);
        loss += f64::from(largest + total.ln() - logits[label as usize]);
        for d in d_logits.iter_mut() {
            *d *= inverse / total;
        }
        d_logits[label as usize] -= inverse;
    }
    (loss * f64::from(inverse)) as f32
}

/// One step over the whole vector.
pub fn adamw(o: &AdamW, values: &mut [f32], gradient: &[f32], state: &mut OptimizerState) {
    state.steps += 1;
    let steps = i32::try_from(state.steps).unwrap_or(i32::MAX);
    let correction = |beta: f32| (1.0 - f64::from(beta).powi(steps)) as f32;
    let (first, second) = (correction(o.beta1), correction(o.beta2));
    let decay = 1.0 - o.learning_rate * o.weight_decay;
    let moments = state.first.iter_mut().zip(&mut state.second);
    for ((p, &g), (m, v)) in values.iter_mut().zip(gradient).zip(moments) {
        *m = o.beta1 * *m + (1.0 - o.beta1) * g;
        *v = o.beta2 * *v + (1.0 - o.beta2) * g * g;
        let step = (*m / first) / ((*v / second).sqrt() + o.eps);
        *p = *p * decay - o.learning_rate * step;
    }
}

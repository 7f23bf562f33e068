//! Root-mean-square norms, row by row (Zhang and Sennrich 2019).

use rayon::prelude::*;

use super::pointwise::{dot, sum_by};

/// Rows that one task works on at least.
const GRAIN: usize = 32;

/// A norm's settings.
pub(super) struct RmsNorm<'a> {
    pub(super) gain: &'a [f32],
    pub(super) eps: f32,
}

impl RmsNorm<'_> {
    /// Writes all rows of `x`.
    pub(super) fn forward(&self, x: &[f32], rstd: &mut [f32], y: &mut [f32]) {
        let dim = self.gain.len();
        let pieces = x
            .par_chunks(GRAIN * dim)
            .zip(rstd.par_chunks_mut(GRAIN))
            .zip(y.par_chunks_mut(GRAIN * dim));
        pieces.for_each(|((x, rstd), y)| {
            let rows = x.chunks_exact(dim).zip(y.chunks_exact_mut(dim));
            for ((x, y), rstd) in rows.zip(rstd) {
                *rstd = 1.0 / (dot(x, x) / dim as f32 + self.eps).sqrt();
                for ((y, x), gain) in y.iter_mut().zip(x).zip(self.gain) {
                    *y = x * *rstd * gain;
                }
            }
        });
    }
}

/// `a += b`.
pub(super) fn add(a: &mut [f32], b: &[f32]) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
}

/// The gradient of a norm's input: `rstd·(g - n·mean(g·n))` with `g = d_y·gain`, `n = x·rstd`.
pub(super) fn gradient(
    [d_y, x]: [&[f32]; 2],
    rstd: &[f32],
    gain: &[f32],
    d_x: &mut [f32],
    add: bool,
) {
    let dim = gain.len();
    let pieces = d_x.par_chunks_mut(GRAIN * dim).enumerate();
    pieces.for_each(|(piece, d_x)| {
        let mut scaled = vec![0.0; dim];
        for (row, d_x) in d_x.chunks_exact_mut(dim).enumerate() {
            let row = piece * GRAIN + row;
            let (d_y, x) = (&d_y[row * dim..][..dim], &x[row * dim..][..dim]);
            for ((scaled, d_y), gain) in scaled.iter_mut().zip(d_y).zip(gain) {
                *scaled = d_y * gain;
            }
            let rstd = rstd[row];
            let slope = sum_by(&scaled, x, |g, x| g * x) * rstd * rstd / dim as f32;
            if !add {
                d_x.fill(0.0);
            }
            for ((d_x, g), x) in d_x.iter_mut().zip(&scaled).zip(x) {
                *d_x += rstd * (g - x * slope);
            }
        }
    });
}

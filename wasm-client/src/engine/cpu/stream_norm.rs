//! Norms beside the residual stream, row by row: root-mean-square (Zhang and Sennrich 2019), and
//! layer norms (Ba et al. 2016).

use rayon::prelude::*;

use super::pointwise::{sum, sum_by};

/// Rows that one task works on at least.
const GRAIN: usize = 32;

/// A norm's settings.
pub(super) struct StreamNorm<'a> {
    pub(super) gain: &'a [f32],
    /// Of a layer norm.
    pub(super) bias: Option<&'a [f32]>,
    pub(super) eps: f32,
}

impl StreamNorm<'_> {
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
                let mean = mean_if(self.bias.is_some(), x);
                let squares = sum_by(x, x, |x, _| (x - mean) * (x - mean));
                *rstd = 1.0 / (squares / dim as f32 + self.eps).sqrt();
                for ((y, x), gain) in y.iter_mut().zip(x).zip(self.gain) {
                    *y = (x - mean) * *rstd * gain;
                }
                if let Some(bias) = self.bias {
                    add(y, bias);
                }
            }
        });
    }
}

/// The mean of a layer norm's row; a root-mean-square norm takes none off.
pub(super) fn mean_if(centred: bool, x: &[f32]) -> f32 {
    if centred {
        sum(x) / x.len() as f32
    } else {
        0.0
    }
}

/// `a += b`.
pub(super) fn add(a: &mut [f32], b: &[f32]) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
}

/// The gradient of a norm's input: `rstd·(g - n·mean(g·n))` with `g = d_y·gain`, `n = x·rstd`; in a
/// layer norm with `n = (x - mean(x))·rstd`, and less `rstd·mean(g)`.
pub(super) fn gradient(
    [d_y, x]: [&[f32]; 2],
    rstd: &[f32],
    gain: &[f32],
    d_x: &mut [f32],
    centred: bool,
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
            let (mean_g, mean_x) = (mean_if(centred, &scaled), mean_if(centred, x));
            let products = sum_by(&scaled, x, |g, x| g * (x - mean_x));
            let slope = products * rstd * rstd / dim as f32;
            if !add {
                d_x.fill(0.0);
            }
            for ((d_x, g), x) in d_x.iter_mut().zip(&scaled).zip(x) {
                *d_x += rstd * (g - mean_g - (x - mean_x) * slope);
            }
        }
    });
}

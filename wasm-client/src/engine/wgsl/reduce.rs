//! Sums over rows of outer products: gradients of factors, weights and biases.

use super::super::EngineError;
use super::WgslKernels;
use super::commands::Dispatch;
use super::memory::GpuBuffer;
use super::shader::{Shader, in_two_dimensions};

/// `out[offset + j·strides[0] + n·strides[1]] = scale · Σ_rows p[row, j]·q[row, n]`.
pub(super) struct Reduction<'a> {
    /// `[rows, j_len]`; `None` stands for a column of ones.
    pub(super) p: Option<&'a GpuBuffer>,
    /// `[rows, n_len]`.
    pub(super) q: &'a GpuBuffer,
    /// Columns of `p`, columns of `q`.
    pub(super) sizes: [usize; 2],
    /// Where the result begins in the flat gradient.
    pub(super) offset: usize,
    /// Of the result.
    pub(super) strides: [usize; 2],
    /// Factor of the sum.
    pub(super) scale: f32,
}

impl WgslKernels {
    /// One sum or two in one dispatch.
    pub(super) fn reduce(
        &mut self,
        rows: usize,
        first: &Reduction<'_>,
        second: Option<&Reduction<'_>>,
    ) -> Result<(), EngineError> {
        let both = [Some(first), second];
        for sum in both.into_iter().flatten() {
            sum.check(rows, &self.adapter.gradient)?;
        }
        let ones = both.map(|sum| u32::from(sum.is_some_and(|sum| sum.p.is_none())));
        let groups = both.map(|sum| sum.map_or(0, Reduction::groups));
        let [first_words, second_words] = both.map(|sum| sum.map_or([0; 6], Reduction::words));
        let head = [rows as u32, groups[0], ones[0], ones[1]];
        let words = [&head[..], &first_words, &second_words].concat();
        let last = second.unwrap_or(first);
        self.commands.dispatch(
            &self.device,
            &Dispatch {
                shader: Shader::ReduceRows,
                buffers: &[
                    first.p.unwrap_or(first.q),
                    first.q,
                    last.p.unwrap_or(last.q),
                    last.q,
                    &self.adapter.gradient,
                ],
                words: &words,
                groups: in_two_dimensions(groups[0] + groups[1]),
            },
        )
    }
}

impl Reduction<'_> {
    /// Workgroups of 4 by 16 results.
    fn groups(&self) -> u32 {
        let [j_len, n_len] = self.sizes;
        (j_len.div_ceil(4) * n_len.div_ceil(16)) as u32
    }

    /// Its part of the uniform.
    fn words(&self) -> [u32; 6] {
        let [j_len, n_len] = self.sizes.map(|size| size as u32);
        let [j_stride, n_stride] = self.strides.map(|stride| stride as u32);
        let (offset, scale) = (self.offset as u32, self.scale.to_bits());
        [j_len, n_len, offset, j_stride, n_stride, scale]
    }

    fn check(&self, rows: usize, gradient: &GpuBuffer) -> Result<(), EngineError> {
        let [j_len, n_len] = self.sizes;
        self.q.expect("columns of a reduction", rows * n_len)?;
        if let Some(p) = self.p {
            p.expect("rows of a reduction", rows * j_len)?;
        }
        gradient.expect("gradient", self.offset + j_len * n_len)
    }
}

//! Going on with a text on this machine's processor.

use rayon::prelude::*;

use super::CpuKernels;
use super::buffer::CpuBuffer;
use super::pointwise::{dot, exp_shifted, max, sum};
use crate::engine::decoder::LanguageHead;
use crate::engine::kernels::generation::{CachedAttentionCall, GenerationKernels, LogitsCall};
use crate::engine::kernels::{Kernels, LinearCall, LinearInputGradient};
use crate::engine::{EngineError, LinearLayer};

impl GenerationKernels for CpuKernels {
    fn cached_attention(
        &mut self,
        call: CachedAttentionCall<'_, CpuBuffer>,
    ) -> Result<(), EngineError> {
        self.calls += 1;
        call.check()?;
        let columns = call.kv_heads * call.head_dim;
        let place = call.past * columns..(call.past + call.rows) * columns;
        for (kept, new) in [(call.keys, call.k), (call.values, call.v)] {
            kept.values_mut()[place.clone()].copy_from_slice(&new.values()[..place.len()]);
        }
        let rows = Rows {
            q: &call.q.values(),
            keys: &call.keys.values(),
            values: &call.values.values(),
            heads: call.heads,
            group: call.heads / call.kv_heads,
            head_dim: call.head_dim,
            past: call.past,
        };
        let mut out = call.out.values_mut();
        out[..call.rows * call.heads * call.head_dim]
            .par_chunks_exact_mut(call.head_dim)
            .enumerate()
            .for_each(|(place, out)| rows.attend(place, out));
        Ok(())
    }

    fn logits(&mut self, call: LogitsCall<'_, CpuBuffer>) -> Result<(), EngineError> {
        call.check()?;
        let (dim, vocabulary, rows) = (call.dim, call.vocabulary, call.rows);
        match call.head {
            LanguageHead::Separate(weight) => self.linear(LinearCall {
                x: call.hidden,
                layer: &LinearLayer::frozen(weight.clone(), [dim, vocabulary]),
                low_rank: None,
                y: call.y,
                rows,
            }),
            LanguageHead::Tied(word) => self.linear_input_gradient(LinearInputGradient {
                d_y: call.hidden,
                layer: &LinearLayer::frozen(word.clone(), [vocabulary, dim]),
                d_low_rank: None,
                d_x: call.y,
                add: false,
                rows,
            }),
        }
    }
}

/// The queries that go on with a sequence, and the keys and values kept of it.
struct Rows<'a> {
    q: &'a [f32],
    keys: &'a [f32],
    values: &'a [f32],
    heads: usize,
    /// Heads of queries that share one of keys.
    group: usize,
    head_dim: usize,
    past: usize,
}

impl Rows<'_> {
    /// One head of one row: head `place % heads` of row `place / heads`.
    fn attend(&self, place: usize, out: &mut [f32]) {
        let (row, head) = (place / self.heads, place % self.heads);
        let stride = self.heads / self.group * self.head_dim;
        let column = head / self.group * self.head_dim;
        let of = |s: usize| s * stride + column..s * stride + column + self.head_dim;
        let q = &self.q[place * self.head_dim..][..self.head_dim];
        let scale = 1.0 / (self.head_dim as f32).sqrt();
        let mut weights: Vec<f32> = (0..=self.past + row)
            .map(|s| scale * dot(q, &self.keys[of(s)]))
            .collect();
        let top = max(&weights);
        exp_shifted(&mut weights, top);
        let share = 1.0 / sum(&weights);
        out.fill(0.0);
        for (s, weight) in weights.iter().enumerate() {
            let value = &self.values[of(s)];
            out.iter_mut()
                .zip(value)
                .for_each(|(out, value)| *out += weight * share * value);
        }
    }
}

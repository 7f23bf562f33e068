//! Attention's passes as queued calls.

use super::super::kernels::{AttentionCall, AttentionGradient};
use super::super::{AttentionMask, EngineError, checks};
use super::WgslKernels;
use super::attention::{Attention, GROUP, Pass};
use super::commands::Dispatch;
use super::memory::GpuBuffer;
use super::shader::{Shader, linear_groups};

/// Largest head whose rows fit a thread's registers.
const MAX_HEAD_DIM: usize = 128;

impl WgslKernels {
    /// Queues one pass; `buffers` in the order of its bindings, after the block table.
    pub(super) fn attention_pass(
        &mut self,
        call: &AttentionCall<'_, GpuBuffer>,
        pass: Pass,
        buffers: &[&GpuBuffer],
    ) -> Result<(), EngineError> {
        let (heads, head_dim) = (call.heads, call.head_dim);
        Self::vectors("head_dim", head_dim)?;
        checks::range("head_dim", head_dim, MAX_HEAD_DIM + 1)?;
        call.check(self.batch.row_count)?;
        let attention = Attention {
            pass,
            head_dim: head_dim as u32,
            rows: self.tuning.attention_rows,
        };
        let blocks = self.batch.block_count as u32;
        let causal = u32::from(call.mask == AttentionMask::Causal);
        let scale = 1.0 / (head_dim as f32).sqrt();
        let bound: Vec<_> = [&self.batch.blocks]
            .into_iter()
            .chain(buffers.iter().copied())
            .collect();
        self.commands.dispatch(
            &self.device,
            &Dispatch {
                shader: Shader::Attention(attention),
                buffers: &bound,
                words: &[heads as u32, causal, blocks, scale.to_bits()],
                groups: [blocks.div_ceil(GROUP), heads as u32, 1],
            },
        )
    }

    pub(super) fn attention_backward(
        &mut self,
        call: &AttentionGradient<'_, GpuBuffer>,
    ) -> Result<(), EngineError> {
        call.check(self.batch.row_count)?;
        let AttentionGradient {
            forward,
            d_out,
            delta,
            d_q,
            d_k,
            d_v,
        } = call;
        let AttentionCall {
            q,
            k,
            v,
            out,
            log_sum_exp,
            heads,
            head_dim,
            rows,
            ..
        } = *forward;
        let count = (rows * heads) as u32;
        self.commands.dispatch(
            &self.device,
            &Dispatch {
                shader: Shader::Delta,
                buffers: &[d_out, out, delta],
                words: &[count, heads as u32, Self::vectors("head_dim", head_dim)?],
                groups: linear_groups(count),
            },
        )?;
        let sums = log_sum_exp;
        self.attention_pass(forward, Pass::Query, &[q, k, v, d_out, sums, delta, d_q])?;
        self.attention_pass(forward, Pass::Key, &[q, k, v, d_out, sums, delta, d_k])?;
        self.attention_pass(forward, Pass::Value, &[q, k, d_out, sums, d_v])
    }
}

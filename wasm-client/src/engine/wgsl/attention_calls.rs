//! Attention's passes as queued calls.

use super::super::kernels::{AttentionCall, AttentionGradient};
use super::super::{AttentionMask, EngineError, checks};
use super::WgslKernels;
use super::attention::{Attention, GROUP, Pass};
use super::commands::Dispatch;
use super::memory::GpuBuffer;
use super::shader::Shader;

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
            streamed: self.tuning.attention_streamed,
        };
        let group = heads / call.kv_heads;
        let owned = match pass {
            Pass::Forward | Pass::Query => heads,
            Pass::Key => call.kv_heads,
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
                words: &[heads as u32, causal, blocks, scale.to_bits(), group as u32],
                groups: [blocks.div_ceil(GROUP), owned as u32, 1],
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
            d_q,
            d_k,
            d_v,
        } = call;
        let AttentionCall {
            q,
            k,
            v,
            out,
            statistics,
            ..
        } = *forward;
        self.attention_pass(
            forward,
            Pass::Query,
            &[q, k, v, d_out, out, d_q, statistics],
        )?;
        self.attention_pass(forward, Pass::Key, &[q, k, v, d_out, statistics, d_k, d_v])
    }
}

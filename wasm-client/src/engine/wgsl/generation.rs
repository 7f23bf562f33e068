//! Going on with a text, as queued calls.

use super::super::kernels::generation::{CachedAttentionCall, GenerationKernels, LogitsCall};
use super::super::{EngineError, checks};
use super::WgslKernels;
use super::decoder_calls::frozen_head;
use super::decoder_shader::DecoderShader;
use super::memory::GpuBuffer;
use super::shader::linear_groups;

/// Largest head whose row fits a thread's registers.
const MAX_HEAD_DIM: usize = 256;
/// Threads of one workgroup of attention.
const GROUP: u32 = 8;

/// The text of attention to kept rows for one head size: a thread has one head of one row, and
/// takes the kept rows as they come (the online softmax of Milakov and Gimelshein 2018).
pub(super) fn attention_source(head_dim: u32) -> String {
    format!(
        "const VECTORS: u32 = {}u;\nconst GROUP: u32 = {GROUP}u;\n{}",
        head_dim / 4,
        include_str!("cached_attention.wgsl")
    )
}

impl GenerationKernels for WgslKernels {
    /// Two calls: one keeps the rows, one attends.
    fn cached_attention(
        &mut self,
        call: CachedAttentionCall<'_, GpuBuffer>,
    ) -> Result<(), EngineError> {
        call.check()?;
        Self::vectors("head_dim", call.head_dim)?;
        checks::range("head_dim", call.head_dim, MAX_HEAD_DIM + 1)?;
        let columns = call.kv_heads * call.head_dim;
        let count = (call.rows * columns / 4) as u32;
        self.decoder_dispatch(
            DecoderShader::KeepRows,
            &[call.k, call.v, call.keys, call.values],
            &[count, (call.past * columns / 4) as u32],
            linear_groups(count),
        )?;
        let threads = (call.rows * call.heads) as u32;
        let scale = 1.0 / (call.head_dim as f32).sqrt();
        self.decoder_dispatch(
            DecoderShader::CachedAttention(call.head_dim as u32),
            &[call.q, call.keys, call.values, call.out],
            &[
                threads,
                call.heads as u32,
                (call.heads / call.kv_heads) as u32,
                call.past as u32,
                scale.to_bits(),
            ],
            [threads.div_ceil(GROUP), 1, 1],
        )
    }

    fn logits(&mut self, call: LogitsCall<'_, GpuBuffer>) -> Result<(), EngineError> {
        call.check()?;
        Self::vectors("dim", call.dim)?;
        let (tied, layer) = frozen_head(&call.head, [call.dim, call.vocabulary]);
        self.chunk_logits(call.hidden, &layer, tied, call.y, call.rows)
    }
}

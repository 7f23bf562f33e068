//! What a recording engine needs from its device to go on with a text.

use super::decoder::DecoderKernels;
use crate::engine::EngineError;
use crate::engine::decoder::LanguageHead;

/// Attention of the rows that go on with a sequence.
pub struct CachedAttentionCall<'a, B> {
    /// `[rows, heads·head_dim]`.
    pub q: &'a B,
    /// `[rows, kv_heads·head_dim]`: kept, from row `past` on.
    pub k: &'a B,
    /// Likewise.
    pub v: &'a B,
    /// `[capacity, kv_heads·head_dim]`: read and written.
    pub keys: &'a B,
    /// Likewise.
    pub values: &'a B,
    /// `[rows, heads·head_dim]`: written.
    pub out: &'a B,
    /// Heads of the queries.
    pub heads: usize,
    /// Heads of the keys and values; divides `heads`.
    pub kv_heads: usize,
    /// Columns of one head.
    pub head_dim: usize,
    /// Rows that the sequence has before these.
    pub past: usize,
    /// Rows that go on with it.
    pub rows: usize,
}

/// `y = hidden·head`.
pub struct LogitsCall<'a, B> {
    /// `[rows, dim]`.
    pub hidden: &'a B,
    /// The frozen projection.
    pub head: LanguageHead<&'a B>,
    /// `[rows, vocabulary]`: written.
    pub y: &'a B,
    /// Rows.
    pub rows: usize,
    /// Columns of `hidden`.
    pub dim: usize,
    /// Columns of `y`.
    pub vocabulary: usize,
}

/// The device's kernels for generation.
pub trait GenerationKernels: DecoderKernels {
    /// Keeps keys and values, then attends to all that are kept.
    fn cached_attention(
        &mut self,
        call: CachedAttentionCall<'_, Self::Buffer>,
    ) -> Result<(), EngineError>;
    /// The logits of hidden states.
    fn logits(&mut self, call: LogitsCall<'_, Self::Buffer>) -> Result<(), EngineError>;
}

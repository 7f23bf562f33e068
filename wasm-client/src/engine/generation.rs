//! What an engine does to go on with a text: keys and values of earlier rows are kept, so that a
//! token costs one row.

use super::EngineError;
use super::decoder::{DecoderEngine, LanguageHead};

/// Keys and values of one block, row by row as far as the sequence goes.
#[derive(Clone, Debug)]
pub struct AttentionCache<T> {
    /// `[capacity, kv_heads·head_dim]`.
    pub keys: T,
    /// `[capacity, kv_heads·head_dim]`.
    pub values: T,
}

/// The operations of generation, between `begin` of a batch with one sequence and what is read.
/// [`super::Batch::past`] says how many rows went before. Nothing here has a gradient.
pub trait GeneratingEngine: DecoderEngine {
    /// Room for the keys and values of this many rows; stays until it is dropped.
    fn attention_cache(
        &mut self,
        capacity: usize,
        columns: usize,
    ) -> Result<AttentionCache<Self::Tensor>, EngineError>;
    /// Keeps the batch's keys and values, and lets its queries see them and all before:
    /// `[rows, heads·head_dim]`. Takes queries, keys and values.
    fn cached_attention(
        &mut self,
        rows: [&Self::Tensor; 3],
        cache: &AttentionCache<Self::Tensor>,
        heads: usize,
    ) -> Result<Self::Tensor, EngineError>;
    /// `hidden·head`: `[rows, vocabulary]`.
    fn logits(
        &mut self,
        hidden: &Self::Tensor,
        head: &LanguageHead<Self::Tensor>,
    ) -> Result<Self::Tensor, EngineError>;
}

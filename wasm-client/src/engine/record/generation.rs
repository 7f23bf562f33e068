//! The operations of generation: nothing of them is recorded.

use super::{Recorded, Value, ValueOf};
use crate::engine::decoder::LanguageHead;
use crate::engine::generation::{AttentionCache, GeneratingEngine};
use crate::engine::kernels::generation::{CachedAttentionCall, GenerationKernels, LogitsCall};
use crate::engine::{EngineError, checks};

impl<K: GenerationKernels> GeneratingEngine for Recorded<K> {
    fn attention_cache(
        &mut self,
        capacity: usize,
        columns: usize,
    ) -> Result<AttentionCache<ValueOf<K>>, EngineError> {
        let zeros = vec![0.0; capacity * columns];
        let mut room = || {
            let buffer = self.kernels.upload(&zeros, [capacity, columns])?;
            Ok::<_, EngineError>(Value::frozen(buffer, [capacity, columns]))
        };
        Ok(AttentionCache {
            keys: room()?,
            values: room()?,
        })
    }

    fn cached_attention(
        &mut self,
        [q, k, v]: [&ValueOf<K>; 3],
        cache: &AttentionCache<ValueOf<K>>,
        heads: usize,
    ) -> Result<ValueOf<K>, EngineError> {
        let [rows, columns] = q.shape();
        checks::length("sequences to go on with", 1, self.batch.len())?;
        checks::length("rows of the batch", self.batch.rows(), rows)?;
        let head_dim = columns.checked_div(heads).unwrap_or(0);
        for (what, tensor) in [("keys", k), ("values", v)] {
            checks::length(what, rows, tensor.shape()[0])?;
        }
        let [capacity, key_columns] = cache.keys.shape();
        checks::length("columns of keys", key_columns, k.shape()[1])?;
        let past = self.batch.past as usize;
        checks::range("row of the sequence", past + rows.max(1) - 1, capacity)?;
        let out = self.scratch([rows, columns])?;
        self.kernels.cached_attention(CachedAttentionCall {
            q: q.buffer(),
            k: k.buffer(),
            v: v.buffer(),
            keys: cache.keys.buffer(),
            values: cache.values.buffer(),
            out: out.buffer(),
            heads,
            kv_heads: key_columns.checked_div(head_dim).unwrap_or(0),
            head_dim,
            past,
            rows,
        })?;
        Ok(out)
    }

    fn logits(
        &mut self,
        hidden: &ValueOf<K>,
        head: &LanguageHead<ValueOf<K>>,
    ) -> Result<ValueOf<K>, EngineError> {
        let [rows, dim] = hidden.shape();
        let (width, vocabulary, head) = head_parts(head);
        checks::length("rows of the projection to logits", dim, width)?;
        let y = self.scratch([rows, vocabulary])?;
        self.kernels.logits(LogitsCall {
            hidden: hidden.buffer(),
            head,
            y: y.buffer(),
            rows,
            dim,
            vocabulary,
        })?;
        Ok(y)
    }
}

/// Rows and columns of the projection to logits, and its buffer.
pub(super) fn head_parts<B: Clone>(
    head: &LanguageHead<Value<B>>,
) -> (usize, usize, LanguageHead<&B>) {
    match head {
        LanguageHead::Separate(weight) => {
            let [width, vocabulary] = weight.shape();
            (width, vocabulary, LanguageHead::Separate(weight.buffer()))
        }
        LanguageHead::Tied(word) => {
            let [vocabulary, width] = word.shape();
            (width, vocabulary, LanguageHead::Tied(word.buffer()))
        }
    }
}

//! Attention, forward.

use super::tape::Entry;
use super::{Recorded, ValueOf, check};
use crate::engine::kernels::AttentionCall;
use crate::engine::kernels::decoder::DecoderKernels;
use crate::engine::{AttentionMask, EngineError};

impl<K: DecoderKernels> Recorded<K> {
    /// Of queries, keys and values.
    pub(super) fn record_attention(
        &mut self,
        [q, k, v]: [&ValueOf<K>; 3],
        heads: usize,
        mask: AttentionMask,
    ) -> Result<ValueOf<K>, EngineError> {
        check::attention(self.batch.rows(), q, k, v, heads)?;
        let [rows, columns] = q.shape();
        let nodes = [q.node(), k.node(), v.node()];
        let recorded = self.training && nodes.iter().any(Option::is_some);
        let statistics = self.scratch([rows, 2 * heads])?;
        let out = self.output([rows, columns], recorded)?;
        let head_dim = columns / heads;
        let kv_heads = k.shape()[1] / head_dim;
        self.kernels.attention(AttentionCall {
            q: q.buffer(),
            k: k.buffer(),
            v: v.buffer(),
            out: out.buffer(),
            statistics: statistics.buffer(),
            heads,
            kv_heads,
            head_dim,
            mask,
            rows,
        })?;
        if recorded {
            let (q, k, v) = (q.clone(), k.clone(), v.clone());
            let kept = out.clone();
            self.tape.push(
                Entry::Attention {
                    q,
                    k,
                    v,
                    out: kept,
                    statistics,
                    heads,
                    mask,
                },
                &nodes,
            );
        }
        Ok(out)
    }
}

//! What generation's calls demand of their numbers and buffers.

use super::{Room, length, room, rooms};
use crate::engine::EngineError;
use crate::engine::decoder::LanguageHead;
use crate::engine::kernels::generation::{CachedAttentionCall, LogitsCall};

impl<B: Room> CachedAttentionCall<'_, B> {
    /// Heads come in groups and all buffers fit, those of kept rows up to the last of these.
    ///
    /// # Errors
    /// [`EngineError::Shape`] names the first that does not.
    pub fn check(&self) -> Result<(), EngineError> {
        let rest = self.heads.checked_rem(self.kv_heads).unwrap_or(1);
        length("heads that make no whole group", 0, rest)?;
        let queries = self.rows * self.heads * self.head_dim;
        let columns = self.kv_heads * self.head_dim;
        rooms("rows of queries", &[self.q, self.out], queries)?;
        rooms("rows of keys", &[self.k, self.v], self.rows * columns)?;
        let kept = (self.past + self.rows) * columns;
        rooms("kept keys and values", &[self.keys, self.values], kept)
    }
}

impl<B: Room> LogitsCall<'_, B> {
    /// All buffers fit.
    ///
    /// # Errors
    /// [`EngineError::Shape`] names the first that does not.
    pub fn check(&self) -> Result<(), EngineError> {
        room("hidden states", self.hidden, self.rows * self.dim)?;
        room("logits", self.y, self.rows * self.vocabulary)?;
        let (LanguageHead::Separate(weight) | LanguageHead::Tied(weight)) = self.head;
        let [needed, found] = [self.dim * self.vocabulary, weight.values()];
        if found < needed {
            length("projection to logits", needed, found)?;
        }
        Ok(())
    }
}

//! Going on with a text, token by token: what was read once is kept on the device.

use crate::engine::generation::{AttentionCache, GeneratingEngine};
use crate::engine::{Batch, EngineError};
use crate::model::Decoder;

/// Rows of the text that are read at once at most.
const ROWS_AT_ONCE: usize = 128;

/// A text under way: the keys and values of its tokens so far.
#[derive(Debug)]
pub struct Continuation<T> {
    caches: Vec<AttentionCache<T>>,
    capacity: usize,
    past: usize,
}

impl<T: Clone> Continuation<T> {
    /// Before the first token, with room for so many.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn new<E: GeneratingEngine<Tensor = T>>(
        engine: &mut E,
        decoder: &Decoder<T>,
        capacity: usize,
    ) -> Result<Self, EngineError> {
        let shape = decoder.shape();
        let columns = shape.kv_heads * shape.head_dim;
        let caches = (0..shape.layers)
            .map(|_| engine.attention_cache(capacity, columns))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            caches,
            capacity,
            past: 0,
        })
    }

    /// Rows that it holds: tokens, and those of a soft prompt before them.
    pub fn len(&self) -> usize {
        self.past
    }

    /// True before the first token.
    pub fn is_empty(&self) -> bool {
        self.past == 0
    }

    /// Rows that it has room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Begins anew with the same room.
    pub fn restart(&mut self) {
        self.past = 0;
    }

    /// Forgets all but the first `rows`: the next tokens are written over the others.
    ///
    /// # Errors
    /// [`EngineError::OutOfRange`] where fewer were read; nothing has changed then.
    pub fn rewind(&mut self, rows: usize) -> Result<(), EngineError> {
        if rows > self.past {
            return Err(EngineError::OutOfRange {
                what: "rows of the text that are kept",
                value: rows,
                limit: self.past + 1,
            });
        }
        self.past = rows;
        Ok(())
    }

    /// Reads tokens; yields the logits of the one that should follow, `[vocabulary]`. A soft prompt
    /// goes before the first.
    ///
    /// # Errors
    /// [`EngineError::OutOfRange`] where there is no room, else those of the engine.
    pub async fn read<E: GeneratingEngine<Tensor = T>>(
        &mut self,
        engine: &mut E,
        decoder: &Decoder<T>,
        tokens: &[u32],
    ) -> Result<Vec<f32>, EngineError> {
        let (last, before) = tokens.split_last().ok_or_else(|| EngineError::Shape {
            what: "tokens to go on from".to_owned(),
            expected: 1,
            found: 0,
        })?;
        for rows in before.chunks(ROWS_AT_ONCE) {
            self.extend(engine, decoder, rows)?;
        }
        // By itself, so that logits of no other row are made.
        let hidden = self.extend(engine, decoder, core::slice::from_ref(last))?;
        let logits = decoder.logits(engine, &hidden)?;
        let vocabulary = decoder.shape().vocabulary;
        let mut values = engine.read(&logits).await?;
        Ok(values.split_off(values.len().saturating_sub(vocabulary)))
    }

    fn extend<E: GeneratingEngine<Tensor = T>>(
        &mut self,
        engine: &mut E,
        decoder: &Decoder<T>,
        tokens: &[u32],
    ) -> Result<T, EngineError> {
        let begins = self.past == 0;
        let prompt = if begins {
            decoder.adapter().num_virtual_tokens()
        } else {
            0
        };
        let batch = Batch {
            tokens: tokens.to_vec(),
            token_starts: vec![0, tokens.len() as u32],
            labels: Vec::new(),
            num_virtual_tokens: prompt,
            past: self.past as u32,
        };
        engine.begin(&batch, false)?;
        let hidden = decoder.continued(engine, &self.caches, begins)?;
        self.past += batch.rows();
        Ok(hidden)
    }
}

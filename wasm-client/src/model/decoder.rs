//! A pre-norm decoder (Llama: Touvron et al. 2023; with a few parts exchanged Qwen2, Qwen3 and
//! GPT-2), written once for all engines: token embeddings, blocks of causal grouped-query attention
//! with rotary positions and of a gated MLP, each behind a root-mean-square norm and added to a
//! residual stream, a last norm, and the loss of the next token.
//!
//! **Dispatches of a step on engine *wgsl*** (Llama). A linear layer is one forward and one backward;
//! its low-rank part is added within it, both ways.
//!
//! | | forward | backward |
//! |---|---|---|
//! | norm with its addition, twice a block | 2 | 2 |
//! | rotary positions of queries and keys | 1 | 1 |
//! | attention: one pass; then queries, keys with values | 1 | 2 |
//! | gated unit | 1 | 1 |
//! | gate, up, down | 3 | 3 |
//! | q, k, v, o | 4 | 4 |
//! | their LoRA: into the low-rank parts, q, k, v together; then both factors' gradients | 2 | 2 + 4 |
//! | **a block** | 14 | 19 |
//!
//! Once a step come the embedding, the last norm with its gradient, three for each chunk of the loss
//! (logits, loss, gradient of the hidden states), and the optimizer. Without a soft prompt nothing
//! lies below the first block's norm: neither its gradient nor those of the inputs of q, k and v are
//! computed. For `L` blocks and `c` chunks that is `33·L + 4 + 3·c`, less 4.

use crate::engine::decoder::{DecoderEngine, LanguageHead, StreamNorm};
use crate::engine::generation::{AttentionCache, GeneratingEngine};
use crate::engine::{AttentionMask, EmbeddingTables, EngineError};
use block::{Block, attach_norm, norm_layer};
use dropout::DropoutStep;

pub mod adapter;
mod block;
mod dropout;
mod of_task;
mod prompt_encoder;
pub mod tensors;

pub use adapter::{BottleneckParameters, DecoderAdapter};
pub use choir_shared::task::DecoderTarget;
pub use prompt_encoder::PromptEncoder;
pub use tensors::{Biases, BlockStyle, DecoderNorm, DecoderShape, DecoderTensor};

/// A frozen decoder with its adapter, on the tensors `T` of one engine.
#[derive(Clone, Debug)]
pub struct Decoder<T> {
    shape: DecoderShape,
    word: T,
    /// Of a decoder without rotary positions.
    position: Option<T>,
    blocks: Vec<Block<T>>,
    norm: StreamNorm<T>,
    head: LanguageHead<T>,
    adapter: DecoderAdapter,
    /// What the step under way leaves out.
    dropout: Option<DropoutStep>,
}

/// How queries meet keys and values: the one thing that differs between a whole sequence and the
/// rows that go on with one.
trait Attention<E: DecoderEngine> {
    fn attend(
        &mut self,
        engine: &mut E,
        rows: [&E::Tensor; 3],
        heads: usize,
    ) -> Result<E::Tensor, EngineError>;
}

/// Each sequence of the batch is whole.
struct Whole;

impl<E: DecoderEngine> Attention<E> for Whole {
    fn attend(
        &mut self,
        engine: &mut E,
        [q, k, v]: [&E::Tensor; 3],
        heads: usize,
    ) -> Result<E::Tensor, EngineError> {
        engine.attention(q, k, v, heads, AttentionMask::Causal)
    }
}

/// The batch goes on with the sequence whose keys and values are kept, block by block.
struct Continued<'a, T>(core::slice::Iter<'a, AttentionCache<T>>);

impl<E: GeneratingEngine> Attention<E> for Continued<'_, E::Tensor> {
    fn attend(
        &mut self,
        engine: &mut E,
        [q, k, v]: [&E::Tensor; 3],
        heads: usize,
    ) -> Result<E::Tensor, EngineError> {
        let cache = self.0.next().ok_or_else(|| EngineError::Shape {
            what: "blocks with kept keys and values".to_owned(),
            expected: 1,
            found: 0,
        })?;
        engine.cached_attention([q, k, v], cache, heads)
    }
}

impl<T: Clone> Decoder<T> {
    /// A decoder of the tensors that `take` hands over, with the adapter's parts in their layers.
    ///
    /// # Errors
    /// Those of `take`.
    pub fn build<E>(
        shape: DecoderShape,
        adapter: DecoderAdapter,
        mut take: impl FnMut(DecoderTensor) -> Result<T, E>,
    ) -> Result<Self, E> {
        let word = take(DecoderTensor::Word)?;
        let position = match shape.style {
            BlockStyle::Llama => None,
            BlockStyle::Gpt2 => Some(take(DecoderTensor::Position)?),
        };
        let blocks = (0..shape.layers)
            .map(|layer| Block::build(&shape, layer, &mut take))
            .collect::<Result<_, E>>()?;
        let norm = norm_layer(&shape, DecoderNorm::Last, &mut take)?;
        let head = if shape.tied {
            LanguageHead::Tied(word.clone())
        } else {
            LanguageHead::Separate(take(DecoderTensor::LanguageHead)?)
        };
        let mut decoder = Self {
            shape,
            word,
            position,
            blocks,
            norm,
            head,
            adapter: DecoderAdapter::default(),
            dropout: None,
        };
        decoder.attach(adapter);
        Ok(decoder)
    }

    /// Its sizes.
    pub fn shape(&self) -> &DecoderShape {
        &self.shape
    }

    /// What of it is trained.
    pub fn adapter(&self) -> &DecoderAdapter {
        &self.adapter
    }

    /// Puts another adapter into its layers, in place of the one that was there.
    pub fn attach(&mut self, adapter: DecoderAdapter) {
        for (layer, block) in (0..).zip(&mut self.blocks) {
            block.attach(layer, &adapter);
        }
        attach_norm(&mut self.norm, DecoderNorm::Last, &adapter);
        self.adapter = adapter;
    }

    /// Until it is told otherwise, what is computed leaves values out of the inputs of low-rank parts, as
    /// many as the adapter says, by this seed; `None` leaves nothing out: only steps of training do.
    pub fn drop_out(&mut self, seed: Option<u64>) {
        let rate = self.adapter.lora_dropout;
        let seed = seed.filter(|_| rate > 0.0);
        self.dropout = seed.map(|seed| DropoutStep { rate, seed });
    }

    /// The normalized rows after the last block, of the batch begun: `[rows, dim]`.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn hidden<E: DecoderEngine<Tensor = T>>(&self, engine: &mut E) -> Result<T, EngineError> {
        self.hidden_by(engine, true, &mut Whole)
    }

    /// The same of a batch that goes on with the sequence in `caches`, one for each block, or begins
    /// it: virtual tokens go before it then.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn continued<E: GeneratingEngine<Tensor = T>>(
        &self,
        engine: &mut E,
        caches: &[AttentionCache<T>],
        begins: bool,
    ) -> Result<T, EngineError> {
        self.hidden_by(engine, begins, &mut Continued(caches.iter()))
    }

    /// Logits of the rows of `hidden`: `[rows, vocabulary]`.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn logits<E: GeneratingEngine<Tensor = T>>(
        &self,
        engine: &mut E,
        hidden: &T,
    ) -> Result<T, EngineError> {
        engine.logits(hidden, &self.head)
    }

    fn hidden_by<E: DecoderEngine<Tensor = T>>(
        &self,
        engine: &mut E,
        begins: bool,
        attention: &mut impl Attention<E>,
    ) -> Result<T, EngineError> {
        let mut stream = self.embedded(engine, begins)?;
        let Some(first) = self.blocks.first() else {
            return engine.stream_norm(&stream, &self.norm);
        };
        let mut x = engine.stream_norm(&stream, &first.attention_norm)?;
        let next_norms = self.blocks[1..].iter().map(|block| &block.attention_norm);
        let next_norms = next_norms.chain([&self.norm]);
        for (block, next_norm) in self.blocks.iter().zip(next_norms) {
            let attended = block.attend(engine, x, &self.shape, begins, attention, self.dropout)?;
            let added = engine.add_stream_norm(&attended, &stream, &block.mlp_norm)?;
            drop(attended);
            (stream, x) = added;
            let transformed = block.transform(engine, x, self.dropout)?;
            (stream, x) = engine.add_stream_norm(&transformed, &stream, next_norm)?;
        }
        Ok(x)
    }

    fn embedded<E: DecoderEngine<Tensor = T>>(
        &self,
        engine: &mut E,
        begins: bool,
    ) -> Result<T, EngineError> {
        let prompt = self.adapter.prompt.as_ref().filter(|_| begins);
        let rows = match &self.position {
            None => engine.token_embedding(&self.word, prompt)?,
            Some(position) => {
                let tables = EmbeddingTables {
                    word: self.word.clone(),
                    position: position.clone(),
                    token_type: None,
                };
                engine.embedding(&tables, prompt, self.shape.dim)?
            }
        };
        match self.adapter.prompt_encoder.as_ref().filter(|_| begins) {
            Some(encoder) => {
                let prompt = encoder.rows(engine)?;
                engine.add_virtual_rows(rows, &prompt)
            }
            None => Ok(rows),
        }
    }

    /// The mean loss of the batch begun; one label per row, virtual tokens included, or
    /// [`crate::engine::decoder::NOT_SCORED`].
    ///
    /// # Errors
    /// Those of the engine.
    pub fn loss<E: DecoderEngine<Tensor = T>>(
        &self,
        engine: &mut E,
        labels: &[u32],
    ) -> Result<(), EngineError> {
        let hidden = self.hidden(engine)?;
        engine.language_loss(&hidden, &self.head, labels, None)
    }

    /// The sum of the rows' losses, each times its weight.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn weighted_loss<E: DecoderEngine<Tensor = T>>(
        &self,
        engine: &mut E,
        labels: &[u32],
        weights: &[f32],
    ) -> Result<(), EngineError> {
        let hidden = self.hidden(engine)?;
        engine.language_loss(&hidden, &self.head, labels, Some(weights))
    }
}

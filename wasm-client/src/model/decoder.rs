//! A pre-norm decoder (Llama: Touvron et al. 2023), written once for all engines: token
//! embeddings, blocks of causal grouped-query attention with rotary positions and of a gated MLP,
//! each behind a root-mean-square norm and added to a residual stream, a last norm, and the loss of
//! the next token.
//!
//! **Dispatches of a step on engine *wgsl*.** A linear layer is one forward and one backward;
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

use crate::engine::decoder::{DecoderEngine, LanguageHead, RmsNormLayer, Rotary};
use crate::engine::{AttentionMask, EngineError, LinearLayer, Weight};

pub mod adapter;
pub mod tensors;

pub use adapter::{DecoderAdapter, DecoderLora};
pub use tensors::{DecoderShape, DecoderTarget, DecoderTensor};

/// A frozen decoder with its adapter, on the tensors `T` of one engine.
#[derive(Clone, Debug)]
pub struct Decoder<T> {
    shape: DecoderShape,
    word: T,
    blocks: Vec<Block<T>>,
    norm: RmsNormLayer<T>,
    head: LanguageHead<T>,
    adapter: DecoderAdapter,
}

#[derive(Clone, Debug)]
struct Block<T> {
    attention_norm: RmsNormLayer<T>,
    /// In the order of [`DecoderTarget::ALL`].
    linear: [LinearLayer<T>; 7],
    mlp_norm: RmsNormLayer<T>,
}

impl<T: Clone> Decoder<T> {
    /// A decoder of the tensors that `take` hands over, with the adapter's LoRA factors in their
    /// layers.
    ///
    /// # Errors
    /// Those of `take`.
    pub fn build<E>(
        shape: DecoderShape,
        adapter: DecoderAdapter,
        mut take: impl FnMut(DecoderTensor) -> Result<T, E>,
    ) -> Result<Self, E> {
        let word = take(DecoderTensor::Word)?;
        let blocks = (0..shape.layers)
            .map(|layer| Block::build(&shape, layer, &adapter, &mut take))
            .collect::<Result<_, E>>()?;
        let norm = norm_layer(&shape, DecoderTensor::Norm, &mut take)?;
        let head = if shape.tied {
            LanguageHead::Tied(word.clone())
        } else {
            LanguageHead::Separate(take(DecoderTensor::LanguageHead)?)
        };
        Ok(Self {
            shape,
            word,
            blocks,
            norm,
            head,
            adapter,
        })
    }

    /// Its sizes.
    pub fn shape(&self) -> &DecoderShape {
        &self.shape
    }

    /// What of it is trained.
    pub fn adapter(&self) -> &DecoderAdapter {
        &self.adapter
    }

    /// The normalized rows after the last block, of the batch begun: `[rows, dim]`.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn hidden<E: DecoderEngine<Tensor = T>>(&self, engine: &mut E) -> Result<T, EngineError> {
        let mut stream = engine.token_embedding(&self.word, self.adapter.prompt.as_ref())?;
        let Some(first) = self.blocks.first() else {
            return engine.rms_norm(&stream, &self.norm);
        };
        let mut x = engine.rms_norm(&stream, &first.attention_norm)?;
        let next_norms = self.blocks[1..].iter().map(|block| &block.attention_norm);
        let next_norms = next_norms.chain([&self.norm]);
        for (block, next_norm) in self.blocks.iter().zip(next_norms) {
            let attended = block.attend(engine, x, &self.shape)?;
            let added = engine.add_rms_norm(&attended, &stream, &block.mlp_norm)?;
            drop(attended);
            (stream, x) = added;
            let transformed = block.transform(engine, x)?;
            (stream, x) = engine.add_rms_norm(&transformed, &stream, next_norm)?;
        }
        Ok(x)
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
        engine.language_loss(&hidden, &self.head, labels)
    }
}

impl<T: Clone> Block<T> {
    fn build<E>(
        shape: &DecoderShape,
        layer: u32,
        adapter: &DecoderAdapter,
        take: &mut impl FnMut(DecoderTensor) -> Result<T, E>,
    ) -> Result<Self, E> {
        let attention_norm = norm_layer(shape, DecoderTensor::AttentionNorm(layer), take)?;
        let mut linear = |target: DecoderTarget| {
            Ok(LinearLayer {
                weight: Weight::Frozen(take(DecoderTensor::Weight(layer, target))?),
                bias: None,
                lora: adapter.lora.get(&(layer, target)).cloned(),
                shape: target.shape(shape),
            })
        };
        let [q, k, v, o, gate, up, down] = DecoderTarget::ALL;
        let linear = [
            linear(q)?,
            linear(k)?,
            linear(v)?,
            linear(o)?,
            linear(gate)?,
            linear(up)?,
            linear(down)?,
        ];
        let mlp_norm = norm_layer(shape, DecoderTensor::MlpNorm(layer), take)?;
        Ok(Self {
            attention_norm,
            linear,
            mlp_norm,
        })
    }

    /// Handles are dropped as soon as they are used, so that the engine can use their memory again.
    fn attend<E: DecoderEngine<Tensor = T>>(
        &self,
        engine: &mut E,
        x: T,
        shape: &DecoderShape,
    ) -> Result<T, EngineError> {
        let [q, k, v, o, ..] = &self.linear;
        let rotary = Rotary {
            base: shape.rope_base,
            head_dim: shape.head_dim,
        };
        let [q, k, v] = engine.projections(&x, [q, k, v])?;
        drop(x);
        let (q, k) = engine.rotate(q, k, &rotary)?;
        let attended = engine.attention(&q, &k, &v, shape.heads, AttentionMask::Causal)?;
        drop((q, k, v));
        engine.linear(&attended, o)
    }

    fn transform<E: DecoderEngine<Tensor = T>>(
        &self,
        engine: &mut E,
        x: T,
    ) -> Result<T, EngineError> {
        let [_, _, _, _, gate, up, down] = &self.linear;
        let gate = engine.linear(&x, gate)?;
        let up = engine.linear(&x, up)?;
        drop(x);
        let inner = engine.swiglu(&gate, &up)?;
        drop((gate, up));
        engine.linear(&inner, down)
    }
}

fn norm_layer<T, E>(
    shape: &DecoderShape,
    tensor: DecoderTensor,
    take: &mut impl FnMut(DecoderTensor) -> Result<T, E>,
) -> Result<RmsNormLayer<T>, E> {
    Ok(RmsNormLayer {
        gain: take(tensor)?,
        eps: shape.norm_eps,
    })
}

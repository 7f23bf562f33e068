//! A BERT-type encoder (Devlin et al. 2018) with mean pooling, written once for all engines:
//! embeddings and their norm, then blocks of attention and MLP, each with a residual and a norm
//! after it, exact GELU between the MLP's two layers.

use choir_shared::task::{EncoderShape, Target};

use super::tensors::{EncoderTensor, NormPlace, linear_shape};
use crate::adapter::AdapterViews;
use crate::engine::{
    Activation, AttentionMask, EmbeddingTables, Engine, EngineError, LinearLayer, NormLayer,
    Parameter, Weight,
};

/// The frozen encoder on the tensors `T` of one engine.
#[derive(Clone, Debug)]
pub struct Encoder<T> {
    shape: EncoderShape,
    tables: EmbeddingTables<T>,
    norm: NormLayer<T>,
    blocks: Vec<Block<T>>,
}

#[derive(Clone, Debug)]
struct Block<T> {
    /// In the order of [`Target::ALL`].
    linear: [LinearLayer<T>; 6],
    attention_norm: NormLayer<T>,
    mlp_norm: NormLayer<T>,
}

impl<T: Clone> Encoder<T> {
    /// An encoder of the tensors that `take` hands over.
    ///
    /// # Errors
    /// Those of `take`.
    pub fn build<E>(
        shape: EncoderShape,
        mut take: impl FnMut(EncoderTensor) -> Result<T, E>,
    ) -> Result<Self, E> {
        let tables = EmbeddingTables {
            word: take(EncoderTensor::Word)?,
            position: take(EncoderTensor::Position)?,
            token_type: Some(take(EncoderTensor::TokenType)?),
        };
        let norm = norm_layer(&shape, NormPlace::Embeddings, &mut take)?;
        let blocks = (0..shape.layers)
            .map(|layer| Block::build(&shape, layer, &mut take))
            .collect::<Result<_, E>>()?;
        Ok(Self {
            shape,
            tables,
            norm,
            blocks,
        })
    }

    /// Its sizes.
    pub fn shape(&self) -> &EncoderShape {
        &self.shape
    }

    /// The word embeddings, `[vocabulary, dim]`.
    pub fn word_table(&self) -> &T {
        &self.tables.word
    }

    /// Puts the adapter's LoRA factors into their layers, in place of any that were there.
    pub(super) fn attach(&mut self, adapter: &AdapterViews) {
        for (layer, block) in (0..).zip(&mut self.blocks) {
            for (target, linear) in Target::ALL.into_iter().zip(&mut block.linear) {
                linear.lora = adapter.lora(layer, target).cloned();
            }
        }
    }

    /// The last hidden state of the batch begun: `[rows, dim]`.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn hidden<E: Engine<Tensor = T>>(
        &self,
        engine: &mut E,
        prompt: Option<&Parameter>,
    ) -> Result<T, EngineError> {
        let embedded = engine.embedding(&self.tables, prompt, self.shape.dim as usize)?;
        let mut x = engine.norm(&embedded, None, &self.norm)?;
        drop(embedded);
        for block in &self.blocks {
            x = block.forward(engine, x, self.shape.heads as usize)?;
        }
        Ok(x)
    }

    /// Mean over each sequence's real tokens of the last hidden state: `[batch, dim]`.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn pooled<E: Engine<Tensor = T>>(
        &self,
        engine: &mut E,
        prompt: Option<&Parameter>,
    ) -> Result<T, EngineError> {
        let hidden = self.hidden(engine, prompt)?;
        engine.mean_pool(&hidden)
    }
}

impl<T: Clone> Block<T> {
    fn build<E>(
        shape: &EncoderShape,
        layer: u32,
        take: &mut impl FnMut(EncoderTensor) -> Result<T, E>,
    ) -> Result<Self, E> {
        let mut linear = |target| {
            Ok(LinearLayer {
                weight: Weight::Frozen(take(EncoderTensor::Weight(layer, target))?),
                bias: Some(Weight::Frozen(take(EncoderTensor::Bias(layer, target))?)),
                trained_bias: None,
                lora: None,
                shape: linear_shape(shape, target),
            })
        };
        let [q, k, v, o, w1, w2] = Target::ALL;
        let linear = [
            linear(q)?,
            linear(k)?,
            linear(v)?,
            linear(o)?,
            linear(w1)?,
            linear(w2)?,
        ];
        let attention_norm = norm_layer(shape, NormPlace::Attention(layer), take)?;
        let mlp_norm = norm_layer(shape, NormPlace::Mlp(layer), take)?;
        Ok(Self {
            linear,
            attention_norm,
            mlp_norm,
        })
    }

    /// Handles are dropped as soon as they are used, so that the engine can use their memory again.
    fn forward<E: Engine<Tensor = T>>(
        &self,
        engine: &mut E,
        x: T,
        heads: usize,
    ) -> Result<T, EngineError> {
        let [q, k, v, o, w1, w2] = &self.linear;
        let attended = {
            let [q, k, v] = engine.projections(&x, [q, k, v])?;
            engine.attention(&q, &k, &v, heads, AttentionMask::Bidirectional)?
        };
        let projected = engine.linear(&attended, o)?;
        drop(attended);
        let x = {
            let residual = x;
            engine.norm(&projected, Some(&residual), &self.attention_norm)?
        };
        drop(projected);
        let inner = engine.linear(&x, w1)?;
        let activated = engine.activation(&inner, Activation::Gelu)?;
        drop(inner);
        let outer = engine.linear(&activated, w2)?;
        drop(activated);
        engine.norm(&outer, Some(&x), &self.mlp_norm)
    }
}

fn norm_layer<T, E>(
    shape: &EncoderShape,
    place: NormPlace,
    take: &mut impl FnMut(EncoderTensor) -> Result<T, E>,
) -> Result<NormLayer<T>, E> {
    Ok(NormLayer {
        gain: take(EncoderTensor::NormGain(place))?,
        bias: take(EncoderTensor::NormBias(place))?,
        eps: shape.norm_eps,
    })
}

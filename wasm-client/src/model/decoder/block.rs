//! A block of a decoder: attention and MLP, each behind a norm that the block before has made.

use super::dropout::{self, DropoutStep, Place};
use choir_shared::task::DecoderTarget;

use super::tensors::{BlockStyle, DecoderNorm, DecoderShape, DecoderTensor};
use super::{Attention, DecoderAdapter};
use crate::engine::decoder::{DecoderEngine, Rotary, StreamNorm};
use crate::engine::{Activation, EngineError, LinearLayer, Parameter, Weight};

/// A block's layers on the tensors `T` of one engine.
#[derive(Clone, Debug)]
pub(super) struct Block<T> {
    layer: u32,
    pub(super) attention_norm: StreamNorm<T>,
    pub(super) mlp_norm: StreamNorm<T>,
    q: LinearLayer<T>,
    k: LinearLayer<T>,
    v: LinearLayer<T>,
    o: LinearLayer<T>,
    head_norms: Option<[StreamNorm<T>; 2]>,
    /// None where the MLP has no gate.
    gate: Option<LinearLayer<T>>,
    up: LinearLayer<T>,
    down: LinearLayer<T>,
    /// After the MLP.
    bottleneck: Option<[LinearLayer<T>; 2]>,
    /// Keys and values of virtual tokens.
    prefix: Option<[Parameter; 2]>,
}

impl<T: Clone> Block<T> {
    pub(super) fn build<E>(
        shape: &DecoderShape,
        layer: u32,
        take: &mut impl FnMut(DecoderTensor) -> Result<T, E>,
    ) -> Result<Self, E> {
        let attention_norm = norm_layer(shape, DecoderNorm::Attention(layer), take)?;
        let mlp_norm = norm_layer(shape, DecoderNorm::Mlp(layer), take)?;
        let mut linear = |target: DecoderTarget| {
            let bias = match shape.has_bias(target) {
                true => Some(Weight::Frozen(take(DecoderTensor::Bias(layer, target))?)),
                false => None,
            };
            Ok(LinearLayer {
                weight: Weight::Frozen(take(DecoderTensor::Weight(layer, target))?),
                bias,
                trained_bias: None,
                lora: None,
                shape: shape.linear(target),
            })
        };
        let [q, k, v, o, gate, up, down] = DecoderTarget::ALL;
        let (q, k, v, o) = (linear(q)?, linear(k)?, linear(v)?, linear(o)?);
        let gate = match shape.style {
            BlockStyle::Llama => Some(linear(gate)?),
            BlockStyle::Gpt2 => None,
        };
        let (up, down) = (linear(up)?, linear(down)?);
        let mut head_norm = |tensor| {
            Ok(StreamNorm {
                gain: take(tensor)?,
                bias: None,
                trained_gain: None,
                trained_bias: None,
                eps: shape.norm_eps,
            })
        };
        let head_norms = match shape.head_norms {
            true => Some([
                head_norm(DecoderTensor::QueryNorm(layer))?,
                head_norm(DecoderTensor::KeyNorm(layer))?,
            ]),
            false => None,
        };
        Ok(Self {
            layer,
            attention_norm,
            mlp_norm,
            q,
            k,
            v,
            o,
            head_norms,
            gate,
            up,
            down,
            bottleneck: None,
            prefix: None,
        })
    }

    /// What is trained of its layers and norms, in place of anything that was there.
    pub(super) fn attach(&mut self, layer: u32, adapter: &DecoderAdapter) {
        let [q, k, v, o, gate, up, down] = DecoderTarget::ALL;
        let layers = [
            (q, Some(&mut self.q)),
            (k, Some(&mut self.k)),
            (v, Some(&mut self.v)),
            (o, Some(&mut self.o)),
            (gate, self.gate.as_mut()),
            (up, Some(&mut self.up)),
            (down, Some(&mut self.down)),
        ];
        for (target, linear) in layers {
            if let Some(linear) = linear {
                linear.lora = adapter.lora.get(&(layer, target)).cloned();
                let bias = DecoderTensor::Bias(layer, target);
                linear.trained_bias = adapter.vectors.get(&bias).cloned();
            }
        }
        let norms = [
            (DecoderNorm::Attention(layer), &mut self.attention_norm),
            (DecoderNorm::Mlp(layer), &mut self.mlp_norm),
        ];
        for (place, norm) in norms {
            attach_norm(norm, place, adapter);
        }
        self.bottleneck = adapter.bottlenecks.get(&layer).map(|layers| {
            [
                trained_layer(&layers.down, &layers.down_bias),
                trained_layer(&layers.up, &layers.up_bias),
            ]
        });
        self.prefix = adapter.prefixes.get(&layer).cloned();
        if let Some([queries, keys]) = &mut self.head_norms {
            let trained = |tensor| adapter.vectors.get(&tensor).cloned();
            queries.trained_gain = trained(DecoderTensor::QueryNorm(layer));
            keys.trained_gain = trained(DecoderTensor::KeyNorm(layer));
        }
    }

    /// `begins` where the rows are those of whole sequences, or the first of one.
    ///
    /// Handles are dropped as soon as they are used, so that the engine can use their memory again.
    pub(super) fn attend<E: DecoderEngine<Tensor = T>>(
        &self,
        engine: &mut E,
        x: T,
        shape: &DecoderShape,
        begins: bool,
        attention: &mut impl Attention<E>,
        dropout: Option<DropoutStep>,
    ) -> Result<T, EngineError> {
        let [mut q, mut k, mut v] = self.projections(engine, &x, dropout)?;
        drop(x);
        if let Some([query_norm, key_norm]) = &self.head_norms {
            q = engine.stream_norm(&q, query_norm)?;
            k = engine.stream_norm(&k, key_norm)?;
        }
        if shape.style == BlockStyle::Llama {
            let rotary = Rotary {
                base: shape.rope_base,
                scaling: shape.rope_scaling,
                head_dim: shape.head_dim,
            };
            (q, k) = engine.rotate(q, k, &rotary)?;
        }
        if let Some([keys, values]) = self.prefix.as_ref().filter(|_| begins) {
            k = engine.replace_virtual_rows(k, keys)?;
            v = engine.replace_virtual_rows(v, values)?;
        }
        let attended = attention.attend(engine, [&q, &k, &v], shape.heads)?;
        drop((q, k, v));
        self.linear(engine, &attended, DecoderTarget::O, &self.o, dropout)
    }

    /// Together, or one by one where their low-rank parts read other inputs.
    fn projections<E: DecoderEngine<Tensor = T>>(
        &self,
        engine: &mut E,
        x: &T,
        step: Option<DropoutStep>,
    ) -> Result<[T; 3], EngineError> {
        if step.is_none() {
            return engine.projections(x, [&self.q, &self.k, &self.v]);
        }
        Ok([
            self.linear(engine, x, DecoderTarget::Q, &self.q, step)?,
            self.linear(engine, x, DecoderTarget::K, &self.k, step)?,
            self.linear(engine, x, DecoderTarget::V, &self.v, step)?,
        ])
    }

    fn linear<E: DecoderEngine<Tensor = T>>(
        &self,
        engine: &mut E,
        x: &T,
        target: DecoderTarget,
        linear: &LinearLayer<T>,
        step: Option<DropoutStep>,
    ) -> Result<T, EngineError> {
        let layer = self.layer;
        dropout::linear(engine, x, linear, &Place { layer, target }, step)
    }

    pub(super) fn transform<E: DecoderEngine<Tensor = T>>(
        &self,
        engine: &mut E,
        x: T,
        dropout: Option<DropoutStep>,
    ) -> Result<T, EngineError> {
        let inner = match &self.gate {
            Some(gate) => {
                let gate = self.linear(engine, &x, DecoderTarget::Gate, gate, dropout)?;
                let up = self.linear(engine, &x, DecoderTarget::Up, &self.up, dropout)?;
                drop(x);
                engine.swiglu(&gate, &up)?
            }
            None => {
                let up = self.linear(engine, &x, DecoderTarget::Up, &self.up, dropout)?;
                drop(x);
                engine.activation(&up, Activation::GeluTanh)?
            }
        };
        let y = self.linear(engine, &inner, DecoderTarget::Down, &self.down, dropout)?;
        drop(inner);
        let Some([down, up]) = &self.bottleneck else {
            return Ok(y);
        };
        let narrow = engine.linear(&y, down)?;
        let narrow = engine.activation(&narrow, Activation::Silu)?;
        let change = engine.linear(&narrow, up)?;
        engine.add(change, &y)
    }
}

/// A layer that is trained as a whole.
pub(super) fn trained_layer<T>(weight: &Parameter, bias: &Parameter) -> LinearLayer<T> {
    LinearLayer {
        weight: Weight::Trained(weight.clone()),
        bias: Some(Weight::Trained(bias.clone())),
        trained_bias: None,
        lora: None,
        shape: weight.shape,
    }
}

/// A norm of the residual stream.
pub(super) fn norm_layer<T, E>(
    shape: &DecoderShape,
    place: DecoderNorm,
    take: &mut impl FnMut(DecoderTensor) -> Result<T, E>,
) -> Result<StreamNorm<T>, E> {
    Ok(StreamNorm {
        gain: take(DecoderTensor::NormGain(place))?,
        bias: match shape.style {
            BlockStyle::Llama => None,
            BlockStyle::Gpt2 => Some(take(DecoderTensor::NormBias(place))?),
        },
        trained_gain: None,
        trained_bias: None,
        eps: shape.norm_eps,
    })
}

/// What is trained of a norm of the residual stream, in place of anything that was there.
pub(super) fn attach_norm<T>(
    norm: &mut StreamNorm<T>,
    place: DecoderNorm,
    adapter: &DecoderAdapter,
) {
    let trained = |tensor| adapter.vectors.get(&tensor).cloned();
    norm.trained_gain = trained(DecoderTensor::NormGain(place));
    norm.trained_bias = trained(DecoderTensor::NormBias(place));
}

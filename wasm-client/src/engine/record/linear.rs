//! Linear layers, forward and backward.
//!
//! Layers of one input are recorded together: the products into their low-rank parts, and those of
//! their gradients, are independent of each other and go to the kernels in one call.

use super::backward::Gradients;
use super::remake::Saved;
use super::tape::{Entry, LinearEntry};
use super::value::buffers_of;
use super::{Recorded, Value, ValueOf, check};
use crate::engine::kernels::decoder::DecoderKernels;
use crate::engine::kernels::{
    LinearCall, LinearInputGradient, LoraGradient, LowRankCall, LowRankWay, WeightGradient, trained,
};
use crate::engine::{EngineError, LinearLayer, LoraFactors, Parameter, Weight};

/// A low-rank part's gradient that is to be made.
struct Wanted<B: Clone> {
    node: usize,
    lora: LoraFactors,
    d_y: Value<B>,
    d_low_rank: Value<B>,
}

impl<K: DecoderKernels> Recorded<K> {
    /// `x·A` of the layers that have a low-rank part; all layers are checked before.
    pub(super) fn low_ranks(
        &mut self,
        x: &ValueOf<K>,
        layers: &[&LinearLayer<ValueOf<K>>],
    ) -> Result<Vec<Option<ValueOf<K>>>, EngineError> {
        let rows = x.shape()[0];
        let mut low_ranks = Vec::with_capacity(layers.len());
        for layer in layers {
            check::linear(x.shape(), layer, self.adapter_len)?;
            low_ranks.push(match &layer.lora {
                Some(lora) => Some(self.scratch([rows, lora.a.shape[1]])?),
                None => None,
            });
        }
        let calls: Vec<_> = layers
            .iter()
            .zip(&low_ranks)
            .filter_map(|(layer, low_rank)| {
                Some(LowRankCall {
                    lora: layer.lora.as_ref()?,
                    x: x.buffer(),
                    low_rank: low_rank.as_ref()?.buffer(),
                })
            })
            .collect();
        self.kernels.low_rank(LowRankWay::Forward, &calls, rows)?;
        Ok(low_ranks)
    }

    /// One of the layers whose entries begin at `group`.
    pub(super) fn record_linear(
        &mut self,
        x: &ValueOf<K>,
        layer: &LinearLayer<ValueOf<K>>,
        low_rank: Option<ValueOf<K>>,
        group: usize,
    ) -> Result<ValueOf<K>, EngineError> {
        let rows = x.shape()[0];
        let layer = buffers_of(layer);
        let reads_input = layer.lora.is_some() || trained(&layer.weight).is_some();
        let has_trained = reads_input || trained_bias(&layer).is_some();
        let sum = match (&layer.trained_bias, &layer.bias) {
            (Some(trained), Some(Weight::Frozen(bias))) => {
                Some(self.trained_row(Some(bias), trained, layer.shape[1])?)
            }
            (Some(trained), _) => Some(self.trained_row(None, trained, layer.shape[1])?),
            (None, _) => None,
        };
        let with_sum = sum.as_ref().map(|sum| LinearLayer {
            bias: Some(Weight::Frozen(sum.buffer().clone())),
            ..layer.clone()
        });
        let recorded = self.training && (x.node().is_some() || has_trained);
        let y = self.output([rows, layer.shape[1]], recorded)?;
        self.kernels.linear(LinearCall {
            x: x.buffer(),
            layer: with_sum.as_ref().unwrap_or(&layer),
            low_rank: low_rank.as_ref().map(Value::buffer),
            y: y.buffer(),
            rows,
        })?;
        let y = y.with_origin(Self::linear_origin(recorded && !has_trained, x, &layer));
        if recorded {
            let input = x.node();
            let entry = LinearEntry {
                input,
                x: reads_input.then(|| Saved::new(x)),
                layer,
                low_rank,
                group,
                d_low_rank: None,
            };
            self.tape.push(Entry::Linear(entry), &[input]);
        }
        Ok(y)
    }

    pub(super) fn replay_linear(
        &mut self,
        node: usize,
        mut entry: LinearEntry<K::Buffer>,
        d_y: &ValueOf<K>,
        gradients: &mut Gradients<K>,
    ) -> Result<(), EngineError> {
        if entry.layer.lora.is_some() && entry.d_low_rank.is_none() {
            entry.d_low_rank = self.low_rank_gradients(node, &entry, d_y, gradients)?;
        }
        let LinearEntry {
            input,
            x,
            layer,
            low_rank,
            d_low_rank,
            ..
        } = entry;
        match x {
            Some(x) => {
                let x = self.restore(x)?;
                self.parameter_gradients(&x, &layer, [&low_rank, &d_low_rank], d_y)?;
            }
            // A bias has its gradient from that of the output alone.
            None => self.parameter_gradients(d_y, &layer, [&None, &None], d_y)?,
        }
        match input {
            Some(input) => self.input_gradient(&layer, d_low_rank.as_ref(), d_y, input, gradients),
            None => Ok(()),
        }
    }

    /// `scale·d_y·Bᵀ` of this entry, which it yields, and of the entries before it in its group:
    /// their outputs' gradients are complete too, as whatever uses them lies behind the group.
    fn low_rank_gradients(
        &mut self,
        node: usize,
        entry: &LinearEntry<K::Buffer>,
        d_y: &ValueOf<K>,
        gradients: &Gradients<K>,
    ) -> Result<Option<ValueOf<K>>, EngineError> {
        let mut wanted = Vec::new();
        let before = gradients.iter().enumerate().take(node).skip(entry.group);
        for (other, d_y) in before {
            let layer = self.tape.linear_mut(other).map(|found| &found.layer);
            let lora = layer.and_then(|layer| layer.lora.clone());
            if let (Some(lora), Some(d_y)) = (lora, d_y.clone()) {
                wanted.push(self.wanted(other, lora, d_y)?);
            }
        }
        if let Some(lora) = entry.layer.lora.clone() {
            wanted.push(self.wanted(node, lora, d_y.clone())?);
        }
        let calls: Vec<_> = wanted
            .iter()
            .map(|part| LowRankCall {
                lora: &part.lora,
                x: part.d_y.buffer(),
                low_rank: part.d_low_rank.buffer(),
            })
            .collect();
        let rows = d_y.shape()[0];
        self.kernels.low_rank(LowRankWay::Backward, &calls, rows)?;
        let own = wanted.pop().map(|part| part.d_low_rank);
        for part in wanted {
            if let Some(other) = self.tape.linear_mut(part.node) {
                other.d_low_rank = Some(part.d_low_rank);
            }
        }
        Ok(own)
    }

    fn wanted(
        &mut self,
        node: usize,
        lora: LoraFactors,
        d_y: ValueOf<K>,
    ) -> Result<Wanted<K::Buffer>, EngineError> {
        let d_low_rank = self.scratch([d_y.shape()[0], lora.a.shape[1]])?;
        Ok(Wanted {
            node,
            lora,
            d_y,
            d_low_rank,
        })
    }

    /// Gradients of what is trained in a layer; the low-rank part's own values and their gradient
    /// are there if it has one.
    fn parameter_gradients(
        &mut self,
        x: &ValueOf<K>,
        layer: &LinearLayer<K::Buffer>,
        low_rank: [&Option<ValueOf<K>>; 2],
        d_y: &ValueOf<K>,
    ) -> Result<(), EngineError> {
        let rows = d_y.shape()[0];
        let weight = trained(&layer.weight);
        let bias = trained_bias(layer);
        if weight.is_some() || bias.is_some() {
            self.kernels.weight_gradient(WeightGradient {
                x: x.buffer(),
                d_y: d_y.buffer(),
                weight,
                bias,
                shape: layer.shape,
                rows,
            })?;
        }
        let (Some(lora), [Some(low_rank), Some(d_low_rank)]) = (&layer.lora, low_rank) else {
            return Ok(());
        };
        self.kernels.lora_gradient(LoraGradient {
            x: x.buffer(),
            d_y: d_y.buffer(),
            lora,
            low_rank: low_rank.buffer(),
            d_low_rank: d_low_rank.buffer(),
            rows,
        })
    }

    pub(super) fn input_gradient(
        &mut self,
        layer: &LinearLayer<K::Buffer>,
        d_low_rank: Option<&ValueOf<K>>,
        d_y: &ValueOf<K>,
        input: usize,
        gradients: &mut Gradients<K>,
    ) -> Result<(), EngineError> {
        let rows = d_y.shape()[0];
        let (d_x, add) = self.target(input, [rows, layer.shape[0]], gradients)?;
        self.kernels.linear_input_gradient(LinearInputGradient {
            d_y: d_y.buffer(),
            layer,
            d_low_rank: d_low_rank.map(Value::buffer),
            d_x: d_x.buffer(),
            add,
            rows,
        })?;
        gradients[input] = Some(d_x);
        Ok(())
    }
}

/// What is trained of a layer's bias.
fn trained_bias<B>(layer: &LinearLayer<B>) -> Option<&Parameter> {
    let whole = layer.bias.as_ref().and_then(trained);
    layer.trained_bias.as_ref().or(whole)
}

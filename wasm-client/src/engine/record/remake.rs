//! Tensors that are made again for their gradient instead of being kept (Chen et al. 2016, *Training
//! deep nets with sublinear memory cost*), where that is asked for.
//!
//! Made again are the output of a norm, from the normalized rows that its own gradient needs anyway,
//! and on top of it that of a layer without trained parts: of a block of the encoder that is the
//! input of its LoRA layers and the wide rows within its MLP, four tenths of all that it keeps, for
//! an eighth more arithmetic. The same kernels run on the same values, so no gradient changes.

use std::rc::Rc;

use super::value::Value;
use super::{Recorded, ValueOf};
use crate::engine::kernels::{Kernels, LinearCall};
use crate::engine::{EngineError, LinearLayer, NormLayer};

/// How a tensor can be made again.
#[derive(Clone)]
pub(super) enum Origin<B: Clone> {
    /// `normalized·gain + bias`.
    Norm {
        normalized: Value<B>,
        gain: Value<B>,
        bias: Value<B>,
    },
    /// A layer without trained parts, of a tensor that can be made again.
    Linear { x: Rc<Self>, layer: LinearLayer<B> },
}

/// A tensor that a gradient will need.
pub(super) enum Saved<B: Clone> {
    Kept(Value<B>),
    MadeAgain(Rc<Origin<B>>),
}

impl<B: Clone> Saved<B> {
    /// Keeps the tensor only if it cannot be made again.
    pub(super) fn new(value: &Value<B>) -> Self {
        match value.origin() {
            Some(origin) => Self::MadeAgain(origin.clone()),
            None => Self::Kept(value.clone()),
        }
    }
}

impl<K: Kernels> Recorded<K> {
    /// The origin of a norm's output, if it is to be made again.
    pub(super) fn norm_origin(
        &self,
        recorded: bool,
        normalized: &ValueOf<K>,
        layer: &NormLayer<ValueOf<K>>,
    ) -> Option<Rc<Origin<K::Buffer>>> {
        (recorded && self.recomputes).then(|| {
            Rc::new(Origin::Norm {
                normalized: normalized.clone(),
                gain: layer.gain.clone(),
                bias: layer.bias.clone(),
            })
        })
    }

    /// The origin of a layer's output, if it is to be made again and can be.
    pub(super) fn linear_origin(
        is_wanted: bool,
        x: &ValueOf<K>,
        layer: &LinearLayer<K::Buffer>,
    ) -> Option<Rc<Origin<K::Buffer>>> {
        // Only above a norm: anything else would have to be kept for it.
        let x = x.origin().filter(|_| is_wanted)?;
        matches!(**x, Origin::Norm { .. }).then(|| {
            Rc::new(Origin::Linear {
                x: x.clone(),
                layer: layer.clone(),
            })
        })
    }

    /// The tensor, made again if need be.
    pub(super) fn restore(&mut self, saved: Saved<K::Buffer>) -> Result<ValueOf<K>, EngineError> {
        match saved {
            Saved::Kept(value) => Ok(value),
            Saved::MadeAgain(origin) => self.make(&origin),
        }
    }

    fn make(&mut self, origin: &Origin<K::Buffer>) -> Result<ValueOf<K>, EngineError> {
        match origin {
            Origin::Norm {
                normalized,
                gain,
                bias,
            } => {
                let y = self.scratch(normalized.shape())?;
                self.kernels.norm_output(
                    [normalized, gain, bias].map(Value::buffer),
                    y.buffer(),
                    normalized.shape(),
                )?;
                Ok(y)
            }
            Origin::Linear { x, layer } => {
                let x = self.make(x)?;
                let rows = x.shape()[0];
                let y = self.scratch([rows, layer.shape[1]])?;
                self.kernels.linear(LinearCall {
                    x: x.buffer(),
                    layer,
                    low_rank: None,
                    y: y.buffer(),
                    rows,
                })?;
                Ok(y)
            }
        }
    }
}

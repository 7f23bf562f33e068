//! Dropout of LoRA (Hu et al. 2021, as PEFT's `lora_dropout`): in a training step each low-rank part
//! reads its layer's input with some values left out, and the layer itself all of them:
//! `x·W + scale/(1 - rate) · dropout(x)·A·B`. The two are apart then, which takes four operations more
//! than together.

use choir_shared::task::DecoderTarget;

use crate::engine::adapter::AdapterEngine;
use crate::engine::dropout::{Dropout, hash};
use crate::engine::{EngineError, LinearLayer, LoraFactors, Parameter, Weight};

/// What a step leaves out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct DropoutStep {
    /// The part that is left out in the mean.
    pub(super) rate: f32,
    /// Equal seeds leave out the same.
    pub(super) seed: u64,
}

/// A layer in a step.
pub(super) struct Place {
    pub(super) layer: u32,
    pub(super) target: DecoderTarget,
}

impl DropoutStep {
    /// Of the input of one layer's low-rank part.
    fn of(self, place: &Place, scale: f32) -> Dropout {
        let words = [
            self.seed as u32,
            (self.seed >> 32) as u32,
            place.layer,
            place.target as u32,
        ];
        let mix = |key: u32, word: u32| hash(key.wrapping_add(hash(word)));
        Dropout {
            rate: self.rate,
            factor: scale / (1.0 - self.rate),
            key: words.into_iter().fold(0, mix),
        }
    }
}

/// `[rows, in]` to `[rows, out]`, with dropout where the step has any.
pub(super) fn linear<E: AdapterEngine>(
    engine: &mut E,
    x: &E::Tensor,
    layer: &LinearLayer<E::Tensor>,
    place: &Place,
    step: Option<DropoutStep>,
) -> Result<E::Tensor, EngineError> {
    let (Some(step), Some(LoraFactors { a, b, scale })) = (step, &layer.lora) else {
        return engine.linear(x, layer);
    };
    let dropped = engine.dropout(x, step.of(place, *scale))?;
    let narrow = engine.linear(&dropped, &factor(a))?;
    drop(dropped);
    let wide = engine.linear(&narrow, &factor(b))?;
    drop(narrow);
    let plain = LinearLayer {
        lora: None,
        ..layer.clone()
    };
    let y = engine.linear(x, &plain)?;
    engine.add(y, &wide)
}

fn factor<T>(matrix: &Parameter) -> LinearLayer<T> {
    LinearLayer {
        weight: Weight::Trained(matrix.clone()),
        bias: None,
        trained_bias: None,
        lora: None,
        shape: matrix.shape,
    }
}

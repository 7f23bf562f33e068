//! The adapter: views of the flat vector in the order of [`AdapterLayout`], and its version 0.

use std::collections::BTreeMap;

use choir_shared::task::{AdapterLayout, Part, PartKind, Payload, Target, TaskConfig};

use crate::engine::{LoraFactors, Parameter};

pub mod initial;
pub mod peft;

/// What of the model is trained, as views of one flat vector.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AdapterViews {
    /// LoRA factors by block and linear layer.
    pub lora: BTreeMap<(u32, Target), LoraFactors>,
    /// `[num_virtual_tokens, dim]`.
    pub prompt: Option<Parameter>,
    /// The classifier, if it is trained.
    pub head: Option<HeadViews>,
}

/// A trained classifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadViews {
    /// `[dim, labels]`.
    pub weight: Parameter,
    /// `[1, labels]`.
    pub bias: Parameter,
}

impl AdapterViews {
    /// The views of a layout in an encoder; layouts of centroids and of decoders have none.
    pub fn new(layout: &AdapterLayout, task: &TaskConfig) -> Self {
        let mut views = Self::default();
        let scale = match &task.payload {
            Payload::Adapter(adapter) => adapter
                .lora
                .as_ref()
                .map_or(1.0, |lora| lora.alpha / f32::from(lora.rank)),
            Payload::Centroids | Payload::Language(_) => return views,
        };
        for part in layout.parts() {
            match part.kind {
                PartKind::LoraA { layer, target } => {
                    if let Some(b) = layout.part(PartKind::LoraB { layer, target }) {
                        let factors = LoraFactors {
                            a: parameter(part),
                            b: parameter(b),
                            scale,
                        };
                        views.lora.insert((layer, target), factors);
                    }
                }
                PartKind::SoftPrompt => views.prompt = Some(parameter(part)),
                PartKind::HeadWeight => {
                    if let Some(bias) = layout.part(PartKind::HeadBias) {
                        let weight = parameter(part);
                        views.head = Some(HeadViews {
                            weight,
                            bias: parameter(bias),
                        });
                    }
                }
                _ => {}
            }
        }
        views
    }

    /// The factors of one linear layer.
    pub fn lora(&self, layer: u32, target: Target) -> Option<&LoraFactors> {
        self.lora.get(&(layer, target))
    }

    /// Rows of the soft prompt; 0 without one.
    pub fn num_virtual_tokens(&self) -> u32 {
        self.prompt
            .as_ref()
            .map_or(0, |prompt| prompt.shape[0] as u32)
    }
}

fn parameter(part: &Part) -> Parameter {
    Parameter {
        range: part.range.clone(),
        shape: part.shape,
    }
}

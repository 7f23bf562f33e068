//! The model: a frozen encoder, the adapter's parts in it, and a classifier head.

use crate::adapter::AdapterViews;
use crate::engine::{Engine, EngineError, LinearLayer, Weight};

pub(crate) mod checkpoint;
pub mod config;
pub mod decoder;
pub mod decoder_loader;
pub mod encoder;
pub mod llama2c;
pub mod loader;
pub mod tensors;
pub mod weights;

pub use decoder::Decoder;
pub use encoder::Encoder;

/// An encoder with its adapter and head, on the tensors `T` of one engine.
#[derive(Clone, Debug)]
pub struct Model<T> {
    encoder: Encoder<T>,
    adapter: AdapterViews,
    head: Option<LinearLayer<T>>,
}

/// A classifier that is not trained.
#[derive(Clone, Debug)]
pub struct FrozenHead<T> {
    /// `[dim, labels]`.
    pub weight: T,
    /// `[1, labels]`.
    pub bias: T,
    /// Number of classes.
    pub labels: usize,
}

impl<T: Clone> Model<T> {
    /// The encoder with LoRA where the adapter has it, and the adapter's head or else `frozen`.
    pub fn new(
        mut encoder: Encoder<T>,
        adapter: AdapterViews,
        frozen: Option<FrozenHead<T>>,
    ) -> Self {
        encoder.attach(&adapter);
        let dim = encoder.shape().dim as usize;
        let head = match (&adapter.head, frozen) {
            (Some(head), _) => Some(LinearLayer {
                weight: Weight::Trained(head.weight.clone()),
                bias: Some(Weight::Trained(head.bias.clone())),
                trained_bias: None,
                lora: None,
                shape: head.weight.shape,
            }),
            (None, Some(frozen)) => Some(LinearLayer {
                weight: Weight::Frozen(frozen.weight),
                bias: Some(Weight::Frozen(frozen.bias)),
                trained_bias: None,
                lora: None,
                shape: [dim, frozen.labels],
            }),
            (None, None) => None,
        };
        Self {
            encoder,
            adapter,
            head,
        }
    }

    /// The frozen encoder.
    pub fn encoder(&self) -> &Encoder<T> {
        &self.encoder
    }

    /// What of it is trained.
    pub fn adapter(&self) -> &AdapterViews {
        &self.adapter
    }

    /// Number of classes; 0 without a head.
    pub fn classes(&self) -> usize {
        self.head.as_ref().map_or(0, |head| head.shape[1])
    }

    /// Mean-pooled embeddings of the batch begun: `[batch, dim]`.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn pooled<E: Engine<Tensor = T>>(&self, engine: &mut E) -> Result<T, EngineError> {
        self.encoder.pooled(engine, self.adapter.prompt.as_ref())
    }

    /// Logits of the batch begun: `[batch, labels]`.
    ///
    /// # Errors
    /// Those of the engine; [`EngineError::Shape`] if there is no head.
    pub fn logits<E: Engine<Tensor = T>>(&self, engine: &mut E) -> Result<T, EngineError> {
        let head = self.head.as_ref().ok_or_else(|| EngineError::Shape {
            what: "classifier heads".to_owned(),
            expected: 1,
            found: 0,
        })?;
        let pooled = self.pooled(engine)?;
        engine.linear(&pooled, head)
    }
}

//! Version 0 of the adapters: LoRA's A uniform, B zero (Hu et al. 2021), so that it is the base
//! model; the soft prompt of embeddings of the vocabulary (Lester et al. 2021).

use choir_shared::sim::random::Stream;

use choir_shared::task::DecoderLoraConfig;

use super::settings::Settings;
use crate::evals::{EvalError, read};
use crate::model::decoder::{DecoderAdapter, DecoderShape};
use crate::model::llama2c::Llama2cCheckpoint;

/// Three special tokens and the bytes come before a vocabulary's words.
const FIRST_WORD: usize = 259;

/// An adapter and its values at version 0.
pub struct Start {
    /// The views.
    pub adapter: DecoderAdapter,
    /// The flat vector.
    pub values: Vec<f32>,
}

impl Start {
    /// The base model without an adapter.
    pub fn base() -> Self {
        Self {
            adapter: DecoderAdapter::default(),
            values: Vec::new(),
        }
    }

    /// LoRA on all linear layers.
    pub fn lora(settings: &Settings, shape: &DecoderShape) -> Self {
        let lora = DecoderLoraConfig {
            rank: settings.rank,
            alpha: settings.alpha,
            rank_stabilised: false,
            dropout: 0.0,
            targets: shape.targets().to_vec(),
        };
        let adapter = DecoderAdapter::new(shape, &lora, 0);
        let mut values = vec![0.0; adapter.len];
        let mut stream = Stream::new(settings.seed, "factors");
        for factors in adapter.lora.values() {
            // Variance 1 / inputs.
            let bound = (3.0 / factors.a.shape[0] as f64).sqrt();
            values[factors.a.range.clone()]
                .fill_with(|| ((2.0 * stream.uniform() - 1.0) * bound) as f32);
        }
        Self { adapter, values }
    }

    /// A soft prompt.
    ///
    /// # Errors
    /// [`EvalError`] if the checkpoint cannot be read.
    pub fn prompt(settings: &Settings) -> Result<Self, EvalError> {
        let path = settings.shared.join("models/stories260K/stories260K.bin");
        let bytes = read(&path)?;
        let checkpoint = Llama2cCheckpoint::read(&bytes)?;
        let shape = checkpoint.shape();
        let words = shape.vocabulary.saturating_sub(FIRST_WORD).max(1);
        let mut stream = Stream::new(settings.seed, "prompt");
        let tokens: Vec<u32> = (0..settings.num_virtual_tokens)
            .map(|_| (shape.vocabulary - words + stream.below(words)) as u32)
            .collect();
        let values = checkpoint.embeddings(&tokens);
        Ok(Self {
            adapter: DecoderAdapter::of_prompt(settings.num_virtual_tokens, shape),
            values: values.ok_or_else(|| EvalError::Content {
                path,
                reason: "its vocabulary is smaller than it says".to_owned(),
            })?,
        })
    }
}

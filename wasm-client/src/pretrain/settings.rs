//! How the model is made.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::PretrainError;
use crate::engine::AdamW;
use crate::model::decoder::DecoderShape;

/// Sizes, corpus and training; by default those of the built-in decoder. Every field is an option of the command line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Folder with documentation in reStructuredText.
    pub documents: PathBuf,
    /// The text of the plays; empty for none.
    pub plays: PathBuf,
    /// How often the plays stand in the corpus.
    pub play_repeats: usize,
    /// Folder that the model is written to.
    pub out: PathBuf,
    /// Pieces of the tokenizer.
    pub pieces: usize,
    /// Width of the residual stream.
    pub dim: usize,
    /// Transformer blocks.
    pub layers: u32,
    /// Heads of the queries.
    pub heads: usize,
    /// Heads of the keys and values.
    pub kv_heads: usize,
    /// Width inside the MLP.
    pub intermediate: usize,
    /// Tokens of a row, and positions of the model.
    pub context: usize,
    /// Rows of a step.
    pub batch: usize,
    /// Steps.
    pub steps: u64,
    /// Highest learning rate.
    pub learning_rate: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Decides weights and the order of rows.
    pub seed: u64,
    /// Clients that train apart; 1 for training in one place.
    pub clients: usize,
    /// Steps of each client between two sums.
    pub local_steps: u64,
    /// Part of the momentum over those sums that stays; 0 for plain averaging.
    pub outer_momentum: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            documents: PathBuf::new(),
            plays: PathBuf::new(),
            play_repeats: 2,
            out: PathBuf::new(),
            pieces: 4096,
            dim: 256,
            layers: 4,
            heads: 8,
            kv_heads: 4,
            intermediate: 704,
            context: 256,
            batch: 4,
            steps: 3_200,
            learning_rate: 1.5e-3,
            weight_decay: 0.05,
            seed: 1,
            clients: 1,
            local_steps: 5,
            outer_momentum: 0.0,
        }
    }
}

impl Settings {
    /// The decoder's shape.
    ///
    /// # Errors
    /// [`PretrainError::Setting`] names what does not divide.
    pub fn shape(&self) -> Result<DecoderShape, PretrainError> {
        let refuse = |text: &str| Err(PretrainError::Setting(text.to_owned()));
        if self.heads == 0 || !self.dim.is_multiple_of(2 * self.heads) {
            return refuse("dim has to be an even multiple of heads");
        }
        if self.kv_heads == 0 || !self.heads.is_multiple_of(self.kv_heads) {
            return refuse("kv_heads has to divide heads");
        }
        if !(0.0..1.0).contains(&self.outer_momentum) {
            return refuse("outer_momentum is at least 0 and below 1");
        }
        if self.pieces < 300 || self.context == 0 || self.batch == 0 || self.clients == 0 {
            return refuse("pieces should be 300 at least, context, batch and clients 1");
        }
        Ok(DecoderShape {
            dim: self.dim,
            layers: self.layers,
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.dim / self.heads,
            intermediate: self.intermediate,
            vocabulary: self.pieces,
            context: self.context,
            tied: true,
            ..DecoderShape::LLAMA
        })
    }

    /// The optimizer at this rate: the second moment forgets sooner than by default, as is usual for
    /// language models (Brown et al. 2020, appendix B).
    pub(super) fn optimizer(&self, learning_rate: f32) -> AdamW {
        AdamW {
            learning_rate,
            beta1: 0.9,
            beta2: 0.95,
            eps: 1e-8,
            weight_decay: self.weight_decay,
        }
    }
}

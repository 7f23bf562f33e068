//! Where training starts: stories260K with low-rank factors that do nothing yet.

use std::path::Path;

use choir_shared::task::DecoderLoraConfig;

use super::{CpuEngine, EvalError, Stories};
use crate::engine::AdamW;
use crate::engine::cpu::CpuKernels;
use crate::language::llama2c::Llama2cTokenizer;
use crate::model::decoder::DecoderAdapter;
use crate::train::language::LanguageTrainer;

/// A trainer of stories260K on a core of its own.
pub struct Student {
    /// Holds the model and the adapter.
    pub trainer: LanguageTrainer<CpuEngine>,
    /// The model's tokenizer.
    pub tokenizer: Llama2cTokenizer,
    /// The adapter at version 0.
    pub start: Vec<f32>,
}

impl Student {
    /// Reads the model and gives all its linear layers low-rank factors: A uniform from the seed
    /// with variance 1 / inputs, B zero (Hu et al. 2021), so that version 0 is the base model.
    ///
    /// # Errors
    /// Those of [`Stories::read`], and of the engine.
    pub fn new(shared: &Path, rank: u16, alpha: f32, seed: u64) -> Result<Self, EvalError> {
        let mut engine = CpuEngine::new(CpuKernels::new());
        let mut stories = Stories::read(shared, &mut engine)?;
        let lora = DecoderLoraConfig {
            rank,
            alpha,
            rank_stabilised: false,
            dropout: 0.0,
            targets: stories.decoder.shape().targets().to_vec(),
        };
        let adapter = DecoderAdapter::new(stories.decoder.shape(), &lora, 0);
        let start = adapter.initial(seed);
        stories.decoder.attach(adapter);
        let mut trainer = LanguageTrainer::new(engine, stories.decoder, optimizer(0.0));
        trainer.set_adapter(&start)?;
        Ok(Self {
            trainer,
            tokenizer: stories.tokenizer,
            start,
        })
    }
}

/// AdamW with the usual settings and this learning rate, without weight decay.
pub fn optimizer(learning_rate: f32) -> AdamW {
    AdamW {
        learning_rate,
        weight_decay: 0.0,
        ..crate::bench::OPTIMIZER
    }
}

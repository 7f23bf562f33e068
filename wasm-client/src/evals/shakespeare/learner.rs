//! The model of one thread with one kind of adapter: trains it on a client's rows, scores it on
//! held-out ones.

use choir_shared::sim::random::Stream;

use super::settings::Settings;
use crate::engine::AdamW;
use crate::engine::cpu::CpuKernels;
use crate::evals::progress::Progress;
use crate::evals::{CpuEngine, EvalError, Stories};
use crate::language::dataset::Row;
use crate::model::decoder::DecoderAdapter;
use crate::train::batch::Shuffle;
use crate::train::language::{LanguageTrainer, Score};

/// Rows scored at once.
const SCORED_AT_ONCE: usize = 4;

/// A model, its adapter and its optimizer.
pub struct Learner {
    trainer: LanguageTrainer<CpuEngine>,
    settings: Settings,
}

/// What to train on, and how.
pub struct Lesson<'a> {
    /// The rows.
    pub rows: &'a [&'a Row],
    /// Steps.
    pub steps: u32,
    /// Rate of the first step.
    pub rate: f32,
    /// Parts of the whole training that are over before the first step and after the last: the
    /// rate falls with them.
    pub parts: [f32; 2],
    /// Of the order of the rows.
    pub seed: u64,
}

impl Learner {
    /// Reads the model and puts the adapter into it.
    ///
    /// # Errors
    /// Those of [`Stories::read`].
    pub fn new(settings: &Settings, adapter: &DecoderAdapter) -> Result<Self, EvalError> {
        let mut engine = CpuEngine::new(CpuKernels::new());
        let Stories { mut decoder, .. } = Stories::read(&settings.shared, &mut engine)?;
        decoder.attach(adapter.clone());
        Ok(Self {
            trainer: LanguageTrainer::new(engine, decoder, crate::bench::OPTIMIZER),
            settings: settings.clone(),
        })
    }

    /// Trains from `start` with a new optimizer and yields the adapter after it.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn train(
        &mut self,
        start: &[f32],
        lesson: &Lesson<'_>,
        progress: &Progress<'_>,
    ) -> Result<Vec<f32>, EvalError> {
        self.trainer.set_adapter(start)?;
        let seed = Stream::new(lesson.seed, "rows").next_word();
        let mut shuffle = Shuffle::new(lesson.rows.len(), seed);
        let [before, after] = lesson.parts;
        for step in 0..lesson.steps {
            let part = before + (after - before) * step as f32 / lesson.steps as f32;
            self.trainer.set_optimizer(AdamW {
                learning_rate: self.settings.rate(lesson.rate, part),
                weight_decay: 0.0,
                ..crate::bench::OPTIMIZER
            });
            let drawn = shuffle.draw(self.settings.batch);
            let rows: Vec<&Row> = drawn.iter().map(|&at| lesson.rows[at]).collect();
            pollster::block_on(self.trainer.step(&rows))?;
            progress.step();
        }
        Ok(pollster::block_on(self.trainer.adapter())?)
    }

    /// What the model with these values says of the rows.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn score(&mut self, values: &[f32], rows: &[Row]) -> Result<Score, EvalError> {
        self.trainer.set_adapter(values)?;
        Ok(pollster::block_on(
            self.trainer.score(rows, SCORED_AT_ONCE),
        )?)
    }
}

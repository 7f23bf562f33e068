//! Training of a language task: its decoder as the bytes arrive, then local steps on rows of tokens,
//! in an order by seed as an encoder's examples are.

use choir_shared::task::{
    AdapterLayout, BaseFiles, DecoderStyle, LanguageConfig, Payload, TaskConfig,
};

use super::TrainError;
use super::batch::Shuffle;
use super::language::{LanguageTrainer, Score};
use super::language_prepare::Scene;
use super::prepare::TrainingPlan;
use crate::engine::decoder::DecoderEngine;
use crate::engine::quantised::WeightPrecision;
use crate::engine::{AdamW, DeviceInfo, EngineError, OptimizerState, Preparation, StepCounts};
use crate::language::dataset::Row;
use crate::model::Decoder;
use crate::model::config::Architecture;
use crate::model::decoder::{DecoderAdapter, DecoderShape};
use crate::model::decoder_loader::DecoderLoader;
use crate::model::llama2c::Llama2cCheckpoint;

mod portions;

/// Rows of one forward pass of an evaluation.
const ROWS: usize = 8;

/// Trains one language task on one engine.
pub struct LanguageTaskTrainer<E: DecoderEngine> {
    task: TaskConfig,
    layout: AdapterLayout,
    shape: DecoderShape,
    adapter: DecoderAdapter,
    stage: Stage<E>,
    has_adapter: bool,
    rows: Vec<Row>,
    shuffle: Shuffle,
    /// Whether some activations are made again, as the plan found.
    recomputes: bool,
    /// Of what the first step leaves out; no round has as many steps as lie between two.
    seed: u64,
    steps: u32,
}

/// How far the model has come.
enum Stage<E: DecoderEngine> {
    HuggingFace(E, Box<DecoderLoader<E::Tensor>>),
    /// A file that is small, and read when it is whole.
    Llama2c(E, Vec<u8>),
    Ready(Box<LanguageTrainer<E>>),
    /// Loading failed.
    Broken,
}

impl<E: DecoderEngine> LanguageTaskTrainer<E> {
    /// A trainer without weights, adapter or rows.
    ///
    /// # Errors
    /// [`TrainError::Task`] if the task has no payload, [`TrainError::Kind`] if it is of an encoder.
    pub fn new(engine: E, task: TaskConfig) -> Result<Self, TrainError> {
        let layout = AdapterLayout::new(&task).map_err(TrainError::Task)?;
        let Payload::Language(language) = &task.payload else {
            return Err(TrainError::Kind {
                expected: "a decoder",
                found: "an encoder",
            });
        };
        let shape = DecoderShape::of_task(&task.base.shape, language);
        let stage = Stage::begin(engine, language, shape);
        Ok(Self {
            adapter: DecoderAdapter::of_config(&shape, &language.adapter),
            task,
            layout,
            shape,
            stage,
            has_adapter: false,
            rows: Vec::new(),
            shuffle: Shuffle::new(0, 0),
            recomputes: false,
            seed: 0,
            steps: 0,
        })
    }

    /// What it runs on.
    ///
    /// # Errors
    /// [`TrainError::TooEarly`] where loading failed: the device is gone with it.
    pub fn device(&self) -> Result<DeviceInfo, TrainError> {
        self.engine().map(E::device)
    }

    /// Counts of the last step.
    ///
    /// # Errors
    /// As [`Self::device`].
    pub fn counts(&self) -> Result<StepCounts, TrainError> {
        self.engine().map(E::counts)
    }

    /// Plans the memory of a step on the longest rows that the task allows; call it before the weights
    /// come. None where an engine does not count its memory.
    ///
    /// # Errors
    /// [`EngineError::TooLarge`] where it takes more than `granted` bytes, with both numbers.
    pub fn plan(&mut self, granted: Option<u64>) -> Result<Option<TrainingPlan>, TrainError> {
        let scene = Scene::new(&self.task, self.shape, &self.adapter);
        let engine = self.stage.loading()?;
        let play = |engine: &mut E| scene.play(engine);
        let plan = TrainingPlan::of(engine, self.recomputes, granted, play)?;
        self.recomputes = plan.map_or(self.recomputes, |plan| plan.recomputes);
        Ok(plan)
    }

    /// Makes the kernels of a step ready; call it before the weights come.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn prepare(&mut self) -> Result<Preparation, TrainError> {
        let scene = Scene::new(&self.task, self.shape, &self.adapter);
        Ok(scene.prepare(self.stage.loading()?)?)
    }

    /// The adapter's parts.
    pub fn layout(&self) -> &AdapterLayout {
        &self.layout
    }

    /// Tokens that a text can have beside the soft prompt.
    pub fn room(&self) -> usize {
        let prompt = self.adapter.num_virtual_tokens() as usize;
        self.shape.context.saturating_sub(prompt)
    }

    /// Engine and decoder, for going on with a text.
    ///
    /// # Errors
    /// [`TrainError::TooEarly`] without weights.
    pub fn parts(&mut self) -> Result<(&mut E, &Decoder<E::Tensor>), TrainError> {
        Ok(self.trainer()?.parts())
    }

    /// The next bytes of the weights' file, in any chunking.
    ///
    /// # Errors
    /// [`TrainError::Load`] or [`TrainError::BaseModel`]; no further bytes are taken then.
    pub fn add_weights(&mut self, bytes: &[u8]) -> Result<(), TrainError> {
        let most = self.task.base.weights_bytes;
        let taken = match &mut self.stage {
            Stage::HuggingFace(engine, loader) => loader.push(engine, bytes).map_err(Into::into),
            Stage::Llama2c(_, file) if (file.len() + bytes.len()) as u64 <= most => {
                file.extend_from_slice(bytes);
                Ok(())
            }
            Stage::Llama2c(..) => Err(TrainError::BaseModel("it is longer than the task says")),
            Stage::Ready(_) | Stage::Broken => {
                return Err(TrainError::TooEarly("open a new trainer"));
            }
        };
        if taken.is_err() {
            self.stage = Stage::Broken;
        }
        taken
    }

    /// Ends the weights.
    ///
    /// # Errors
    /// [`TrainError::Load`] if tensors are missing, by name; [`TrainError::Llama2c`] and
    /// [`TrainError::BaseModel`] for a checkpoint that is none, or of another decoder.
    pub fn finish_weights(&mut self) -> Result<(), TrainError> {
        let adapter = self.adapter.clone();
        let (engine, decoder) = match core::mem::replace(&mut self.stage, Stage::Broken) {
            Stage::HuggingFace(engine, mut loader) => {
                loader.end_file()?;
                (engine, loader.finish(adapter)?)
            }
            Stage::Llama2c(mut engine, file) => {
                let checkpoint = Llama2cCheckpoint::read(&file)?;
                if *checkpoint.shape() != self.shape {
                    return Err(TrainError::BaseModel("its sizes are not the task's"));
                }
                let decoder = checkpoint.load(&mut engine, WeightPrecision::F32, adapter)?;
                (engine, decoder)
            }
            other => {
                self.stage = other;
                return Err(TrainError::TooEarly("add the weights"));
            }
        };
        let trainer = LanguageTrainer::new(engine, decoder, self.optimizer());
        self.stage = Stage::Ready(Box::new(trainer));
        Ok(())
    }

    /// Loads the adapter; the optimizer starts anew.
    ///
    /// # Errors
    /// [`EngineError::Shape`] if it has another length than the layout.
    pub fn set_adapter(&mut self, flat: &[f32]) -> Result<(), TrainError> {
        if !self.has_adapter {
            let adapter = self.adapter.clone();
            self.trainer()?.attach(adapter);
        }
        self.trainer()?.set_adapter(flat)?;
        self.has_adapter = true;
        self.steps = 0;
        Ok(())
    }

    /// Takes the adapter off, until another one is set: what is left is the base model.
    ///
    /// # Errors
    /// [`TrainError::TooEarly`] without weights.
    pub fn remove_adapter(&mut self) -> Result<(), TrainError> {
        self.has_adapter = false;
        let trainer = self.trainer()?;
        trainer.attach(DecoderAdapter::default());
        trainer.set_adapter(&[])
    }

    /// The adapter as it is now.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn adapter(&mut self) -> Result<Vec<f32>, TrainError> {
        self.trainer()?.adapter().await
    }

    /// The rows to train on, and the seed of their order. Rows of which nothing is scored are left
    /// out.
    ///
    /// # Errors
    /// [`EngineError::OutOfRange`] for a row that is longer than the task's longest.
    pub fn set_rows(&mut self, mut rows: Vec<Row>, seed: u64) -> Result<(), TrainError> {
        self.check_rows(&rows)?;
        rows.retain(|row| row.scored() > 0);
        self.shuffle = Shuffle::new(rows.len(), seed);
        self.seed = seed << 16;
        self.rows = rows;
        Ok(())
    }

    /// Trains on so many batches; the loss of each before its update.
    ///
    /// # Errors
    /// [`TrainError::TooEarly`] without weights, adapter or rows; [`EngineError::NotFinite`] names
    /// the first step whose loss is no finite number.
    pub async fn steps(&mut self, count: u32) -> Result<Vec<f32>, TrainError> {
        if self.rows.is_empty() {
            return Err(TrainError::TooEarly("set the rows"));
        }
        if !self.has_adapter {
            return Err(TrainError::TooEarly("set the adapter"));
        }
        let mut losses = Vec::with_capacity(count as usize);
        for _ in 0..count {
            losses.push(self.step().await?);
        }
        Ok(losses)
    }

    /// What the decoder with its adapter says of other rows.
    ///
    /// # Errors
    /// As [`Self::set_rows`], and those of the engine.
    pub async fn score(&mut self, rows: &[Row]) -> Result<Score, TrainError> {
        self.check_rows(rows)?;
        if !self.has_adapter {
            return Err(TrainError::TooEarly("set the adapter"));
        }
        self.trainer()?.score(rows, ROWS).await
    }

    /// What the optimizer remembers, for [`Self::resume`].
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn optimizer_state(&mut self) -> Result<OptimizerState, TrainError> {
        Ok(self.trainer()?.engine_mut().read_optimizer().await?)
    }

    /// Goes on behind the steps that were taken elsewhere on the same rows in the same order: set
    /// those, with their seed, just before.
    ///
    /// # Errors
    /// As an encoder's trainer.
    pub fn resume(&mut self, adapter: &[f32], state: &OptimizerState) -> Result<(), TrainError> {
        if self.rows.is_empty() {
            return Err(TrainError::TooEarly("set the rows"));
        }
        let limit = usize::from(self.task.training.local_steps) + 1;
        let value = state.steps as usize;
        if value >= limit {
            let what = "step to go on from";
            return Err(EngineError::OutOfRange { what, value, limit }.into());
        }
        self.set_adapter(adapter)?;
        self.trainer()?.engine_mut().load_optimizer(state)?;
        for _ in 0..state.steps {
            self.shuffle
                .draw(usize::from(self.task.training.batch_size));
        }
        self.steps = state.steps;
        Ok(())
    }

    async fn step(&mut self) -> Result<f32, TrainError> {
        let size = usize::from(self.task.training.batch_size);
        let drawn = self.shuffle.draw(size);
        let rows: Vec<&Row> = drawn.iter().map(|&place| &self.rows[place]).collect();
        let Stage::Ready(trainer) = &mut self.stage else {
            return Err(TrainError::TooEarly("finish the weights"));
        };
        let step = self.steps;
        trainer.set_dropout_seed(self.seed.wrapping_add(u64::from(step)));
        let loss = trainer.step(&rows).await.map_err(|error| match error {
            TrainError::Engine(EngineError::NotFinite { .. }) => {
                EngineError::NotFinite { step }.into()
            }
            error => error,
        })?;
        self.steps += 1;
        Ok(loss)
    }

    fn check_rows(&self, rows: &[Row]) -> Result<(), TrainError> {
        let limit = usize::from(self.task.max_length) + 1;
        let longest = rows.iter().map(|row| row.tokens.len()).max().unwrap_or(0);
        if longest < limit {
            return Ok(());
        }
        let (what, value) = ("tokens of a row", longest);
        Err(EngineError::OutOfRange { what, value, limit }.into())
    }

    fn engine(&self) -> Result<&E, TrainError> {
        match &self.stage {
            Stage::HuggingFace(engine, _) | Stage::Llama2c(engine, _) => Ok(engine),
            Stage::Ready(trainer) => Ok(trainer.engine()),
            Stage::Broken => Err(TrainError::TooEarly("open a new trainer")),
        }
    }

    fn trainer(&mut self) -> Result<&mut LanguageTrainer<E>, TrainError> {
        match &mut self.stage {
            Stage::Ready(trainer) => Ok(trainer),
            _ => Err(TrainError::TooEarly("finish the weights")),
        }
    }

    fn optimizer(&self) -> AdamW {
        AdamW::from(self.task.training.optimizer)
    }
}

impl<E: DecoderEngine> Stage<E> {
    /// The engine, before the weights are there.
    fn loading(&mut self) -> Result<&mut E, TrainError> {
        match self {
            Self::HuggingFace(engine, _) | Self::Llama2c(engine, _) => Ok(engine),
            Self::Ready(_) | Self::Broken => Err(TrainError::TooEarly("open a new trainer")),
        }
    }

    fn begin(engine: E, language: &LanguageConfig, shape: DecoderShape) -> Self {
        match language.files {
            BaseFiles::HuggingFace => {
                // Names and layouts are the same in all checkpoints of a style.
                let architecture = match language.decoder.style {
                    DecoderStyle::Llama => Architecture::Llama,
                    DecoderStyle::Gpt2 => Architecture::Gpt2,
                };
                let loader = DecoderLoader::new(architecture, shape, WeightPrecision::F32);
                Self::HuggingFace(engine, Box::new(loader))
            }
            BaseFiles::Llama2c => Self::Llama2c(engine, Vec::new()),
        }
    }
}

//! Local training: a model on an engine, its examples, steps and evaluations.

use choir_shared::task::{AdapterLayout, Payload, TaskConfig, TaskError};

use crate::adapter::AdapterViews;
use crate::engine::quantised::WeightPrecision;
use crate::engine::{AdamW, DeviceInfo, Engine, EngineError, StepCounts};
use crate::model::llama2c::Llama2cError;
use crate::model::loader::{EncoderLoader, LoadError};
use crate::model::{Encoder, FrozenHead, Model};
use batch::{Examples, Shuffle};

pub mod batch;
pub mod evaluate;
pub mod language;
mod language_prepare;
pub mod language_task;
pub mod portions;
pub mod preferences;
pub mod prepare;
pub mod resume;
pub mod step;

/// What can go wrong in a trainer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The model's file.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A checkpoint of llama2.c's.
    #[error(transparent)]
    Llama2c(#[from] Llama2cError),
    /// The model's file is not that of the task.
    #[error("this is not the task's base model: {0}")]
    BaseModel(&'static str),
    /// The task.
    #[error("the task cannot be trained: {0}")]
    Task(TaskError),
    /// An encoder's trainer was given a decoder's task, or the other way round.
    #[error("the task is one of {found}, and this trains {expected}")]
    Kind {
        /// What is trained here.
        expected: &'static str,
        /// What the task is of.
        found: &'static str,
    },
    /// A call came before what it needs.
    #[error("{0} first")]
    TooEarly(&'static str),
}

/// Trains one task on one engine.
pub struct Trainer<E: Engine> {
    engine: E,
    task: TaskConfig,
    layout: AdapterLayout,
    precision: WeightPrecision,
    recomputes: bool,
    stage: Stage<E::Tensor>,
    has_adapter: bool,
    examples: Examples,
    shuffle: Shuffle,
    steps: u32,
}

/// How far the model has come.
enum Stage<T> {
    Loading(Box<EncoderLoader<T>>),
    Ready(Box<Model<T>>),
    /// Loading failed.
    Broken,
}

impl<E: Engine> Trainer<E> {
    /// A trainer without weights, adapter or examples.
    ///
    /// # Errors
    /// [`TrainError::Task`] if the task has no payload, [`TrainError::Kind`] if it is of a decoder.
    pub fn new(engine: E, task: TaskConfig) -> Result<Self, TrainError> {
        if matches!(task.payload, Payload::Language(_)) {
            return Err(TrainError::Kind {
                expected: "an encoder",
                found: "a decoder",
            });
        }
        let layout = AdapterLayout::new(&task).map_err(TrainError::Task)?;
        let stage = Stage::Loading(Box::new(EncoderLoader::new(task.base.shape)));
        Ok(Self {
            engine,
            task,
            layout,
            precision: WeightPrecision::F32,
            recomputes: false,
            stage,
            has_adapter: false,
            examples: Examples::default(),
            shuffle: Shuffle::new(0, 0),
            steps: 0,
        })
    }

    /// A trainer whose encoder is on the engine already.
    ///
    /// # Errors
    /// [`TrainError::Task`] if the task has no payload.
    pub fn with_encoder(
        engine: E,
        task: TaskConfig,
        encoder: Encoder<E::Tensor>,
    ) -> Result<Self, TrainError> {
        let mut trainer = Self::new(engine, task)?;
        trainer.set_encoder(encoder, None);
        Ok(trainer)
    }

    /// The engine, for the next trainer.
    pub fn into_engine(self) -> E {
        self.engine
    }

    /// What it runs on.
    pub fn device(&self) -> DeviceInfo {
        self.engine.device()
    }

    /// Counts of the last step.
    pub fn counts(&self) -> StepCounts {
        self.engine.counts()
    }

    /// The task.
    pub fn task(&self) -> &TaskConfig {
        &self.task
    }

    /// The adapter's parts.
    pub fn layout(&self) -> &AdapterLayout {
        &self.layout
    }

    /// Keeps the frozen matrices in this precision; before the first bytes of weights.
    ///
    /// # Errors
    /// [`TrainError::TooEarly`] once the weights are there.
    pub fn set_precision(&mut self, precision: WeightPrecision) -> Result<(), TrainError> {
        let Stage::Loading(loader) = &mut self.stage else {
            return Err(TrainError::TooEarly("open a new trainer"));
        };
        **loader = EncoderLoader::new(self.task.base.shape).in_precision(precision);
        self.precision = precision;
        // Whoever asks for less memory is given all there is to save.
        self.set_recomputation(precision != WeightPrecision::F32);
        Ok(())
    }

    /// Makes some of the activations again instead of keeping them, where the engine can.
    pub fn set_recomputation(&mut self, on: bool) {
        self.engine.set_recomputation(on);
        self.recomputes = on;
    }

    /// The next bytes of the safetensors file, in any chunking.
    ///
    /// # Errors
    /// [`TrainError::Load`]; no further bytes are taken then.
    pub fn add_weights(&mut self, bytes: &[u8]) -> Result<(), TrainError> {
        let Stage::Loading(loader) = &mut self.stage else {
            return Err(TrainError::TooEarly("open a new trainer"));
        };
        let result = loader.push(&mut self.engine, bytes);
        if result.is_err() {
            self.stage = Stage::Broken;
        }
        Ok(result?)
    }

    /// Ends the weights.
    ///
    /// # Errors
    /// [`TrainError::Load`] if tensors are missing, by name.
    pub fn finish_weights(&mut self) -> Result<(), TrainError> {
        match core::mem::replace(&mut self.stage, Stage::Broken) {
            Stage::Loading(loader) => {
                let encoder = loader.finish()?;
                self.set_encoder(encoder, None);
                Ok(())
            }
            other => {
                self.stage = other;
                Err(TrainError::TooEarly("add the weights"))
            }
        }
    }

    /// The classifier of a task whose payload has none: weight `[dim, labels]`, then bias.
    ///
    /// # Errors
    /// [`EngineError::Shape`] if it has another length.
    pub fn set_frozen_head(&mut self, flat: &[f32]) -> Result<(), TrainError> {
        let encoder = self.model()?.encoder().clone();
        let (dim, labels) = (encoder.shape().dim as usize, self.task.labels.len());
        let expected = (dim + 1) * labels;
        if flat.len() != expected {
            let (what, found) = ("frozen head".to_owned(), flat.len());
            return Err(EngineError::Shape {
                what,
                expected,
                found,
            }
            .into());
        }
        let (weight, bias) = flat.split_at(dim * labels);
        let head = FrozenHead {
            weight: self.engine.frozen(weight, [dim, labels])?,
            bias: self.engine.frozen(bias, [1, labels])?,
            labels,
        };
        self.set_encoder(encoder, Some(head));
        Ok(())
    }

    /// Loads the adapter; the optimizer starts anew.
    ///
    /// # Errors
    /// [`EngineError::Shape`] if it has another length than the layout.
    pub fn set_adapter(&mut self, flat: &[f32]) -> Result<(), TrainError> {
        if flat.len() != self.layout.len() {
            return Err(EngineError::Shape {
                what: "adapter".to_owned(),
                expected: self.layout.len(),
                found: flat.len(),
            }
            .into());
        }
        self.engine.load_adapter(flat)?;
        self.has_adapter = true;
        self.steps = 0;
        Ok(())
    }

    /// The adapter as it is now.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn adapter(&mut self) -> Result<Vec<f32>, TrainError> {
        Ok(self.engine.read_adapter().await?)
    }

    /// The examples to train on, and the seed of their order.
    pub fn set_examples(&mut self, examples: Examples, seed: u64) {
        self.shuffle = Shuffle::new(examples.len(), seed);
        self.examples = examples;
    }

    fn set_encoder(&mut self, encoder: Encoder<E::Tensor>, head: Option<FrozenHead<E::Tensor>>) {
        let views = AdapterViews::new(&self.layout, &self.task);
        self.stage = Stage::Ready(Box::new(Model::new(encoder, views, head)));
    }

    /// The model on the engine.
    ///
    /// # Errors
    /// [`TrainError::TooEarly`] before the weights are complete.
    pub fn model(&self) -> Result<&Model<E::Tensor>, TrainError> {
        match &self.stage {
            Stage::Ready(model) => Ok(model),
            Stage::Loading(_) | Stage::Broken => Err(TrainError::TooEarly("finish the weights")),
        }
    }

    fn optimizer(&self) -> AdamW {
        AdamW::from(self.task.training.optimizer)
    }
}

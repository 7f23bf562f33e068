//! One client's local training, and the measuring of versions: the tab's model and gradients, with
//! the steps taken here, so that a step can be pulled back, a part held still, or the gradient done
//! without.
//!
//! One trainer serves all clients of a run, one after the other. Plain AdamW over all parts gives,
//! bit for bit, what a tab's own steps give.

use choir_shared::ids::Digest;
use choir_shared::sim::random::Stream;
use choir_shared::task::{
    AdapterLayout, BaseModel, EncoderShape, Optimizer, Payload, TaskConfig, workload,
};

use super::centroids::StartingPoint;
use super::config::{Config, HeadStart};
use super::data::{DataSet, Texts};
use super::error::SimError;
use super::strategy::{ClientOptimizer, Strategy};
use crate::adapter::initial::{Sources, centroid_head, initial_adapter, prompt_tokens};
use crate::engine::cpu::{CpuKernels, adamw};
use crate::engine::{AdamW, OptimizerState};
use crate::native::base::CpuEngine;
use crate::train::Trainer;
use crate::train::batch::{Examples, Shuffle};

/// Trains and measures one strategy.
pub(super) struct ClientTrainer {
    trainer: Trainer<CpuEngine>,
    /// The whole adapter; what is not trained stays as it was.
    flat: Vec<f32>,
    /// Where the trained values lie in it.
    places: Vec<usize>,
    optimizer: AdamW,
    step: ClientOptimizer,
    proximal: f32,
    batch: usize,
}

/// What a client trains on.
pub(super) struct Lesson<'a> {
    /// The data set's training texts.
    pub(super) texts: &'a Texts,
    /// Which of them are the client's.
    pub(super) places: &'a [usize],
    /// How many steps.
    pub(super) steps: u32,
    /// Of the order of the texts.
    pub(super) seed: u64,
}

/// How good a version is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Quality {
    pub(super) accuracy: f32,
    pub(super) loss: f32,
}

impl ClientTrainer {
    /// A trainer at version 0 of a strategy.
    pub(super) fn new(
        start: &StartingPoint,
        data: &DataSet,
        config: &Config,
        strategy: &Strategy,
        seed: u64,
    ) -> Result<Self, SimError> {
        let StartingPoint { base, centroids } = start;
        let task = task(base.encoder().shape(), data, config, strategy, seed);
        let layout = AdapterLayout::new(&task)?;
        let training = &config.training;
        let head = match training.head {
            HeadStart::Zero => None,
            HeadStart::Centroids => {
                let dim = task.base.shape.dim as usize;
                let labels = task.labels.len();
                Some(centroid_head(centroids, dim, labels, training.head_scale)?)
            }
        };
        let prompt = base.word_embeddings(&prompt_tokens(&task, &layout))?;
        let sources = Sources {
            prompt: &prompt,
            head: head.as_deref(),
        };
        let flat = initial_adapter(&task, &layout, sources)?;
        let Optimizer {
            learning_rate,
            beta1,
            beta2,
            eps,
            weight_decay,
        } = task.training.optimizer;
        let engine = CpuEngine::new(CpuKernels::new());
        Ok(Self {
            trainer: Trainer::with_encoder(engine, task, base.encoder())?,
            flat,
            places: strategy.trained_places(&layout),
            optimizer: AdamW {
                learning_rate,
                beta1,
                beta2,
                eps,
                weight_decay,
            },
            step: strategy.client,
            proximal: strategy.proximal,
            batch: training.batch,
        })
    }

    /// The trained values as they are now.
    pub(super) fn values(&self) -> Vec<f32> {
        self.gather(&self.flat)
    }

    /// The whole adapter with these trained values.
    pub(super) fn adapter(&mut self, values: &[f32]) -> &[f32] {
        self.scatter(values);
        &self.flat
    }

    /// Trains from `start` and yields the values after it; `on_step` hears each step.
    pub(super) fn train(
        &mut self,
        start: &[f32],
        lesson: &Lesson<'_>,
        mut on_step: impl FnMut(u32),
    ) -> Result<Vec<f32>, SimError> {
        let mut shuffle = Shuffle::new(lesson.places.len(), lesson.seed);
        let mut directions = Stream::new(lesson.seed, "directions");
        let mut state = OptimizerState::new(start.len());
        let mut values = start.to_vec();
        for step in 1..=lesson.steps {
            let drawn = shuffle.draw(self.batch);
            let places: Vec<usize> = drawn.iter().map(|&at| lesson.places[at]).collect();
            let batch = lesson.texts.pack(&places)?;
            match self.step {
                ClientOptimizer::Adamw => {
                    self.adamw_step(&mut values, start, &batch, &mut state)?;
                }
                ClientOptimizer::Mezo { epsilon } => {
                    self.forward_step(&mut values, &batch, epsilon, &mut directions)?;
                }
            }
            on_step(step);
        }
        Ok(values)
    }

    /// Loss and accuracy of these values.
    pub(super) fn evaluate(
        &mut self,
        values: &[f32],
        examples: &Examples,
    ) -> Result<Quality, SimError> {
        self.load(values)?;
        let found = pollster::block_on(self.trainer.evaluate(examples))?;
        Ok(Quality {
            accuracy: found.accuracy,
            loss: found.loss,
        })
    }

    fn adamw_step(
        &mut self,
        values: &mut [f32],
        start: &[f32],
        batch: &Examples,
        state: &mut OptimizerState,
    ) -> Result<(), SimError> {
        self.load(values)?;
        let found = pollster::block_on(self.trainer.gradient(batch))?;
        let mut gradient = self.gather(&found.gradient);
        if self.proximal > 0.0 {
            let distances = values.iter().zip(start);
            for (g, (value, origin)) in gradient.iter_mut().zip(distances) {
                *g += self.proximal * (value - origin);
            }
        }
        adamw(&self.optimizer, values, &gradient, state);
        Ok(())
    }

    /// MeZO: the loss on both sides along a random direction, and a step along it.
    fn forward_step(
        &mut self,
        values: &mut [f32],
        batch: &Examples,
        epsilon: f32,
        directions: &mut Stream,
    ) -> Result<(), SimError> {
        let direction: Vec<f32> = values.iter().map(|_| directions.normal() as f32).collect();
        let mut side = |sign: f32| {
            let moved = values.iter().zip(&direction);
            let moved: Vec<f32> = moved.map(|(v, z)| v + sign * epsilon * z).collect();
            self.evaluate(&moved, batch).map(|quality| quality.loss)
        };
        let slope = (side(1.0)? - side(-1.0)?) / (2.0 * epsilon);
        let length = self.optimizer.learning_rate * slope;
        for (value, z) in values.iter_mut().zip(&direction) {
            *value -= length * z;
        }
        Ok(())
    }

    fn load(&mut self, values: &[f32]) -> Result<(), SimError> {
        self.scatter(values);
        Ok(self.trainer.set_adapter(&self.flat)?)
    }

    fn scatter(&mut self, values: &[f32]) {
        for (&place, value) in self.places.iter().zip(values) {
            self.flat[place] = *value;
        }
    }

    fn gather(&self, flat: &[f32]) -> Vec<f32> {
        self.places.iter().map(|&place| flat[place]).collect()
    }
}

/// The task that a strategy's trainer works on.
pub(super) fn task(
    shape: &EncoderShape,
    data: &DataSet,
    config: &Config,
    strategy: &Strategy,
    seed: u64,
) -> TaskConfig {
    let workload = workload::encoder();
    let training = &config.training;
    let optimizer = Optimizer {
        learning_rate: strategy.learning_rate.unwrap_or(training.learning_rate),
        weight_decay: training.weight_decay,
        ..workload.training.optimizer
    };
    TaskConfig {
        base: BaseModel {
            shape: *shape,
            ..workload.base
        },
        labels: data.labels.clone(),
        max_length: config.data.max_length,
        payload: Payload::Adapter(strategy.adapter()),
        training: choir_shared::task::Training {
            optimizer,
            ..workload.training
        },
        seed: Digest::of_parts(&[b"choir/simulated-task", &seed.to_le_bytes()]).0,
        ..workload
    }
}

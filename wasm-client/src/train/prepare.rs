//! Getting an engine ready for a task before its model is there: a step is rehearsed on a model
//! without values, so that its kernels are made while the weights arrive, and so that it is known
//! what memory the training takes.

use choir_shared::task::{AdapterLayout, TaskConfig};

use super::step::differentiate;
use super::{TrainError, Trainer};
use crate::adapter::AdapterViews;
use crate::engine::quantised::WeightPrecision;
use crate::engine::{AdamW, Batch, Engine, EngineError, MemoryPlan, Preparation};
use crate::model::{Encoder, FrozenHead, Model};

/// Two blocks have every kernel that more have; the lowest one alone lacks some gradients.
const BLOCKS: u32 = 2;

/// What a training takes, and how it does with that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrainingPlan {
    /// The bytes of a step on the longest batch.
    pub memory: MemoryPlan,
    /// Whether it makes some of the activations again instead of keeping them.
    pub recomputes: bool,
}

impl TrainingPlan {
    /// Plans by rehearsals of a step on an engine that makes activations again or does not yet. Where it
    /// takes more than `granted` bytes without that, it does from here on. None where an engine does not
    /// count its memory.
    ///
    /// # Errors
    /// [`EngineError::TooLarge`] where it takes more even so; the engine is as it was then.
    pub(super) fn of<E: Engine>(
        engine: &mut E,
        recomputes: bool,
        granted: Option<u64>,
        rehearse: impl Fn(&mut E) -> Result<(), EngineError>,
    ) -> Result<Option<Self>, EngineError> {
        let granted = granted.unwrap_or(u64::MAX);
        let Some(memory) = MemoryPlan::of(engine, &rehearse)? else {
            return Ok(None);
        };
        if memory.peak_bytes <= granted || recomputes {
            let memory = memory.within(granted)?;
            return Ok(Some(Self { memory, recomputes }));
        }
        engine.set_recomputation(true);
        let planned = MemoryPlan::of(engine, rehearse)
            .and_then(|memory| memory.unwrap_or_default().within(granted));
        engine.set_recomputation(planned.is_ok());
        Ok(Some(Self {
            memory: planned?,
            recomputes: true,
        }))
    }
}

impl<E: Engine> Trainer<E> {
    /// Makes the task's kernels ready; call it before the weights come, and again once the precision
    /// has changed.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn prepare(&mut self) -> Result<Preparation, TrainError> {
        let scene = Scene {
            optimizer: self.optimizer(),
            task: &self.task,
            layout: &self.layout,
            precision: self.precision,
            blocks: self.task.base.shape.layers.min(BLOCKS),
            // The kernels do not depend on how much there is, but that a product with one row has one
            // of its own: two rows of tokens, and two of logits.
            lengths: &[1, 1],
        };
        Ok(Preparation::begin(&mut self.engine, |engine| {
            scene.play(engine)
        })?)
    }

    /// Plans the memory of the training, of the examples if they are set and else of the longest
    /// ones that the task allows; call it before the weights come. Where keeping all activations
    /// would take more than `granted` bytes, some are to be made again from here on. None where an
    /// engine does not count its memory.
    ///
    /// # Errors
    /// [`EngineError::TooLarge`] where it takes more bytes even so, with both numbers, or where one
    /// tensor alone is larger than the device grants. The batch is the task's, and is not made
    /// smaller here.
    pub fn plan(&mut self, granted: Option<u64>) -> Result<Option<TrainingPlan>, TrainError> {
        let lengths = self.longest_batch();
        let scene = Scene {
            optimizer: self.optimizer(),
            task: &self.task,
            layout: &self.layout,
            precision: self.precision,
            blocks: self.task.base.shape.layers,
            lengths: &lengths,
        };
        let play = |engine: &mut E| scene.play(engine);
        let plan = TrainingPlan::of(&mut self.engine, self.recomputes, granted, play)?;
        self.recomputes = plan.map_or(self.recomputes, |plan| plan.recomputes);
        Ok(plan)
    }

    /// Tokens of each sequence of the longest batch to come in a round.
    fn longest_batch(&self) -> Vec<usize> {
        let count = usize::from(self.task.training.batch_size);
        let mut shuffle = self.shuffle.clone();
        let steps = 0..self.task.training.local_steps;
        let batches = steps.map(|_| self.examples.lengths(&shuffle.draw(count)));
        batches
            .filter(|lengths| !lengths.is_empty())
            .max_by_key(|lengths| lengths.iter().sum::<usize>())
            .unwrap_or_else(|| vec![usize::from(self.task.max_length); count])
    }
}

/// A step to be rehearsed.
struct Scene<'a> {
    optimizer: AdamW,
    task: &'a TaskConfig,
    layout: &'a AdapterLayout,
    precision: WeightPrecision,
    /// Of the encoder.
    blocks: u32,
    /// Tokens of each sequence.
    lengths: &'a [usize],
}

impl Scene<'_> {
    fn play<E: Engine>(&self, engine: &mut E) -> Result<(), EngineError> {
        engine.load_adapter(&vec![0.0; self.layout.len()])?;
        let (model, is_trained) = self.outline(engine)?;
        let batch = self.batch(model.adapter().num_virtual_tokens());
        if is_trained {
            differentiate(engine, &model, &batch)?;
            engine.optimizer_step(&self.optimizer)?;
            engine.end_step()
        } else {
            engine.begin(&batch, false)?;
            model.logits(engine).map(drop)
        }
    }

    /// The task's model in so many blocks without values, and whether anything of it is trained.
    fn outline<E: Engine>(&self, engine: &mut E) -> Result<(Model<E::Tensor>, bool), EngineError> {
        let mut shape = self.task.base.shape;
        shape.layers = self.blocks;
        let encoder = Encoder::build(shape, |tensor| {
            let [rows, columns] = tensor.shape(&shape);
            // Where a file may have any number of rows, there is one.
            engine.placeholder(tensor.precision(self.precision), [rows.max(1), columns])
        })?;
        let views = AdapterViews::new(self.layout, self.task);
        let is_trained = views.head.is_some() || views.prompt.is_some() || !views.lora.is_empty();
        let (dim, labels) = (shape.dim as usize, self.task.labels.len());
        let head = match views.head {
            Some(_) => None,
            None => Some(FrozenHead {
                weight: engine.placeholder(WeightPrecision::F32, [dim, labels])?,
                bias: engine.placeholder(WeightPrecision::F32, [1, labels])?,
                labels,
            }),
        };
        Ok((Model::new(encoder, views, head), is_trained))
    }

    fn batch(&self, num_virtual_tokens: u32) -> Batch {
        let mut batch = Batch {
            tokens: Vec::new(),
            token_starts: vec![0],
            labels: vec![0; self.lengths.len()],
            num_virtual_tokens,
            past: 0,
        };
        for length in self.lengths {
            batch.tokens.resize(batch.tokens.len() + length, 0);
            batch.token_starts.push(batch.tokens.len() as u32);
        }
        batch
    }
}

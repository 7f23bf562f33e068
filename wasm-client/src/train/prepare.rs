//! Getting an engine ready for a task before its model is there: a step is rehearsed on a model of
//! the same widths without values, so that the kernels are made while the weights arrive.

use choir_shared::task::{AdapterLayout, TaskConfig};

use super::step::differentiate;
use super::{TrainError, Trainer};
use crate::adapter::AdapterViews;
use crate::engine::quantised::WeightPrecision;
use crate::engine::{Batch, Engine, EngineError, Preparation};
use crate::model::{Encoder, FrozenHead, Model};

/// Two blocks have every kernel that more have; the lowest one alone lacks some gradients.
const BLOCKS: u32 = 2;

impl<E: Engine> Trainer<E> {
    /// Makes the task's kernels ready; call it before the weights come, and again once the precision
    /// has changed.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn prepare(&mut self) -> Result<Preparation, TrainError> {
        let optimizer = self.optimizer();
        let Self {
            engine,
            task,
            layout,
            precision,
            has_adapter,
            ..
        } = self;
        let rehearse = |engine: &mut E| {
            // This takes the adapter's place.
            *has_adapter = false;
            engine.load_adapter(&vec![0.0; layout.len()])?;
            let (model, is_trained) = outline(engine, task, layout, *precision)?;
            let batch = one_token(model.adapter().num_virtual_tokens());
            if is_trained {
                differentiate(engine, &model, &batch)?;
                engine.optimizer_step(&optimizer)
            } else {
                engine.begin(&batch, false)?;
                model.logits(engine).map(drop)
            }
        };
        Ok(Preparation::begin(engine, rehearse)?)
    }
}

/// The task's model in two blocks without values, and whether anything of it is trained.
fn outline<E: Engine>(
    engine: &mut E,
    task: &TaskConfig,
    layout: &AdapterLayout,
    precision: WeightPrecision,
) -> Result<(Model<E::Tensor>, bool), EngineError> {
    let mut shape = task.base.shape;
    shape.layers = shape.layers.min(BLOCKS);
    let encoder = Encoder::build(shape, |tensor| {
        let [rows, columns] = tensor.shape(&shape);
        // Where a file may have any number of rows, there is one.
        engine.placeholder(tensor.precision(precision), [rows.max(1), columns])
    })?;
    let views = AdapterViews::new(layout, task);
    let is_trained = views.head.is_some() || views.prompt.is_some() || !views.lora.is_empty();
    let (dim, labels) = (shape.dim as usize, task.labels.len());
    // Of no consequence where the adapter has a head.
    let head = FrozenHead {
        weight: engine.placeholder(WeightPrecision::F32, [dim, labels])?,
        bias: engine.placeholder(WeightPrecision::F32, [1, labels])?,
        labels,
    };
    Ok((Model::new(encoder, views, Some(head)), is_trained))
}

/// The kernels do not depend on how much there is.
fn one_token(num_virtual_tokens: u32) -> Batch {
    Batch {
        tokens: vec![0],
        token_starts: vec![0, 1],
        labels: vec![0],
        num_virtual_tokens,
        past: 0,
    }
}

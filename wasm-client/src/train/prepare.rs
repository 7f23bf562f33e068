//! Getting an engine ready for a task before its model is there: a step is rehearsed on a model of
//! the same widths without values, so that the kernels are made while the weights arrive.

use super::{TrainError, Trainer};
use crate::adapter::AdapterViews;
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
        if self.engine.begin_rehearsal() {
            let rehearsed = self.rehearse();
            self.engine.end_rehearsal();
            rehearsed?;
        }
        Ok(self.engine.prepare())
    }

    fn rehearse(&mut self) -> Result<(), EngineError> {
        let mut shape = self.task.base.shape;
        shape.layers = shape.layers.min(BLOCKS);
        let (engine, precision) = (&mut self.engine, self.precision);
        let encoder = Encoder::build(shape, |tensor| {
            let [rows, columns] = tensor.shape(&shape);
            // Where a file may have any number of rows, there is one.
            engine.placeholder(tensor.precision(precision), [rows.max(1), columns])
        })?;
        let views = AdapterViews::new(&self.layout, &self.task);
        let has_head = views.head.is_some();
        let is_trained = has_head || views.prompt.is_some() || !views.lora.is_empty();
        let (dim, labels) = (shape.dim as usize, self.task.labels.len());
        let head = if has_head {
            None
        } else {
            Some(FrozenHead {
                weight: engine.placeholder(super::WeightPrecision::F32, [dim, labels])?,
                bias: engine.placeholder(super::WeightPrecision::F32, [1, labels])?,
                labels,
            })
        };
        let model = Model::new(encoder, views, head);
        engine.load_adapter(&vec![0.0; self.layout.len()])?;
        self.has_adapter = false;
        let virtual_tokens = model.adapter().num_virtual_tokens();
        engine.begin(&one_token(virtual_tokens), is_trained)?;
        let logits = model.logits(engine)?;
        if !is_trained {
            return Ok(());
        }
        engine.cross_entropy(&logits)?;
        drop(logits);
        engine.backward()?;
        let optimizer = self.optimizer();
        self.engine.optimizer_step(&optimizer)
    }
}

/// The kernels do not depend on how much there is.
fn one_token(num_virtual_tokens: u32) -> Batch {
    Batch {
        tokens: vec![0],
        token_starts: vec![0, 1],
        labels: vec![0],
        num_virtual_tokens,
    }
}

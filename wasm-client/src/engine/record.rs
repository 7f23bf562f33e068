//! An engine out of a device's kernels: it records the forward operations of a step and replays
//! them backwards.
//!
//! An operation is recorded only if its output has a gradient, that is if something trained lies
//! at or below it: with nothing but the head trained the encoder leaves no record, and no gradient
//! goes below the lowest trained layer. What is not recorded is not kept: its buffers return to
//! the pool when the model lets go of them.

use core::cell::RefCell;
use std::rc::Rc;

use super::decoder::Rotary;
use super::kernels::decoder::DecoderKernels;
use super::kernels::{Kernels, NormCall};
use super::quantised::{QuantisedMatrix, WeightPrecision};
use super::{
    Activation, AdamW, AttentionMask, Batch, DeviceInfo, EmbeddingTables, Engine, EngineError,
    LinearLayer, MemoryPlan, NormLayer, OptimizerState, Parameter, Preparation, StepCounts,
};
use remake::Saved;
use tape::{Entry, Loss, Tape};
use value::Returned;
pub use value::Value;

mod adapter;
mod attention;
mod backward;
mod check;
mod decoder;
mod decoder_backward;
mod generation;
mod linear;
mod remake;
mod tape;
mod value;

/// An engine that records on the kernels `K`.
pub struct Recorded<K: Kernels> {
    kernels: K,
    returned: Returned<K::Buffer>,
    batch: Batch,
    training: bool,
    recomputes: bool,
    adapter_len: usize,
    tape: Tape<K::Buffer>,
    loss: Option<Loss<K::Buffer>>,
    /// Identity matrices by size, for the rare sum of two gradients that no kernel adds.
    identities: Vec<(usize, K::Buffer)>,
    /// Tables of angles, and how many positions each reaches.
    angles: Vec<(Rotary, usize, K::Buffer)>,
    /// What a rehearsal has in its own way meanwhile.
    aside: Option<Aside<K::Buffer>>,
}

/// What an engine has learnt of its model and keeps on the device from step to step.
struct Aside<B> {
    adapter_len: usize,
    identities: Vec<(usize, B)>,
    angles: Vec<(Rotary, usize, B)>,
}

type ValueOf<K> = Value<<K as Kernels>::Buffer>;

impl<K: Kernels> Recorded<K> {
    /// An engine on these kernels.
    pub fn new(kernels: K) -> Self {
        Self {
            kernels,
            returned: Rc::new(RefCell::new(Vec::new())),
            batch: Batch::default(),
            training: false,
            recomputes: false,
            adapter_len: 0,
            tape: Tape::new(),
            loss: None,
            identities: Vec::new(),
            angles: Vec::new(),
            aside: None,
        }
    }

    /// The kernels beneath.
    pub fn kernels(&self) -> &K {
        &self.kernels
    }

    /// The kernels beneath.
    pub fn kernels_mut(&mut self) -> &mut K {
        &mut self.kernels
    }

    fn scratch(&mut self, shape: [usize; 2]) -> Result<ValueOf<K>, EngineError> {
        self.output(shape, false)
    }

    /// A new tensor; if it is to have a gradient, the entry pushed next is the one that made it.
    fn output(
        &mut self,
        [rows, columns]: [usize; 2],
        gradient: bool,
    ) -> Result<ValueOf<K>, EngineError> {
        self.recycle();
        let buffer = self.kernels.allocate(rows, columns)?;
        let node = gradient.then_some(self.tape.len());
        Ok(Value::scratch(
            buffer,
            [rows, columns],
            node,
            &self.returned,
        ))
    }

    fn recycle(&mut self) {
        for buffer in self.returned.borrow_mut().drain(..) {
            self.kernels.release(buffer);
        }
    }
}

impl<K: DecoderKernels> Engine for Recorded<K> {
    type Tensor = ValueOf<K>;

    fn device(&self) -> DeviceInfo {
        self.kernels.device()
    }

    fn frozen(&mut self, values: &[f32], shape: [usize; 2]) -> Result<Self::Tensor, EngineError> {
        check::length("frozen tensor", shape[0] * shape[1], values.len())?;
        Ok(Value::frozen(self.kernels.upload(values, shape)?, shape))
    }

    fn frozen_quantised(&mut self, matrix: QuantisedMatrix) -> Result<Self::Tensor, EngineError> {
        let shape = matrix.shape();
        Ok(Value::frozen(self.kernels.upload_quantised(matrix)?, shape))
    }

    fn begin_rehearsal(&mut self) -> bool {
        self.tape.clear();
        self.loss = None;
        self.recycle();
        if !self.kernels.begin_rehearsal() {
            return false;
        }
        self.aside = Some(Aside {
            adapter_len: self.adapter_len,
            identities: core::mem::take(&mut self.identities),
            angles: core::mem::take(&mut self.angles),
        });
        true
    }

    fn end_rehearsal(&mut self) -> MemoryPlan {
        self.tape.clear();
        self.loss = None;
        self.recycle();
        if let Some(aside) = self.aside.take() {
            self.adapter_len = aside.adapter_len;
            self.identities = aside.identities;
            self.angles = aside.angles;
        }
        self.kernels.end_rehearsal()
    }

    fn placeholder(
        &mut self,
        precision: WeightPrecision,
        shape: [usize; 2],
    ) -> Result<Self::Tensor, EngineError> {
        let buffer = self.kernels.placeholder(precision, shape)?;
        Ok(Value::frozen(buffer, shape))
    }

    fn prepare(&mut self) -> Preparation {
        self.kernels.prepare()
    }

    fn set_recomputation(&mut self, on: bool) {
        self.recomputes = on;
    }

    fn load_adapter(&mut self, flat: &[f32]) -> Result<(), EngineError> {
        self.adapter_len = flat.len();
        self.kernels.load_adapter(flat)
    }

    fn begin(&mut self, batch: &Batch, training: bool) -> Result<(), EngineError> {
        check::batch(batch)?;
        self.tape.clear();
        self.loss = None;
        self.recycle();
        if self.training != training {
            self.kernels.forget_scratch();
        }
        self.training = training;
        self.batch.clone_from(batch);
        self.kernels.begin(batch)
    }

    fn embedding(
        &mut self,
        tables: &EmbeddingTables<Self::Tensor>,
        prompt: Option<&Parameter>,
        dim: usize,
    ) -> Result<Self::Tensor, EngineError> {
        check::embedding(&self.batch, tables, prompt, dim)?;
        if let Some(prompt) = prompt {
            check::parameter("soft prompt", prompt, prompt.shape, self.adapter_len)?;
        }
        let recorded = self.training && prompt.is_some();
        let out = self.output([self.batch.rows(), dim], recorded)?;
        let tables = EmbeddingTables {
            word: tables.word.buffer().clone(),
            position: tables.position.buffer().clone(),
            token_type: tables.token_type.as_ref().map(|t| t.buffer().clone()),
        };
        self.kernels.embed(&tables, prompt, out.buffer(), dim)?;
        if let (true, Some(prompt)) = (recorded, prompt) {
            self.tape.push(
                Entry::Embedding {
                    prompt: prompt.clone(),
                },
                &[],
            );
        }
        Ok(out)
    }

    fn linear(
        &mut self,
        x: &Self::Tensor,
        layer: &LinearLayer<Self::Tensor>,
    ) -> Result<Self::Tensor, EngineError> {
        let group = self.tape.len();
        let mut low_ranks = self.low_ranks(x, &[layer])?;
        self.record_linear(x, layer, low_ranks.pop().flatten(), group)
    }

    fn projections(
        &mut self,
        x: &Self::Tensor,
        layers: [&LinearLayer<Self::Tensor>; 3],
    ) -> Result<[Self::Tensor; 3], EngineError> {
        let group = self.tape.len();
        let mut low_ranks = self.low_ranks(x, &layers)?.into_iter();
        let mut record = |layer| self.record_linear(x, layer, low_ranks.next().flatten(), group);
        let [q, k, v] = layers;
        Ok([record(q)?, record(k)?, record(v)?])
    }

    fn norm(
        &mut self,
        x: &Self::Tensor,
        residual: Option<&Self::Tensor>,
        layer: &NormLayer<Self::Tensor>,
    ) -> Result<Self::Tensor, EngineError> {
        check::norm(x, residual, layer)?;
        let [rows, dim] = x.shape();
        let nodes = [x.node(), residual.and_then(Value::node)];
        let recorded = self.training && nodes.iter().any(Option::is_some);
        let normalized = self.scratch([rows, dim])?;
        let rstd = self.scratch([rows, 1])?;
        let y = self.output([rows, dim], recorded)?;
        self.kernels.norm(NormCall {
            x: x.buffer(),
            residual: residual.map(Value::buffer),
            gain: layer.gain.buffer(),
            bias: layer.bias.buffer(),
            eps: layer.eps,
            normalized: normalized.buffer(),
            rstd: rstd.buffer(),
            y: y.buffer(),
            rows,
            dim,
        })?;
        let y = y.with_origin(self.norm_origin(recorded, &normalized, layer));
        if recorded {
            let gain = layer.gain.clone();
            let [x, residual] = nodes;
            self.tape.push(
                Entry::Norm {
                    x,
                    residual,
                    gain,
                    normalized,
                    rstd,
                },
                &nodes,
            );
        }
        Ok(y)
    }

    fn attention(
        &mut self,
        q: &Self::Tensor,
        k: &Self::Tensor,
        v: &Self::Tensor,
        heads: usize,
        mask: AttentionMask,
    ) -> Result<Self::Tensor, EngineError> {
        self.record_attention([q, k, v], heads, mask)
    }

    fn activation(
        &mut self,
        x: &Self::Tensor,
        kind: Activation,
    ) -> Result<Self::Tensor, EngineError> {
        let recorded = self.training && x.node().is_some();
        let y = self.output(x.shape(), recorded)?;
        let len = x.shape()[0] * x.shape()[1];
        self.kernels.activation(kind, x.buffer(), y.buffer(), len)?;
        if recorded {
            self.tape.push(
                Entry::Activation {
                    input: x.node(),
                    x: Saved::new(x),
                    kind,
                },
                &[x.node()],
            );
        }
        Ok(y)
    }

    fn mean_pool(&mut self, x: &Self::Tensor) -> Result<Self::Tensor, EngineError> {
        let [rows, dim] = x.shape();
        check::length("rows to pool", self.batch.rows(), rows)?;
        let input = x.node().filter(|_| self.training);
        let out = self.output([self.batch.len(), dim], input.is_some())?;
        self.kernels.mean_pool(x.buffer(), out.buffer(), dim)?;
        if let Some(input) = input {
            self.tape.push(
                Entry::MeanPool {
                    input,
                    shape: [rows, dim],
                },
                &[Some(input)],
            );
        }
        Ok(out)
    }

    fn cross_entropy(&mut self, logits: &Self::Tensor) -> Result<(), EngineError> {
        check::logits(&self.batch, logits.shape())?;
        let d_logits = self.scratch(logits.shape())?;
        self.kernels
            .cross_entropy(logits.buffer(), d_logits.buffer(), logits.shape()[1])?;
        self.loss = Some(Loss {
            node: logits.node(),
            gradient: Some(d_logits),
        });
        Ok(())
    }

    fn backward(&mut self) -> Result<(), EngineError> {
        self.replay()
    }

    fn optimizer_step(&mut self, optimizer: &AdamW) -> Result<(), EngineError> {
        self.kernels.optimizer_step(optimizer)
    }

    fn end_step(&mut self) -> Result<(), EngineError> {
        self.kernels.end_step()
    }

    async fn read_losses(&mut self) -> Result<Vec<f32>, EngineError> {
        self.kernels.read_losses().await
    }

    async fn read(&mut self, tensor: &Self::Tensor) -> Result<Vec<f32>, EngineError> {
        let [rows, columns] = tensor.shape();
        self.kernels.read(tensor.buffer(), rows * columns).await
    }

    async fn read_adapter(&mut self) -> Result<Vec<f32>, EngineError> {
        self.kernels.read_adapter().await
    }

    async fn read_gradient(&mut self) -> Result<Vec<f32>, EngineError> {
        self.kernels.read_gradient().await
    }

    async fn read_optimizer(&mut self) -> Result<OptimizerState, EngineError> {
        self.kernels.read_optimizer().await
    }

    fn load_optimizer(&mut self, state: &OptimizerState) -> Result<(), EngineError> {
        check::length("first moments", self.adapter_len, state.first.len())?;
        check::length("second moments", self.adapter_len, state.second.len())?;
        self.kernels.load_optimizer(state)
    }

    fn counts(&self) -> StepCounts {
        self.kernels.counts()
    }
}

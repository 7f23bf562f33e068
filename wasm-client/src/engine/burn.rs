//! Engine *burn*: the operations on burn tensors, their gradients by burn's autodiff.
//!
//! It is the reference that the recorded engines are tested against, and it runs wherever burn
//! does: on the CPU ([`BurnEngine::flex`]) and, with the feature `burn-wgpu`, on a GPU
//! ([`BurnEngine::webgpu`]).
//!
//! Frozen tensors and the flat adapter are plain tensors. Only the adapter's parameters, cut out of
//! the flat vector where a step first uses them, require gradients: burn then computes no gradient
//! of a frozen weight and keeps no activation for one, and an evaluation tracks nothing at all.

use std::collections::BTreeMap;

use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::{
    Activation, AdamW, AttentionMask, Batch, DeviceInfo, EmbeddingTables, Engine, EngineError,
    LinearLayer, NormLayer, OptimizerState, Parameter, StepCounts,
};

mod adapter;
mod decoder;
mod modes;
mod padding;
mod pointwise;
#[cfg(feature = "pretrain")]
mod trained;
#[cfg(feature = "burn-wgpu")]
mod webgpu;

use adapter::Adapter;
use padding::Padding;

/// The engine on burn; see the module's head.
pub struct BurnEngine {
    device: Device,
    info: DeviceInfo,
    adapter: Adapter,
    step: Option<Step>,
    /// Losses of steps that ended.
    unread: Vec<Tensor<1>>,
}

/// What lives from one `begin` to the next.
struct Step {
    batch: Batch,
    padding: Padding,
    training: bool,
    /// The parameters in use, by their start in the flat vector.
    leaves: BTreeMap<usize, Tensor<2>>,
    loss: Option<Tensor<1>>,
    gradient: Option<Tensor<1>>,
}

impl BurnEngine {
    /// On burn's own CPU backend.
    pub fn flex() -> Self {
        let info = DeviceInfo {
            kind: "cpu".into(),
            adapter: "burn-flex".into(),
        };
        Self::on(Device::flex(), info)
    }

    fn on(device: Device, info: DeviceInfo) -> Self {
        let adapter = Adapter::new(&[], &device);
        Self {
            device,
            info,
            adapter,
            step: None,
            unread: Vec::new(),
        }
    }

    fn step(&self) -> Result<&Step, EngineError> {
        self.step.as_ref().ok_or_else(|| missing("batch"))
    }

    fn step_mut(&mut self) -> Result<&mut Step, EngineError> {
        self.step.as_mut().ok_or_else(|| missing("batch"))
    }

    /// The parameter as a matrix: a leaf of the graph in a training step, a constant otherwise.
    fn parameter(&mut self, parameter: &Parameter) -> Result<Tensor<2>, EngineError> {
        let Parameter { range, shape } = parameter;
        expect("parameter", shape[0] * shape[1], range.len())?;
        if range.end > self.adapter.len() {
            return Err(shape_error("adapter", range.end, self.adapter.len()));
        }
        let step = self.step.as_mut().ok_or_else(|| missing("batch"))?;
        if let Some(leaf) = step.leaves.get(&range.start) {
            return Ok(leaf.clone().reshape(*shape));
        }
        let values = self
            .adapter
            .flat
            .clone()
            .slice([range.clone()])
            .reshape(*shape);
        if !step.training {
            return Ok(values);
        }
        let leaf = values.autodiff().require_grad();
        step.leaves.insert(range.start, leaf.clone());
        Ok(leaf)
    }
}

impl Engine for BurnEngine {
    type Tensor = Tensor<2>;

    fn device(&self) -> DeviceInfo {
        self.info.clone()
    }

    fn frozen(&mut self, values: &[f32], shape: [usize; 2]) -> Result<Tensor<2>, EngineError> {
        expect("frozen tensor", shape[0] * shape[1], values.len())?;
        Ok(Tensor::from_data(
            TensorData::new(values.to_vec(), shape),
            &self.device,
        ))
    }

    fn load_adapter(&mut self, flat: &[f32]) -> Result<(), EngineError> {
        self.adapter = Adapter::new(flat, &self.device);
        Ok(())
    }

    fn begin(&mut self, batch: &Batch, training: bool) -> Result<(), EngineError> {
        self.step = Some(Step {
            padding: Padding::new(batch, &self.device)?,
            batch: batch.clone(),
            training,
            leaves: BTreeMap::new(),
            loss: None,
            gradient: None,
        });
        Ok(())
    }

    fn embedding(
        &mut self,
        tables: &EmbeddingTables<Tensor<2>>,
        prompt: Option<&Parameter>,
        dim: usize,
    ) -> Result<Tensor<2>, EngineError> {
        expect("embedding", dim, tables.word.dims()[1])?;
        let batch = &self.step()?.batch;
        let positions = padding::positions(batch);
        within("token", &batch.tokens, tables.word.dims()[0])?;
        within("position", &positions, tables.position.dims()[0])?;
        let tokens = indices(&batch.tokens, &self.device);
        let rows = tables.word.clone().select(0, tokens);
        let rows = self.with_prompt(rows, prompt)?;
        let positions = tables
            .position
            .clone()
            .select(0, indices(&positions, &self.device));
        let rows = rows + positions;
        Ok(match &tables.token_type {
            Some(types) => rows + types.clone().narrow(0, 0, 1),
            None => rows,
        })
    }

    fn linear(
        &mut self,
        x: &Tensor<2>,
        layer: &LinearLayer<Tensor<2>>,
    ) -> Result<Tensor<2>, EngineError> {
        expect("linear", layer.shape[0], x.dims()[1])?;
        let mut y = x.clone().matmul(self.weight(&layer.weight)?);
        if let Some(bias) = &layer.bias {
            y = y + self.weight(bias)?;
        }
        if let Some(bias) = &layer.trained_bias {
            y = y + self.parameter(bias)?;
        }
        if let Some(lora) = &layer.lora {
            let (a, b) = (self.parameter(&lora.a)?, self.parameter(&lora.b)?);
            y = y + x.clone().matmul(a).matmul(b).mul_scalar(lora.scale);
        }
        Ok(y)
    }

    fn norm(
        &mut self,
        x: &Tensor<2>,
        residual: Option<&Tensor<2>>,
        layer: &NormLayer<Tensor<2>>,
    ) -> Result<Tensor<2>, EngineError> {
        expect("norm", layer.gain.dims()[1], x.dims()[1])?;
        let x = match residual {
            Some(residual) => x.clone() + residual.clone(),
            None => x.clone(),
        };
        let centred = x.clone() - x.mean_dim(1);
        let variance = (centred.clone() * centred.clone()).mean_dim(1);
        let normalized = centred / variance.add_scalar(layer.eps).sqrt();
        Ok(normalized * layer.gain.clone() + layer.bias.clone())
    }

    fn attention(
        &mut self,
        q: &Tensor<2>,
        k: &Tensor<2>,
        v: &Tensor<2>,
        heads: usize,
        mask: AttentionMask,
    ) -> Result<Tensor<2>, EngineError> {
        let padding = &self.step()?.padding;
        let dim = q.dims()[1];
        expect("attention heads", dim / heads * heads, dim)?;
        let head_dim = dim / heads;
        let split = |x: &Tensor<2>| padding.heads(x, heads, head_dim);
        let scale = 1.0 / (head_dim as f32).sqrt();
        let scores = split(q)?
            .matmul(split(k)?.swap_dims(2, 3))
            .mul_scalar(scale);
        let weights = softmax(scores + padding.scores_mask(mask), 3);
        let out = weights.matmul(split(v)?).swap_dims(1, 2);
        let [batch, length, heads, head_dim] = out.dims();
        Ok(padding.pack(out.reshape([batch * length, heads * head_dim])))
    }

    fn activation(&mut self, x: &Tensor<2>, kind: Activation) -> Result<Tensor<2>, EngineError> {
        Ok(pointwise::activation(x, kind))
    }

    fn mean_pool(&mut self, x: &Tensor<2>) -> Result<Tensor<2>, EngineError> {
        let padding = &self.step()?.padding;
        let summed = (padding.pad(x)? * padding.pool_weights()).sum_dim(1);
        let [batch, _, dim] = summed.dims();
        Ok(summed.reshape([batch, dim]))
    }

    fn cross_entropy(&mut self, logits: &Tensor<2>) -> Result<(), EngineError> {
        let [rows, classes] = logits.dims();
        let labels = &self.step()?.batch.labels;
        expect("labels", rows, labels.len())?;
        within("label", labels, classes)?;
        let labels = indices(labels, &self.device).reshape([rows, 1]);
        let loss = log_softmax(logits.clone(), 1)
            .gather(1, labels)
            .mean()
            .neg();
        self.step_mut()?.loss = Some(loss);
        Ok(())
    }

    fn backward(&mut self) -> Result<(), EngineError> {
        let length = self.adapter.len();
        let zeros = |n: usize| Tensor::<1>::zeros([n], &self.device);
        let step = self.step.as_mut().ok_or_else(|| missing("batch"))?;
        let loss = step.loss.take().ok_or_else(|| missing("loss"))?;
        let mut gradients = loss.is_tracked().then(|| loss.backward());
        step.loss = Some(loss.without_autodiff());

        let (mut parts, mut end) = (Vec::new(), 0);
        for (&start, leaf) in &step.leaves {
            if start < end {
                return Err(shape_error("parameters without overlap", end, start));
            }
            let values = leaf.shape().num_elements();
            let gradient = gradients.as_mut().and_then(|g| leaf.grad_remove(g));
            parts.push(zeros(start - end));
            parts.push(gradient.map_or_else(|| zeros(values), |g| g.reshape([values])));
            end = start + values;
        }
        parts.push(zeros(length - end));
        parts.retain(|part| part.dims()[0] > 0);
        step.gradient = Some(if parts.is_empty() {
            zeros(0)
        } else {
            Tensor::cat(parts, 0)
        });
        Ok(())
    }

    fn optimizer_step(&mut self, optimizer: &AdamW) -> Result<(), EngineError> {
        let gradient = self
            .step()?
            .gradient
            .clone()
            .ok_or_else(|| missing("gradient"))?;
        self.adapter.update(gradient, optimizer);
        Ok(())
    }

    fn end_step(&mut self) -> Result<(), EngineError> {
        let loss = self.step()?.loss.clone().ok_or_else(|| missing("loss"))?;
        self.unread.push(loss.without_autodiff());
        Ok(())
    }

    async fn read_losses(&mut self) -> Result<Vec<f32>, EngineError> {
        match self.unread.split_off(0) {
            none if none.is_empty() => Ok(Vec::new()),
            losses => values(Tensor::cat(losses, 0)).await,
        }
    }

    async fn read(&mut self, tensor: &Tensor<2>) -> Result<Vec<f32>, EngineError> {
        values(tensor.clone()).await
    }

    async fn read_adapter(&mut self) -> Result<Vec<f32>, EngineError> {
        values(self.adapter.flat.clone()).await
    }

    async fn read_gradient(&mut self) -> Result<Vec<f32>, EngineError> {
        values(
            self.step()?
                .gradient
                .clone()
                .ok_or_else(|| missing("gradient"))?,
        )
        .await
    }

    async fn read_optimizer(&mut self) -> Result<OptimizerState, EngineError> {
        self.adapter.optimizer_state().await
    }

    fn load_optimizer(&mut self, state: &OptimizerState) -> Result<(), EngineError> {
        self.adapter.restore(state, &self.device)
    }

    /// burn does not count: all 0 but `peak_bytes`, what the device has reserved where it says.
    fn counts(&self) -> StepCounts {
        let reserved = self
            .device
            .memory_pool_usage()
            .map_or(0, |usage| usage.bytes_reserved);
        StepCounts {
            peak_bytes: reserved,
            ..StepCounts::default()
        }
    }
}

async fn values<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, EngineError> {
    let lost = |error: &dyn core::fmt::Debug| EngineError::DeviceLost(format!("{error:?}"));
    let data = tensor
        .without_autodiff()
        .into_data_async()
        .await
        .map_err(|e| lost(&e))?;
    data.try_to_vec().map_err(|e| lost(&e))
}

fn indices(values: &[u32], device: &Device) -> Tensor<1, Int> {
    let values: Vec<i32> = values.iter().map(|&v| v as i32).collect();
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), device)
}

fn within(what: &'static str, values: &[u32], limit: usize) -> Result<(), EngineError> {
    match values.iter().map(|&v| v as usize).find(|&v| v >= limit) {
        Some(value) => Err(EngineError::OutOfRange { what, value, limit }),
        None => Ok(()),
    }
}

fn expect(what: &str, expected: usize, found: usize) -> Result<(), EngineError> {
    if expected == found {
        Ok(())
    } else {
        Err(shape_error(what, expected, found))
    }
}

fn shape_error(what: &str, expected: usize, found: usize) -> EngineError {
    EngineError::Shape {
        what: what.into(),
        expected,
        found,
    }
}

/// What an operation needs and no earlier call has made.
fn missing(what: &str) -> EngineError {
    shape_error(what, 1, 0)
}

#[cfg(test)]
mod tests;

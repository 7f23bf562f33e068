//! Engine *cpu*'s kernels: matrix products by `gemm`, everything around them in plain loops
//! that compile to SIMD code. One thread in a tab, all cores natively.

use core::ops::Range;

use super::kernels::{
    AttentionCall, AttentionGradient, Kernels, LinearCall, LinearInputGradient, LoraGradient,
    LowRankCall, LowRankWay, NormCall, NormGradient, WeightGradient,
};
use super::quantised::QuantisedMatrix;
use super::{
    Activation, AdamW, Batch, DeviceInfo, EmbeddingTables, EngineError, OptimizerState, Parameter,
    StepCounts, checks,
};
pub use buffer::CpuBuffer;
use buffer::{Meter, Pool};
use panel::Panel;
use rows::Sequences;
pub use rows::adamw;

mod adapter;
mod attention;
mod buffer;
mod decoder;
mod embedding;
mod generation;
mod linear;
mod norm;
mod panel;
mod parallel;
mod pointwise;
mod product;
mod rows;
mod stream_norm;

/// The kernels of this machine's processor.
pub struct CpuKernels {
    pool: Pool,
    meter: Meter,
    panel: Panel,
    adapter: Vec<f32>,
    gradient: Vec<f32>,
    optimizer: OptimizerState,
    batch: Batch,
    row_starts: Vec<u32>,
    loss: f32,
    /// Of steps that ended.
    unread: Vec<f32>,
    calls: u32,
}

impl Default for CpuKernels {
    fn default() -> Self {
        Self::new()
    }
}

impl CpuKernels {
    /// Kernels for this processor's instructions. Frozen tensors of one serve any other.
    pub fn new() -> Self {
        Self {
            pool: Pool::default(),
            meter: Meter::default(),
            panel: Panel::default(),
            adapter: Vec::new(),
            gradient: Vec::new(),
            optimizer: OptimizerState::default(),
            batch: Batch {
                tokens: Vec::new(),
                token_starts: vec![0],
                labels: Vec::new(),
                num_virtual_tokens: 0,
                past: 0,
            },
            row_starts: vec![0],
            loss: 0.0,
            unread: Vec::new(),
            calls: 0,
        }
    }

    fn sequences(&self) -> Sequences<'_> {
        Sequences {
            row_starts: &self.row_starts,
            virtual_tokens: self.batch.num_virtual_tokens as usize,
        }
    }

    /// Puts this in the place of the last gradient.
    pub(in crate::engine) fn load_gradient(&mut self, flat: &[f32]) -> Result<(), EngineError> {
        checks::length("gradient", self.gradient.len(), flat.len())?;
        self.gradient.copy_from_slice(flat);
        Ok(())
    }

    fn trained(&self, range: &Range<usize>) -> &[f32] {
        &self.adapter[range.clone()]
    }
}

impl Kernels for CpuKernels {
    type Buffer = CpuBuffer;

    fn device(&self) -> DeviceInfo {
        DeviceInfo {
            kind: "cpu".to_owned(),
            adapter: ADAPTER.to_owned(),
        }
    }

    fn upload(&mut self, values: &[f32], _: [usize; 2]) -> Result<CpuBuffer, EngineError> {
        Ok(CpuBuffer::new(values.to_vec(), &self.meter))
    }

    fn upload_quantised(&mut self, matrix: QuantisedMatrix) -> Result<CpuBuffer, EngineError> {
        Ok(CpuBuffer::quantised(matrix, &self.meter))
    }

    fn allocate(&mut self, rows: usize, columns: usize) -> Result<CpuBuffer, EngineError> {
        Ok(self.pool.take(rows * columns, &self.meter))
    }

    fn release(&mut self, buffer: CpuBuffer) {
        self.pool.give_back(buffer);
    }

    fn load_adapter(&mut self, flat: &[f32]) -> Result<(), EngineError> {
        self.adapter = flat.to_vec();
        self.gradient = vec![0.0; flat.len()];
        self.optimizer = OptimizerState::new(flat.len());
        Ok(())
    }

    fn begin(&mut self, batch: &Batch) -> Result<(), EngineError> {
        self.batch.clone_from(batch);
        self.row_starts = batch.row_starts();
        self.calls = 0;
        Ok(())
    }

    fn embed(
        &mut self,
        tables: &EmbeddingTables<CpuBuffer>,
        prompt: Option<&Parameter>,
        out: &CpuBuffer,
        dim: usize,
    ) -> Result<(), EngineError> {
        self.calls += 1;
        self.embed_rows(tables, prompt, out, dim)
    }

    fn prompt_gradient(&mut self, d_x: &CpuBuffer, prompt: &Parameter) -> Result<(), EngineError> {
        self.calls += 1;
        self.sum_prompt_rows(d_x, prompt)
    }

    fn linear(&mut self, call: LinearCall<'_, CpuBuffer>) -> Result<(), EngineError> {
        self.calls += 1;
        self.multiply_linear(call)
    }

    fn linear_input_gradient(
        &mut self,
        call: LinearInputGradient<'_, CpuBuffer>,
    ) -> Result<(), EngineError> {
        self.calls += 1;
        self.multiply_input_gradient(call)
    }

    fn low_rank(
        &mut self,
        way: LowRankWay,
        calls: &[LowRankCall<'_, CpuBuffer>],
        rows: usize,
    ) -> Result<(), EngineError> {
        self.calls += calls.len() as u32;
        calls
            .iter()
            .try_for_each(|call| self.multiply_low_rank(way, call, rows))
    }

    fn lora_gradient(&mut self, call: LoraGradient<'_, CpuBuffer>) -> Result<(), EngineError> {
        self.calls += 1;
        self.multiply_lora_gradient(call)
    }

    fn weight_gradient(&mut self, call: WeightGradient<'_, CpuBuffer>) -> Result<(), EngineError> {
        self.calls += 1;
        self.multiply_weight_gradient(call)
    }

    fn norm(&mut self, call: NormCall<'_, CpuBuffer>) -> Result<(), EngineError> {
        self.calls += 1;
        norm::forward(call)
    }

    fn norm_output(
        &mut self,
        inputs: [&CpuBuffer; 3],
        y: &CpuBuffer,
        shape: [usize; 2],
    ) -> Result<(), EngineError> {
        self.calls += 1;
        norm::output(inputs, y, shape)
    }

    fn norm_gradient(&mut self, call: NormGradient<'_, CpuBuffer>) -> Result<(), EngineError> {
        self.calls += 1;
        norm::backward(call)
    }

    fn attention(&mut self, call: AttentionCall<'_, CpuBuffer>) -> Result<(), EngineError> {
        self.calls += 1;
        call.check(self.batch.rows())?;
        attention::forward(
            heads(&call, &self.row_starts),
            [&call.q.values(), &call.k.values(), &call.v.values()],
            &mut call.out.values_mut(),
            &mut call.statistics.values_mut(),
        )
    }

    fn attention_gradient(
        &mut self,
        call: AttentionGradient<'_, CpuBuffer>,
    ) -> Result<(), EngineError> {
        self.calls += 1;
        call.check(self.batch.rows())?;
        let forward = &call.forward;
        let saved = attention::Saved {
            q: &forward.q.values(),
            k: &forward.k.values(),
            v: &forward.v.values(),
            out: &forward.out.values(),
            d_out: &call.d_out.values(),
        };
        attention::backward(
            heads(forward, &self.row_starts),
            saved,
            &mut forward.statistics.values_mut(),
            [
                &mut call.d_q.values_mut(),
                &mut call.d_k.values_mut(),
                &mut call.d_v.values_mut(),
            ],
        )
    }

    fn activation(
        &mut self,
        kind: Activation,
        x: &CpuBuffer,
        y: &CpuBuffer,
        len: usize,
    ) -> Result<(), EngineError> {
        self.calls += 1;
        checks::activation(&[x, y], len)?;
        let (x, mut y) = (x.values(), y.values_mut());
        match kind {
            Activation::Gelu => pointwise::map(&x[..len], &mut y[..len], pointwise::gelu),
            Activation::GeluTanh => pointwise::map(&x[..len], &mut y[..len], pointwise::gelu_tanh),
            Activation::Silu => pointwise::map(&x[..len], &mut y[..len], pointwise::silu),
        }
        Ok(())
    }

    fn activation_gradient(
        &mut self,
        kind: Activation,
        x: &CpuBuffer,
        d_y: &CpuBuffer,
        d_x: &CpuBuffer,
        len: usize,
    ) -> Result<(), EngineError> {
        self.calls += 1;
        checks::activation(&[x, d_y, d_x], len)?;
        let (x, mut d_x_values) = (x.values(), d_x.values_mut());
        let d_x_values = &mut d_x_values[..len];
        if !d_x.is_same(d_y) {
            d_x_values.copy_from_slice(&d_y.values()[..len]);
        }
        match kind {
            Activation::Gelu => pointwise::scale_by(&x[..len], d_x_values, pointwise::gelu_slope),
            Activation::GeluTanh => {
                pointwise::scale_by(&x[..len], d_x_values, pointwise::gelu_tanh_slope);
            }
            Activation::Silu => pointwise::scale_by(&x[..len], d_x_values, pointwise::silu_slope),
        }
        Ok(())
    }

    fn mean_pool(&mut self, x: &CpuBuffer, out: &CpuBuffer, dim: usize) -> Result<(), EngineError> {
        self.calls += 1;
        rows::mean_pool(&x.values(), self.sequences(), &mut out.values_mut(), dim);
        Ok(())
    }

    fn mean_pool_gradient(
        &mut self,
        d_out: &CpuBuffer,
        d_x: &CpuBuffer,
        dim: usize,
    ) -> Result<(), EngineError> {
        self.calls += 1;
        rows::mean_pool_gradient(
            &d_out.values(),
            self.sequences(),
            &mut d_x.values_mut(),
            dim,
        );
        Ok(())
    }

    fn cross_entropy(
        &mut self,
        logits: &CpuBuffer,
        d_logits: &CpuBuffer,
        classes: usize,
    ) -> Result<(), EngineError> {
        self.calls += 1;
        let (labels, mut d_logits) = (&self.batch.labels, d_logits.values_mut());
        self.loss = rows::cross_entropy(&logits.values(), labels, &mut d_logits, classes);
        Ok(())
    }

    fn optimizer_step(&mut self, optimizer: &AdamW) -> Result<(), EngineError> {
        self.calls += 1;
        adamw(
            optimizer,
            &mut self.adapter,
            &self.gradient,
            &mut self.optimizer,
        );
        Ok(())
    }

    fn end_step(&mut self) -> Result<(), EngineError> {
        self.unread.push(self.loss);
        Ok(())
    }

    async fn read_losses(&mut self) -> Result<Vec<f32>, EngineError> {
        Ok(core::mem::take(&mut self.unread))
    }

    async fn read(&mut self, buffer: &CpuBuffer, len: usize) -> Result<Vec<f32>, EngineError> {
        let dequantised = buffer.matrix().map(QuantisedMatrix::dequantised);
        let held = buffer.values();
        let values = dequantised.as_ref().unwrap_or(&held);
        values
            .get(..len)
            .map(<[f32]>::to_vec)
            .ok_or_else(|| EngineError::Shape {
                what: "tensor to read".to_owned(),
                expected: len,
                found: values.len(),
            })
    }

    async fn read_adapter(&mut self) -> Result<Vec<f32>, EngineError> {
        Ok(self.adapter.clone())
    }

    async fn read_gradient(&mut self) -> Result<Vec<f32>, EngineError> {
        Ok(self.gradient.clone())
    }

    async fn read_optimizer(&mut self) -> Result<OptimizerState, EngineError> {
        Ok(self.optimizer.clone())
    }

    fn load_optimizer(&mut self, state: &OptimizerState) -> Result<(), EngineError> {
        self.optimizer = state.clone();
        Ok(())
    }

    fn counts(&self) -> StepCounts {
        StepCounts {
            dispatches: self.calls,
            readbacks: 0,
            submits: 0,
            peak_bytes: self.meter.bytes() + 16 * self.adapter.len() as u64,
        }
    }
}

fn heads<'a>(call: &AttentionCall<'_, CpuBuffer>, row_starts: &'a [u32]) -> attention::Heads<'a> {
    attention::Heads {
        heads: call.heads,
        kv_heads: call.kv_heads,
        head_dim: call.head_dim,
        mask: call.mask,
        row_starts,
    }
}

#[cfg(target_arch = "wasm32")]
const ADAPTER: &str = "one thread, 128-bit SIMD";
#[cfg(not(target_arch = "wasm32"))]
const ADAPTER: &str = "all cores";

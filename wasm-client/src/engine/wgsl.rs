//! Engine *wgsl*: the kernels as WGSL compute shaders, through `wgpu`.
//!
//! In a browser they run on WebGPU, natively on Vulkan. A step's calls are queued and sent off in
//! one submit when it ends, and the losses of several steps are read together. Buffers, bind groups
//! and uniforms are used again by the next step. There is no shader feature, no subgroup and no 16-bit float that a device may lack.

use super::kernels::{
    AttentionCall, AttentionGradient, Kernels, LinearCall, LinearInputGradient, LoraGradient,
    LowRankCall, LowRankWay, NormCall, NormGradient, WeightGradient,
};
use super::quantised::{QuantisedMatrix, WeightPrecision};
use super::{
    Activation, AdamW, Batch, DeviceInfo, EmbeddingTables, EngineError, MemoryPlan, OptimizerState,
    Parameter, Preparation, StepCounts, checks,
};
use attention::Pass;
use batch::BatchTables;
use commands::{Commands, Dispatch};
use device::Device;
use losses::Losses;
pub use memory::GpuBuffer;
use memory::Memory;
use preparation::Held;
use shader::{Shader, linear_groups};
use trained::Adapter;
pub use tuning::Tuning;

mod adapter_calls;
mod attention;
mod attention_calls;
mod batch;
mod commands;
mod decoder_calls;
mod decoder_shader;
mod device;
mod generation;
mod linear;
mod losses;
mod low_rank;
mod memory;
mod model_calls;
mod preparation;
mod product;
mod quantised;
mod readback;
mod reduce;
mod row_calls;
mod shader;
mod small;
mod split;
#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;
mod trained;
mod tuning;

/// Kernels on a GPU.
pub struct WgslKernels {
    device: Device,
    memory: Memory,
    commands: Commands,
    tuning: Tuning,
    adapter: Adapter,
    batch: BatchTables,
    losses: Losses,
    /// What is really on the device, while a rehearsal has its own.
    aside: Option<Held>,
}

impl WgslKernels {
    /// Opens the best adapter there is.
    ///
    /// # Errors
    /// `NoDevice` with the reason.
    pub async fn open() -> Result<Self, EngineError> {
        let device = Device::open().await?;
        let tuning = if device.software {
            Tuning::SOFTWARE
        } else {
            Tuning::HARDWARE
        };
        Self::with_tuning(device, tuning)
    }

    /// As [`Self::open`], with tile sizes of the caller's choice.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_tuned(tuning: Tuning) -> Result<Self, EngineError> {
        Self::with_tuning(Device::open().await?, tuning)
    }

    fn with_tuning(device: Device, tuning: Tuning) -> Result<Self, EngineError> {
        let mut memory = Memory::default();
        let commands = Commands::new(&device, &mut memory)?;
        let Held {
            memory,
            adapter,
            batch,
            losses,
        } = Held::new(&device, memory)?;
        Ok(Self {
            device,
            memory,
            commands,
            tuning,
            adapter,
            batch,
            losses,
            aside: None,
        })
    }

    /// As on a device that grants no larger buffer than this, for what is uploaded or taken from here
    /// on.
    pub fn limit_buffers(&mut self, bytes: u64) {
        let device = &mut self.device;
        device.largest_buffer = device.largest_buffer.min(bytes);
        device.largest_matrix = device.largest_matrix.min(bytes);
    }

    /// How many kernels were made by now.
    pub fn kernels_made(&self) -> usize {
        self.commands.made()
    }

    /// Rows as the register-blocked products write them.
    fn padded(&self, rows: usize) -> usize {
        rows.next_multiple_of(self.tuning.rows as usize)
    }

    /// `dim / 4`, or an error where `dim` is no multiple of four.
    fn vectors(what: &'static str, dim: usize) -> Result<u32, EngineError> {
        if dim > 0 && dim.is_multiple_of(4) {
            return Ok((dim / 4) as u32);
        }
        let expected = dim.next_multiple_of(4).max(4);
        Err(EngineError::Shape {
            what: what.to_owned(),
            expected,
            found: dim,
        })
    }
}

impl Kernels for WgslKernels {
    type Buffer = GpuBuffer;

    fn device(&self) -> DeviceInfo {
        self.device.info.clone()
    }

    fn upload(&mut self, values: &[f32], shape: [usize; 2]) -> Result<GpuBuffer, EngineError> {
        checks::length("values to be uploaded", shape[0] * shape[1], values.len())?;
        self.upload_values(values, shape)
    }

    fn upload_quantised(&mut self, matrix: QuantisedMatrix) -> Result<GpuBuffer, EngineError> {
        self.upload_matrix(&matrix)
    }

    fn begin_rehearsal(&mut self) -> bool {
        self.put_aside().is_ok()
    }

    fn end_rehearsal(&mut self) -> MemoryPlan {
        self.put_back()
    }

    fn placeholder(
        &mut self,
        precision: WeightPrecision,
        shape: [usize; 2],
    ) -> Result<GpuBuffer, EngineError> {
        self.create_matrix(precision.integers(), shape)
    }

    fn prepare(&mut self) -> Preparation {
        self.commands.prepare(&self.device)
    }

    fn allocate(&mut self, rows: usize, columns: usize) -> Result<GpuBuffer, EngineError> {
        self.device.check()?;
        self.memory.take(&self.device, self.padded(rows) * columns)
    }

    fn release(&mut self, buffer: GpuBuffer) {
        self.give_back(buffer);
    }

    fn forget_scratch(&mut self) {
        self.commands.submit(&self.device, None);
        self.memory.begin_anew();
        self.commands.forget_bind_groups();
    }

    fn load_adapter(&mut self, flat: &[f32]) -> Result<(), EngineError> {
        self.replace_adapter(flat)
    }

    fn begin(&mut self, batch: &Batch) -> Result<(), EngineError> {
        self.begin_batch(batch)
    }

    fn embed(
        &mut self,
        tables: &EmbeddingTables<GpuBuffer>,
        prompt: Option<&Parameter>,
        out: &GpuBuffer,
        dim: usize,
    ) -> Result<(), EngineError> {
        self.queue_embed(tables, prompt, out, dim)
    }

    fn prompt_gradient(&mut self, d_x: &GpuBuffer, prompt: &Parameter) -> Result<(), EngineError> {
        self.queue_prompt_gradient(d_x, prompt)
    }

    fn linear(&mut self, call: LinearCall<'_, GpuBuffer>) -> Result<(), EngineError> {
        self.linear_forward(&call)
    }

    fn linear_input_gradient(
        &mut self,
        call: LinearInputGradient<'_, GpuBuffer>,
    ) -> Result<(), EngineError> {
        self.linear_backward(&call)
    }

    fn low_rank(
        &mut self,
        way: LowRankWay,
        calls: &[LowRankCall<'_, GpuBuffer>],
        rows: usize,
    ) -> Result<(), EngineError> {
        self.low_rank_products(way, calls, rows)
    }

    fn lora_gradient(&mut self, call: LoraGradient<'_, GpuBuffer>) -> Result<(), EngineError> {
        self.low_rank_gradient(&call)
    }

    fn weight_gradient(&mut self, call: WeightGradient<'_, GpuBuffer>) -> Result<(), EngineError> {
        self.trained_gradient(&call)
    }

    fn norm(&mut self, call: NormCall<'_, GpuBuffer>) -> Result<(), EngineError> {
        self.queue_norm(call)
    }

    fn norm_output(
        &mut self,
        inputs: [&GpuBuffer; 3],
        y: &GpuBuffer,
        shape: [usize; 2],
    ) -> Result<(), EngineError> {
        self.queue_norm_output(inputs, y, shape)
    }

    fn norm_gradient(&mut self, call: NormGradient<'_, GpuBuffer>) -> Result<(), EngineError> {
        self.queue_norm_gradient(call)
    }

    fn attention(&mut self, call: AttentionCall<'_, GpuBuffer>) -> Result<(), EngineError> {
        let buffers = [call.q, call.k, call.v, call.out, call.statistics];
        self.attention_pass(&call, Pass::Forward, &buffers)
    }

    fn attention_gradient(
        &mut self,
        call: AttentionGradient<'_, GpuBuffer>,
    ) -> Result<(), EngineError> {
        self.attention_backward(&call)
    }

    fn activation(
        &mut self,
        kind: Activation,
        x: &GpuBuffer,
        y: &GpuBuffer,
        len: usize,
    ) -> Result<(), EngineError> {
        self.queue_activation(kind, x, y, len)
    }

    fn activation_gradient(
        &mut self,
        kind: Activation,
        x: &GpuBuffer,
        d_y: &GpuBuffer,
        d_x: &GpuBuffer,
        len: usize,
    ) -> Result<(), EngineError> {
        self.queue_activation_gradient(kind, x, d_y, d_x, len)
    }

    fn mean_pool(&mut self, x: &GpuBuffer, out: &GpuBuffer, dim: usize) -> Result<(), EngineError> {
        self.queue_mean_pool(x, out, dim)
    }

    fn mean_pool_gradient(
        &mut self,
        d_out: &GpuBuffer,
        d_x: &GpuBuffer,
        dim: usize,
    ) -> Result<(), EngineError> {
        self.queue_mean_pool_gradient(d_out, d_x, dim)
    }

    fn cross_entropy(
        &mut self,
        logits: &GpuBuffer,
        d_logits: &GpuBuffer,
        classes: usize,
    ) -> Result<(), EngineError> {
        self.queue_cross_entropy(logits, d_logits, classes)
    }

    fn optimizer_step(&mut self, optimizer: &AdamW) -> Result<(), EngineError> {
        let words = self.adapter.next_step(optimizer);
        let [flat, gradient, first, second] = self.adapter.buffers();
        self.commands.dispatch(
            &self.device,
            &Dispatch {
                shader: Shader::AdamW,
                buffers: &[gradient, flat, first, second],
                words: &words,
                groups: linear_groups(words[0]),
            },
        )
    }

    fn end_step(&mut self) -> Result<(), EngineError> {
        self.send_step()
    }

    async fn read_losses(&mut self) -> Result<Vec<f32>, EngineError> {
        self.fetch_losses().await
    }

    async fn read(&mut self, buffer: &GpuBuffer, len: usize) -> Result<Vec<f32>, EngineError> {
        self.fetch(buffer, len).await
    }

    async fn read_adapter(&mut self) -> Result<Vec<f32>, EngineError> {
        let buffer = self.adapter.flat.clone();
        self.fetch(&buffer, self.adapter.len).await
    }

    async fn read_gradient(&mut self) -> Result<Vec<f32>, EngineError> {
        let buffer = self.adapter.gradient.clone();
        self.fetch(&buffer, self.adapter.len).await
    }

    async fn read_optimizer(&mut self) -> Result<OptimizerState, EngineError> {
        self.fetch_optimizer().await
    }

    fn load_optimizer(&mut self, state: &OptimizerState) -> Result<(), EngineError> {
        self.adapter.restore(&self.device, state)
    }

    fn counts(&self) -> StepCounts {
        StepCounts {
            dispatches: self.commands.dispatches,
            submits: self.commands.submits,
            readbacks: self.losses.readbacks,
            peak_bytes: self.memory.peak(),
        }
    }
}

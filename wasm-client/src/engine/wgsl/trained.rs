//! The flat adapter on the device: values, gradient, and the optimizer's state.

use super::super::{AdamW, EngineError, OptimizerState};
use super::WgslKernels;
use super::device::Device;
use super::memory::{GpuBuffer, Memory, storage};

/// Four vectors of the same length.
pub(super) struct Adapter {
    /// The values.
    pub(super) flat: GpuBuffer,
    /// The gradient of the last backward pass.
    pub(super) gradient: GpuBuffer,
    /// First and second moments.
    pub(super) moments: [GpuBuffer; 2],
    /// Values, without padding.
    pub(super) len: usize,
    /// Optimizer steps since it was loaded.
    steps: i32,
}

impl Adapter {
    /// An adapter of these values with zero gradient and moments.
    pub(super) fn new(
        device: &Device,
        memory: &mut Memory,
        flat: &[f32],
    ) -> Result<Self, EngineError> {
        let mut make = |what| memory.create(device, what, flat.len(), storage());
        let adapter = Self {
            flat: make("adapter")?,
            gradient: make("gradient")?,
            moments: [make("first moment")?, make("second moment")?],
            len: flat.len(),
            steps: 0,
        };
        // New buffers are zero.
        adapter.flat.write(device, bytemuck::cast_slice(flat));
        Ok(adapter)
    }

    /// All four buffers.
    pub(super) fn buffers(&self) -> [&GpuBuffer; 4] {
        [
            &self.flat,
            &self.gradient,
            &self.moments[0],
            &self.moments[1],
        ]
    }

    /// Writes the optimizer's state; queued steps must have been sent off.
    pub(super) fn restore(
        &mut self,
        device: &Device,
        state: &OptimizerState,
    ) -> Result<(), EngineError> {
        device.check()?;
        for (buffer, values) in self.moments.iter().zip([&state.first, &state.second]) {
            buffer.expect("moments", values.len())?;
            buffer.write(device, bytemuck::cast_slice(values));
        }
        self.steps = i32::try_from(state.steps).unwrap_or(i32::MAX);
        Ok(())
    }

    /// The uniform of the next optimizer step.
    pub(super) fn next_step(&mut self, optimizer: &AdamW) -> [u32; 8] {
        self.steps += 1;
        let AdamW {
            learning_rate,
            beta1,
            beta2,
            eps,
            weight_decay,
        } = *optimizer;
        let correction = |beta: f32| (1.0 / (1.0 - f64::from(beta).powi(self.steps))) as f32;
        let len4 = self.len.div_ceil(4) as u32;
        let decay = (1.0 - f64::from(learning_rate) * f64::from(weight_decay)) as f32;
        let floats = [
            decay,
            beta1,
            beta2,
            learning_rate,
            correction(beta1),
            correction(beta2),
            eps,
        ];
        let mut words = [len4; 8];
        for (word, float) in words[1..].iter_mut().zip(floats) {
            *word = float.to_bits();
        }
        words
    }
}

impl WgslKernels {
    pub(super) fn replace_adapter(&mut self, flat: &[f32]) -> Result<(), EngineError> {
        self.device.check()?;
        self.commands.submit(&self.device, None);
        let adapter = Adapter::new(&self.device, &mut self.memory, flat)?;
        let old = core::mem::replace(&mut self.adapter, adapter);
        if !self.commands.is_rehearsal() {
            self.commands.forget_bind_groups();
        }
        old.buffers()
            .into_iter()
            .for_each(|buffer| self.memory.destroy(buffer));
        Ok(())
    }

    pub(super) async fn fetch_optimizer(&mut self) -> Result<OptimizerState, EngineError> {
        let [first, second] = self.adapter.moments.clone();
        let len = self.adapter.len;
        Ok(OptimizerState {
            first: self.fetch(&first, len).await?,
            second: self.fetch(&second, len).await?,
            steps: self.adapter.steps.unsigned_abs(),
        })
    }
}

//! Norms and activations as queued calls.

use super::super::kernels::{NormCall, NormGradient};
use super::super::{Activation, EngineError, checks};
use super::WgslKernels;
use super::commands::Dispatch;
use super::memory::GpuBuffer;
use super::shader::{Shader, linear_groups};

impl WgslKernels {
    pub(super) fn queue_norm(&mut self, call: NormCall<'_, GpuBuffer>) -> Result<(), EngineError> {
        call.check()?;
        let NormCall {
            x,
            residual,
            gain,
            bias,
            eps,
            normalized,
            rstd,
            y,
            rows,
            dim,
        } = call;
        let dim4 = Self::vectors("dim", dim)?;
        self.commands.dispatch(
            &self.device,
            &Dispatch {
                shader: Shader::Norm,
                buffers: &[x, residual.unwrap_or(x), gain, bias, normalized, rstd, y],
                words: &[
                    rows as u32,
                    dim4,
                    u32::from(residual.is_some()),
                    eps.to_bits(),
                ],
                groups: [(rows as u32).div_ceil(8), 1, 1],
            },
        )
    }

    pub(super) fn queue_norm_output(
        &mut self,
        inputs: [&GpuBuffer; 3],
        y: &GpuBuffer,
        shape: [usize; 2],
    ) -> Result<(), EngineError> {
        checks::norm_output(inputs, y, shape)?;
        let [normalized, gain, bias] = inputs;
        let dim4 = Self::vectors("dim", shape[1])?;
        let count = shape[0] as u32 * dim4;
        self.commands.dispatch(
            &self.device,
            &Dispatch {
                shader: Shader::NormOutput,
                buffers: &[normalized, gain, bias, y],
                words: &[count, dim4],
                groups: linear_groups(count),
            },
        )
    }

    pub(super) fn queue_norm_gradient(
        &mut self,
        call: NormGradient<'_, GpuBuffer>,
    ) -> Result<(), EngineError> {
        call.check()?;
        let NormGradient {
            d_y,
            normalized,
            rstd,
            gain,
            d_x,
            add,
            rows,
            dim,
        } = call;
        let dim4 = Self::vectors("dim", dim)?;
        self.commands.dispatch(
            &self.device,
            &Dispatch {
                shader: Shader::NormGradient,
                buffers: &[d_y, normalized, rstd, gain, d_x],
                words: &[rows as u32, dim4, u32::from(add)],
                groups: [(rows as u32).div_ceil(8), 1, 1],
            },
        )
    }

    pub(super) fn queue_activation(
        &mut self,
        kind: Activation,
        x: &GpuBuffer,
        y: &GpuBuffer,
        len: usize,
    ) -> Result<(), EngineError> {
        checks::activation(&[x, y], len)?;
        let len4 = len.div_ceil(4) as u32;
        self.commands.dispatch(
            &self.device,
            &Dispatch {
                shader: Shader::Activation,
                buffers: &[x, y],
                words: &[len4, function_number(kind)],
                groups: linear_groups(len4),
            },
        )
    }

    pub(super) fn queue_activation_gradient(
        &mut self,
        kind: Activation,
        x: &GpuBuffer,
        d_y: &GpuBuffer,
        d_x: &GpuBuffer,
        len: usize,
    ) -> Result<(), EngineError> {
        checks::activation(&[x, d_y, d_x], len)?;
        let len4 = len.div_ceil(4) as u32;
        let apart: &[&GpuBuffer] = &[x, d_y, d_x];
        let (shader, buffers) = if d_y.id == d_x.id {
            (Shader::ActivationGradientInPlace, &[x, d_x][..])
        } else {
            (Shader::ActivationGradient, apart)
        };
        self.commands.dispatch(
            &self.device,
            &Dispatch {
                shader,
                buffers,
                words: &[len4, function_number(kind)],
                groups: linear_groups(len4),
            },
        )
    }
}

/// As `nonlinear.wgsl` counts them.
fn function_number(kind: Activation) -> u32 {
    match kind {
        Activation::Gelu => 0,
        Activation::Silu => 1,
        Activation::GeluTanh => 2,
    }
}

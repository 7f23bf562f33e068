//! What is trained beside low-rank updates, as queued calls.

use super::super::kernels::adapter::{AdapterKernels, NormParametersGradient};
use super::super::{EngineError, Parameter, checks};
use super::WgslKernels;
use super::decoder_shader::DecoderShader;
use super::memory::GpuBuffer;
use super::reduce::Reduction;
use super::shader::linear_groups;

impl AdapterKernels for WgslKernels {
    fn trained_values(
        &mut self,
        frozen: Option<&GpuBuffer>,
        parameter: &Parameter,
        out: &GpuBuffer,
    ) -> Result<(), EngineError> {
        checks::trained_values(frozen, parameter, out)?;
        let flat = self.adapter.flat.clone();
        flat.expect("trained values", parameter.range.end)?;
        let count = parameter.range.len() as u32;
        let words = [count, parameter.range.start as u32, frozen.is_some().into()];
        // Something must be bound; without frozen values it is not read.
        let buffers = [frozen.unwrap_or(&flat), &flat, out];
        let groups = linear_groups(count);
        self.decoder_dispatch(DecoderShader::TrainedValues, &buffers, &words, groups)
    }

    fn add(
        &mut self,
        x: &GpuBuffer,
        out: &GpuBuffer,
        add: bool,
        len: usize,
    ) -> Result<(), EngineError> {
        checks::sum(x, out, len)?;
        let len4 = len.div_ceil(4) as u32;
        let groups = linear_groups(len4);
        self.decoder_dispatch(DecoderShader::Add, &[x, out], &[len4, add.into()], groups)
    }

    /// Two calls: the products of each row, then their sums; one for a bias alone.
    fn norm_parameters_gradient(
        &mut self,
        call: NormParametersGradient<'_, GpuBuffer>,
    ) -> Result<(), EngineError> {
        call.check()?;
        let rows = call.rows as u32;
        if call.gain.is_some() {
            self.decoder_dispatch(
                DecoderShader::NormProducts,
                &[call.d_y, call.x, call.rstd, call.products],
                &[rows, Self::vectors("dim", call.dim)?, call.centred.into()],
                [rows.div_ceil(8), 1, 1],
            )?;
        }
        let sum = |q, part: &Parameter| Reduction {
            p: None,
            q,
            sizes: [1, call.dim],
            offset: part.range.start,
            strides: [call.dim, 1],
            scale: 1.0,
        };
        let gain = call.gain.map(|gain| sum(call.products, gain));
        let bias = call.bias.map(|bias| sum(call.d_y, bias));
        match (&gain, &bias) {
            (Some(first), second) => self.reduce(call.rows, first, second.as_ref()),
            (None, Some(only)) => self.reduce(call.rows, only, None),
            (None, None) => Ok(()),
        }
    }
}

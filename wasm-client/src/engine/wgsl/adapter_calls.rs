//! What is trained beside low-rank updates, as queued calls.

use super::super::dropout::Dropout;
use super::super::kernels::adapter::{AdapterKernels, NormParametersGradient, VirtualRows};
use super::super::{EngineError, Parameter, checks};
use super::WgslKernels;
use super::commands::Dispatch;
use super::decoder_shader::DecoderShader;
use super::memory::GpuBuffer;
use super::reduce::Reduction;
use super::shader::{Shader, linear_groups};

impl WgslKernels {
    /// Values of one sequence's virtual tokens.
    fn virtual_values(&self, columns: usize) -> usize {
        let largest = self.batch.largest.virtual_token;
        largest.map_or(0, |last| last as usize + 1) * columns
    }

    /// The sum over so many sequences of the first values of each.
    fn sum_first_rows(
        &mut self,
        x: &GpuBuffer,
        out: &GpuBuffer,
        [values, columns, sequences]: [usize; 3],
        offset: usize,
    ) -> Result<(), EngineError> {
        let words = [values, columns, sequences, offset].map(|word| word as u32);
        self.commands.dispatch(
            &self.device,
            &Dispatch {
                shader: Shader::PromptGradient,
                buffers: &[&self.batch.sequences, x, out],
                words: &words,
                groups: linear_groups(words[0]),
            },
        )
    }
}

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

    fn dropout(
        &mut self,
        x: &GpuBuffer,
        dropout: Dropout,
        out: &GpuBuffer,
        add: bool,
        len: usize,
    ) -> Result<(), EngineError> {
        checks::sum(x, out, len)?;
        let len4 = len.div_ceil(4) as u32;
        let words = [
            len4,
            add.into(),
            dropout.key,
            dropout.threshold(),
            dropout.factor.to_bits(),
        ];
        let groups = linear_groups(len4);
        self.decoder_dispatch(DecoderShader::Dropout, &[x, out], &words, groups)
    }

    fn trained_values_gradient(
        &mut self,
        gradient: &GpuBuffer,
        parameter: &Parameter,
    ) -> Result<(), EngineError> {
        let values = parameter.range.len();
        gradient.expect("gradient of trained values", values)?;
        let flat = self.adapter.gradient.clone();
        flat.expect("gradient", parameter.range.end)?;
        // Of one sequence, which is as long as the parameter and begins where the first does: at 0.
        self.sum_first_rows(gradient, &flat, [values, values, 1], parameter.range.start)
    }

    fn virtual_rows(
        &mut self,
        x: &GpuBuffer,
        rows: VirtualRows<'_, GpuBuffer>,
        columns: usize,
    ) -> Result<(), EngineError> {
        let values = self.virtual_values(columns);
        x.expect("rows", self.batch.row_count * columns)?;
        let flat = self.adapter.flat.clone();
        // Something must be bound; without a source it is not read.
        let (source, offset, has_source, adds) = match rows {
            VirtualRows::Trained(rows) => {
                checks::length("virtual rows", values, rows.range.len())?;
                flat.expect("virtual rows", rows.range.end)?;
                (&flat, rows.range.start, true, false)
            }
            VirtualRows::Zero => (&flat, 0, false, false),
            VirtualRows::Added(rows) => {
                rows.expect("virtual rows", values)?;
                (rows, 0, true, true)
            }
        };
        let count = (values * self.batch.sequence_count) as u32;
        let sequences = self.batch.sequences.clone();
        self.decoder_dispatch(
            DecoderShader::VirtualRows,
            &[&sequences, source, x],
            &[
                count,
                values as u32,
                columns as u32,
                offset as u32,
                has_source.into(),
                adds.into(),
            ],
            linear_groups(count),
        )
    }

    fn virtual_rows_gradient(
        &mut self,
        d_x: &GpuBuffer,
        d_rows: &GpuBuffer,
        columns: usize,
    ) -> Result<(), EngineError> {
        let values = self.virtual_values(columns);
        d_x.expect("rows", self.batch.row_count * columns)?;
        d_rows.expect("virtual rows", values)?;
        let sizes = [values, columns, self.batch.sequence_count];
        self.sum_first_rows(d_x, d_rows, sizes, 0)
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

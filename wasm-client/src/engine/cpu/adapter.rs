//! What is trained beside low-rank updates, on this machine's processor.

use super::CpuKernels;
use super::buffer::CpuBuffer;
use super::stream_norm;
use crate::engine::dropout::Dropout;
use crate::engine::kernels::adapter::{AdapterKernels, NormParametersGradient, VirtualRows};
use crate::engine::{EngineError, Parameter, checks};

impl AdapterKernels for CpuKernels {
    fn trained_values(
        &mut self,
        frozen: Option<&CpuBuffer>,
        parameter: &Parameter,
        out: &CpuBuffer,
    ) -> Result<(), EngineError> {
        self.calls += 1;
        checks::trained_values(frozen, parameter, out)?;
        let mut out = out.values_mut();
        let out = &mut out[..parameter.range.len()];
        out.copy_from_slice(self.trained(&parameter.range));
        if let Some(frozen) = frozen {
            stream_norm::add(out, &frozen.values());
        }
        Ok(())
    }

    fn add(
        &mut self,
        x: &CpuBuffer,
        out: &CpuBuffer,
        add: bool,
        len: usize,
    ) -> Result<(), EngineError> {
        self.calls += 1;
        checks::sum(x, out, len)?;
        let (x, mut out) = (x.values(), out.values_mut());
        let (x, out) = (&x[..len], &mut out[..len]);
        if add {
            stream_norm::add(out, x);
        } else {
            out.copy_from_slice(x);
        }
        Ok(())
    }

    fn dropout(
        &mut self,
        x: &CpuBuffer,
        dropout: Dropout,
        out: &CpuBuffer,
        add: bool,
        len: usize,
    ) -> Result<(), EngineError> {
        self.calls += 1;
        checks::sum(x, out, len)?;
        let (x, mut out) = (x.values(), out.values_mut());
        for (place, (out, x)) in (0..).zip(out[..len].iter_mut().zip(&x[..len])) {
            let value = x * dropout.factor_at(place);
            *out = if add { *out + value } else { value };
        }
        Ok(())
    }

    fn trained_values_gradient(
        &mut self,
        gradient: &CpuBuffer,
        parameter: &Parameter,
    ) -> Result<(), EngineError> {
        self.calls += 1;
        let values = parameter.range.len();
        checks::room("gradient of trained values", gradient, values)?;
        self.gradient[parameter.range.clone()].copy_from_slice(&gradient.values()[..values]);
        Ok(())
    }

    fn virtual_rows(
        &mut self,
        x: &CpuBuffer,
        rows: VirtualRows<'_, CpuBuffer>,
        columns: usize,
    ) -> Result<(), EngineError> {
        self.calls += 1;
        checks::room("rows", x, self.batch.rows() * columns)?;
        let values = self.batch.num_virtual_tokens as usize * columns;
        let mut x = x.values_mut();
        for first in self.sequences().first_rows() {
            let x = &mut x[first * columns..][..values];
            match &rows {
                VirtualRows::Trained(rows) => {
                    checks::length("virtual rows", values, rows.range.len())?;
                    x.copy_from_slice(self.trained(&rows.range));
                }
                VirtualRows::Zero => x.fill(0.0),
                VirtualRows::Added(rows) => {
                    checks::room("virtual rows", *rows, values)?;
                    stream_norm::add(x, &rows.values());
                }
            }
        }
        Ok(())
    }

    fn virtual_rows_gradient(
        &mut self,
        d_x: &CpuBuffer,
        d_rows: &CpuBuffer,
        columns: usize,
    ) -> Result<(), EngineError> {
        self.calls += 1;
        let values = self.batch.num_virtual_tokens as usize * columns;
        checks::room("rows", d_x, self.batch.rows() * columns)?;
        checks::room("virtual rows", d_rows, values)?;
        let (d_x, mut d_rows) = (d_x.values(), d_rows.values_mut());
        let d_rows = &mut d_rows[..values];
        d_rows.fill(0.0);
        for first in self.sequences().first_rows() {
            stream_norm::add(d_rows, &d_x[first * columns..]);
        }
        Ok(())
    }

    /// Row by row, so that the order of the sums is always the same.
    fn norm_parameters_gradient(
        &mut self,
        call: NormParametersGradient<'_, CpuBuffer>,
    ) -> Result<(), EngineError> {
        self.calls += 1;
        call.check()?;
        let (d_y, x, rstd) = (call.d_y.values(), call.x.values(), call.rstd.values());
        let [d_y, x] = [&d_y, &x].map(|rows| rows[..call.rows * call.dim].chunks_exact(call.dim));
        if let Some(gain) = call.gain {
            let sums = &mut self.gradient[gain.range.clone()];
            sums.fill(0.0);
            for ((d_y, x), rstd) in d_y.clone().zip(x).zip(rstd.iter()) {
                let mean = stream_norm::mean_if(call.centred, x);
                for ((sum, d_y), x) in sums.iter_mut().zip(d_y).zip(x) {
                    *sum += d_y * (x - mean) * rstd;
                }
            }
        }
        if let Some(bias) = call.bias {
            let sums = &mut self.gradient[bias.range.clone()];
            sums.fill(0.0);
            d_y.for_each(|d_y| stream_norm::add(sums, d_y));
        }
        Ok(())
    }
}

//! Layer norm's calls on buffers; the rows themselves are worked on in [`super::rows`].

use super::buffer::CpuBuffer;
use super::rows::{self, Norm};
use crate::engine::kernels::{NormCall, NormGradient};
use crate::engine::{EngineError, checks};

pub(super) fn forward(call: NormCall<'_, CpuBuffer>) -> Result<(), EngineError> {
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
    let (x, gain, bias) = (x.values(), gain.values(), bias.values());
    let residual = residual.map(CpuBuffer::values);
    let norm = Norm {
        x: &x,
        residual: residual.as_ref().map(|residual| residual.as_slice()),
        gain: &gain[..dim],
        bias: &bias[..dim],
        eps,
    };
    norm.forward(
        &mut normalized.values_mut()[..rows * dim],
        &mut rstd.values_mut()[..rows],
        &mut y.values_mut()[..rows * dim],
    );
    Ok(())
}

pub(super) fn output(
    [normalized, gain, bias]: [&CpuBuffer; 3],
    y: &CpuBuffer,
    [rows, dim]: [usize; 2],
) -> Result<(), EngineError> {
    checks::norm_output([normalized, gain, bias], y, [rows, dim])?;
    rows::norm_output(
        &normalized.values()[..rows * dim],
        [&gain.values()[..dim], &bias.values()[..dim]],
        &mut y.values_mut()[..rows * dim],
    );
    Ok(())
}

pub(super) fn backward(call: NormGradient<'_, CpuBuffer>) -> Result<(), EngineError> {
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
    rows::norm_gradient(
        &d_y.values(),
        &normalized.values(),
        &rstd.values(),
        &gain.values()[..dim],
        &mut d_x.values_mut()[..rows * dim],
        add,
    );
    Ok(())
}

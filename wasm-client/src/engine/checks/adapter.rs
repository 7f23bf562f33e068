//! What the calls for trained parts demand of their buffers.

use super::{Room, length, room, rooms};
use crate::engine::kernels::adapter::NormParametersGradient;
use crate::engine::{EngineError, Parameter};

impl<B: Room> NormParametersGradient<'_, B> {
    /// All buffers fit, and gradients are as long as a row.
    ///
    /// # Errors
    /// [`EngineError::Shape`] names the first that does not.
    pub fn check(&self) -> Result<(), EngineError> {
        let rows = [self.d_y, self.x, self.products];
        rooms("rows of a norm", &rows, self.rows * self.dim)?;
        room("rstd of a norm", self.rstd, self.rows)?;
        [self.gain, self.bias]
            .into_iter()
            .flatten()
            .try_for_each(|part| length("trained part of a norm", self.dim, part.range.len()))
    }
}

/// Room for what is added and for the sum.
///
/// # Errors
/// [`EngineError::Shape`].
pub fn sum<B: Room>(x: &B, out: &B, len: usize) -> Result<(), EngineError> {
    rooms("values to be added", &[x, out], len)
}

/// Room for a parameter's values.
///
/// # Errors
/// [`EngineError::Shape`].
pub fn trained_values<B: Room>(
    frozen: Option<&B>,
    parameter: &Parameter,
    out: &B,
) -> Result<(), EngineError> {
    let buffers = [Some(out), frozen];
    let mut bound = buffers.into_iter().flatten();
    bound.try_for_each(|buffer| room("trained values", buffer, parameter.range.len()))
}

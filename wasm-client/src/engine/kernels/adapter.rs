//! What a recording engine needs from its device for what is trained beside low-rank updates.

use super::Kernels;
use crate::engine::{EngineError, Parameter};

/// Gradients of a norm's trained gain and bias: `Σ_rows d_y·n` and `Σ_rows d_y`, with `n = x·rstd`, in
/// a layer norm `n = (x - mean(x))·rstd`.
pub struct NormParametersGradient<'a, B> {
    /// `[rows, dim]`.
    pub d_y: &'a B,
    /// What was normalized: the input, or its sum with the residual, `[rows, dim]`.
    pub x: &'a B,
    /// From the forward pass.
    pub rstd: &'a B,
    /// `[rows, dim]`: scratch for `d_y·n`.
    pub products: &'a B,
    /// `[1, dim]`: where the gain's gradient goes, if it is trained.
    pub gain: Option<&'a Parameter>,
    /// `[1, dim]`: where the bias's gradient goes, if it is trained.
    pub bias: Option<&'a Parameter>,
    /// The norm is a layer norm.
    pub centred: bool,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub dim: usize,
}

/// The device's kernels for what is trained beside low-rank updates.
pub trait AdapterKernels: Kernels {
    /// `out = frozen + parameter`, or the parameter alone: as many values as the parameter has.
    fn trained_values(
        &mut self,
        frozen: Option<&Self::Buffer>,
        parameter: &Parameter,
        out: &Self::Buffer,
    ) -> Result<(), EngineError>;
    /// `out (+)= x` over `len` values.
    fn add(
        &mut self,
        x: &Self::Buffer,
        out: &Self::Buffer,
        add: bool,
        len: usize,
    ) -> Result<(), EngineError>;
    /// Gradients of a norm's trained gain and bias.
    fn norm_parameters_gradient(
        &mut self,
        call: NormParametersGradient<'_, Self::Buffer>,
    ) -> Result<(), EngineError>;
}

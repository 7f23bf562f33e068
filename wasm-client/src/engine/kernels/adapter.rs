//! What a recording engine needs from its device for what is trained beside low-rank updates.

use super::Kernels;
use crate::engine::dropout::Dropout;
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

/// What becomes of the virtual tokens' rows.
pub enum VirtualRows<'a, B> {
    /// Trained rows in their place, `[num_virtual_tokens, columns]`.
    Trained(&'a Parameter),
    /// Zeros in their place.
    Zero,
    /// Such rows added to them, `[num_virtual_tokens, columns]`.
    Added(&'a B),
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
    /// `out (+)= x` over `len` values, some left out.
    fn dropout(
        &mut self,
        x: &Self::Buffer,
        dropout: Dropout,
        out: &Self::Buffer,
        add: bool,
        len: usize,
    ) -> Result<(), EngineError>;
    /// A trained matrix's gradient, as many values as it has, into the flat gradient.
    fn trained_values_gradient(
        &mut self,
        gradient: &Self::Buffer,
        parameter: &Parameter,
    ) -> Result<(), EngineError>;
    /// Writes each sequence's virtual tokens in `x`, `[rows, columns]`.
    fn virtual_rows(
        &mut self,
        x: &Self::Buffer,
        rows: VirtualRows<'_, Self::Buffer>,
        columns: usize,
    ) -> Result<(), EngineError>;
    /// `d_rows[i] = Σ_sequences d_x[start + i]`, `[num_virtual_tokens, columns]`: written.
    fn virtual_rows_gradient(
        &mut self,
        d_x: &Self::Buffer,
        d_rows: &Self::Buffer,
        columns: usize,
    ) -> Result<(), EngineError>;
    /// Gradients of a norm's trained gain and bias.
    fn norm_parameters_gradient(
        &mut self,
        call: NormParametersGradient<'_, Self::Buffer>,
    ) -> Result<(), EngineError>;
}

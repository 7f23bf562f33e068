//! The operations of what is trained beside low-rank updates and beside the layers' own parts.

use super::dropout::Dropout;
use super::{Engine, EngineError, Parameter};

/// What an engine does for such adapters. Calls come between `begin` and `backward`, as those of
/// [`Engine`].
pub trait AdapterEngine: Engine {
    /// `x + y`, `[rows, columns]` each. Takes the handle of `x`, so that it can work in place.
    fn add(&mut self, x: Self::Tensor, y: &Self::Tensor) -> Result<Self::Tensor, EngineError>;
    /// `x`, `[rows, columns]`, with some values left out.
    fn dropout(&mut self, x: &Self::Tensor, dropout: Dropout) -> Result<Self::Tensor, EngineError>;
    /// A trained matrix as a tensor of its shape.
    fn trained_rows(&mut self, rows: &Parameter) -> Result<Self::Tensor, EngineError>;
    /// `x`, `[rows, columns]`, with each sequence's virtual tokens replaced by trained rows
    /// `[num_virtual_tokens, columns]`. Takes the handle of `x`, so that it can work in place.
    fn replace_virtual_rows(
        &mut self,
        x: Self::Tensor,
        rows: &Parameter,
    ) -> Result<Self::Tensor, EngineError>;
    /// `x`, `[rows, columns]`, with these rows `[num_virtual_tokens, columns]` added to each sequence's
    /// virtual tokens. Takes the handle of `x`, so that it can work in place.
    fn add_virtual_rows(
        &mut self,
        x: Self::Tensor,
        rows: &Self::Tensor,
    ) -> Result<Self::Tensor, EngineError>;
}

//! The operations of what is trained beside low-rank updates and beside the layers' own parts.

use super::{Engine, EngineError};

/// What an engine does for such adapters. Calls come between `begin` and `backward`, as those of
/// [`Engine`].
pub trait AdapterEngine: Engine {
    /// `x + y`, `[rows, columns]` each. Takes the handle of `x`, so that it can work in place.
    fn add(&mut self, x: Self::Tensor, y: &Self::Tensor) -> Result<Self::Tensor, EngineError>;
}

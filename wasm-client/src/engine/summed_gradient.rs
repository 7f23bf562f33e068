//! Steps by a gradient that more than this engine has computed: of one batch in several threads.

use super::{Engine, EngineError};

/// An engine that takes a step by any gradient.
pub trait SummedGradient: Engine {
    /// Puts this in the place of the last `backward`'s gradient, for the next `optimizer_step`.
    ///
    /// # Errors
    /// [`EngineError::Shape`] where it is not as long as the adapter.
    fn load_gradient(&mut self, flat: &[f32]) -> Result<(), EngineError>;
}

#[cfg(feature = "cpu")]
impl SummedGradient for super::record::Recorded<super::cpu::CpuKernels> {
    fn load_gradient(&mut self, flat: &[f32]) -> Result<(), EngineError> {
        self.kernels_mut().load_gradient(flat)
    }
}

//! What is heard of kernels that are made before they are needed.

use core::cell::Cell;
use core::future::Future;
use core::pin::Pin;
use std::rc::Rc;

use super::{Engine, EngineError, MemoryPlan};

/// Kernels that are being made ready.
pub struct Preparation {
    /// How many there are.
    pub kernels: usize,
    /// How many are ready by now.
    pub ready: Rc<Cell<usize>>,
    /// Ends when all are. The engine can be used meanwhile; what it needs first it waits for.
    pub done: Pin<Box<dyn Future<Output = Result<(), EngineError>>>>,
}

impl Default for Preparation {
    /// Nothing to make ready.
    fn default() -> Self {
        Self {
            kernels: 0,
            ready: Rc::default(),
            done: Box::pin(core::future::ready(Ok(()))),
        }
    }
}

impl Preparation {
    /// Rehearses a step on an engine that has something to make ready, and begins with that.
    ///
    /// # Errors
    /// Those of the rehearsal.
    pub fn begin<E: Engine>(
        engine: &mut E,
        rehearse: impl FnOnce(&mut E) -> Result<(), EngineError>,
    ) -> Result<Self, EngineError> {
        MemoryPlan::of(engine, rehearse)?;
        Ok(engine.prepare())
    }
}

//! Static constructors, run once.
//!
//! cubecl registers its operations through them. Where nothing refers to `__wasm_call_ctors`, the
//! linker has every export run them all, each time that JavaScript calls one: two orders of
//! magnitude of a training step.

unsafe extern "C" {
    fn __wasm_call_ctors();
}

/// Runs them; call it once, when the module starts.
pub(super) fn run() {
    // SAFETY: the linker makes this function, it takes and returns nothing, and the module's start
    // is the only place that calls it.
    unsafe { __wasm_call_ctors() }
}

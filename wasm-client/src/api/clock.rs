//! The browser's monotonic clock, in a Web Worker and in a page.

use wasm_bindgen::JsCast;
use web_sys::WorkerGlobalScope;

/// Milliseconds since some moment; 0 where the browser has no clock.
pub(super) fn milliseconds() -> f64 {
    let performance = match js_sys::global().dyn_into::<WorkerGlobalScope>() {
        Ok(scope) => scope.performance(),
        Err(_) => web_sys::window().and_then(|window| window.performance()),
    };
    performance.map_or(0.0, |performance| performance.now())
}

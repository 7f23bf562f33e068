//! What a visitor's participations have cost, for the local ledger.

use choir_shared::dp;
use wasm_bindgen::prelude::wasm_bindgen;

/// Epsilon at `delta` after so many participations with a noise multiplier; `undefined` where no
/// noise bounds it.
#[wasm_bindgen]
pub fn epsilon(noise_multiplier: f64, participations: u32, delta: f64) -> Option<f64> {
    dp::epsilon(noise_multiplier, participations, delta)
}

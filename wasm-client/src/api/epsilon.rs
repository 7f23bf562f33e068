//! What a visitor's participations have cost, for the local ledger.

use choir_shared::dp;
use choir_shared::task::AdapterLayout;
use wasm_bindgen::prelude::wasm_bindgen;

use super::error::ApiError;
use super::status::task_status;

/// Epsilon at `delta` after so many participations in rounds of a task, from the wire bytes of its
/// `TaskStatus`; `undefined` where no noise bounds it.
#[wasm_bindgen]
pub fn epsilon(status: &[u8], participations: u32, delta: f64) -> Result<Option<f64>, ApiError> {
    let task = task_status(status)?.config;
    let layout = AdapterLayout::new(&task).map_err(|error| ApiError::new("bad-task", &error))?;
    let (noise, quantiser) = (&task.dp, &task.quantiser);
    let epsilon = dp::skellam_epsilon(noise, quantiser, layout.len(), participations, delta);
    Ok(epsilon)
}

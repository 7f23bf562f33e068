//! Every value of a round for given secrets, for tests that hold this module against an independent
//! implementation. Not in a released module.

use choir_shared::kat::{self, KatInput};
use choir_shared::secure_sum::Parameters;
use wasm_bindgen::prelude::wasm_bindgen;

use super::ApiError;

/// The output of `cargo xtask kat` for its input, both JSON.
#[wasm_bindgen(js_name = knownAnswers)]
pub fn known_answers(input: &str) -> Result<String, ApiError> {
    let input: KatInput = serde_json::from_str(input).map_err(bad_input)?;
    let values = kat::kat(&input).map_err(bad_input)?;
    serde_json::to_string(&values).map_err(bad_input)
}

/// `m`, `t`, `q` and the expected number of masks, or nothing where no round can run.
#[wasm_bindgen(js_name = roundParameters)]
pub fn round_parameters(
    clients: u16,
    corrupt_permille: u16,
    drop_permille: u16,
) -> Option<Vec<u16>> {
    let found = Parameters::new(clients, corrupt_permille, drop_permille)?;
    Some(vec![
        found.neighbours,
        found.threshold,
        found.quorum,
        found.masks(),
    ])
}

fn bad_input(error: impl core::fmt::Display) -> ApiError {
    ApiError::new("bad-input", &error)
}

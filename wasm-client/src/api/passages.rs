//! Passages of a language task as rows of tokens, for JavaScript.

use serde::Serialize;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::error::{ApiError, to_js};
use crate::engine::EngineError;
use crate::language::dataset::pack;

#[derive(Default, Serialize)]
struct PackedView {
    tokens: Vec<u32>,
    starts: Vec<u32>,
    labels: Vec<u32>,
}

/// Rows of at most so many tokens of passages that are tokens already, packed, each after the token
/// that begins a text: `{tokens, starts, labels}`.
#[wasm_bindgen(js_name = packPassages)]
pub fn pack_passages(
    tokens: &[u32],
    starts: &[u32],
    begin: u32,
    context: usize,
) -> Result<JsValue, ApiError> {
    let mut passages = Vec::new();
    for pair in starts.windows(2) {
        let [start, end] = [pair[0] as usize, pair[1] as usize];
        let passage = tokens.get(start..end).ok_or(EngineError::OutOfRange {
            what: "start of a passage",
            value: end,
            limit: tokens.len(),
        })?;
        passages.push(passage);
    }
    let rows =
        pack(passages, begin, context).map_err(|error| ApiError::new("bad-input", &error))?;
    let mut packed = PackedView::default();
    packed.starts.push(0);
    for row in rows {
        packed.tokens.extend(row.tokens);
        packed.labels.extend(row.labels);
        packed.starts.push(packed.tokens.len() as u32);
    }
    to_js(&packed)
}

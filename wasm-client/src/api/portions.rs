//! Steps in several threads, for JavaScript: a batch in portions, and a step by the sum of their
//! gradients. Only in the module of engine *cpu*, whose threads share no memory.

use js_sys::Uint32Array;
use serde::Serialize;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use super::error::{ApiError, to_js};
use super::language_task::LanguageTrainer;
use super::trainer::Trainer;
use crate::language::dataset::Row;
use crate::train::batch::Examples;
use crate::train::portions::Portion;

/// What `gradient` is called with, and the weight of what it yields in the whole batch.
#[derive(Serialize)]
struct PortionView {
    #[serde(with = "serde_wasm_bindgen::preserve")]
    tokens: Uint32Array,
    #[serde(with = "serde_wasm_bindgen::preserve")]
    starts: Uint32Array,
    #[serde(with = "serde_wasm_bindgen::preserve")]
    labels: Uint32Array,
    weight: f64,
}

impl PortionView {
    fn new([tokens, starts, labels]: [&[u32]; 3], weight: f64) -> Self {
        Self {
            tokens: Uint32Array::from(tokens),
            starts: Uint32Array::from(starts),
            labels: Uint32Array::from(labels),
            weight,
        }
    }
}

impl From<Portion<Examples>> for PortionView {
    fn from(portion: Portion<Examples>) -> Self {
        let Portion { examples, weight } = portion;
        let parts = [examples.tokens(), examples.starts(), examples.labels()];
        Self::new(parts, weight)
    }
}

impl From<Portion<Vec<Row>>> for PortionView {
    fn from(portion: Portion<Vec<Row>>) -> Self {
        let Portion { examples, weight } = portion;
        let [mut tokens, mut starts, mut labels] = [Vec::new(), vec![0], Vec::new()];
        for row in &examples {
            tokens.extend(&row.tokens);
            labels.extend(&row.labels);
            starts.push(tokens.len() as u32);
        }
        Self::new([&tokens, &starts, &labels], weight)
    }
}

#[wasm_bindgen]
impl Trainer {
    /// The next batch in at most so many portions, for `gradient` in as many threads.
    #[wasm_bindgen(js_name = nextPortions)]
    pub fn next_portions(&mut self, most: usize) -> Result<JsValue, ApiError> {
        let portions = self.inner.next_portions(most)?.into_iter();
        to_js(&portions.map(PortionView::from).collect::<Vec<_>>())
    }

    /// Takes the step by the sum of the portions' gradients, each times its weight.
    #[wasm_bindgen(js_name = applyGradient)]
    pub fn apply_gradient(&mut self, gradient: &[f32]) -> Result<(), ApiError> {
        Ok(self.inner.apply_gradient(gradient)?)
    }
}

#[wasm_bindgen]
impl LanguageTrainer {
    /// The next batch in at most so many portions, for `gradient` in as many threads.
    #[wasm_bindgen(js_name = nextPortions)]
    pub fn next_portions(&mut self, most: usize) -> Result<JsValue, ApiError> {
        let portions = self.inner.next_portions(most)?.into_iter();
        to_js(&portions.map(PortionView::from).collect::<Vec<_>>())
    }

    /// Takes the step by the sum of the portions' gradients, each times its weight.
    #[wasm_bindgen(js_name = applyGradient)]
    pub fn apply_gradient(&mut self, gradient: &[f32]) -> Result<(), ApiError> {
        self.text = None;
        Ok(self.inner.apply_gradient(gradient)?)
    }
}

//! The trainer of a language task, for JavaScript: the same calls as [`super::Trainer`], with rows of
//! tokens as examples. A row has a label for each of its tokens: the one that follows, or 2^32 - 1.

use choir_shared::task::TaskConfig;
use choir_shared::wire::{self, limits};
use serde::Serialize;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use super::clock::milliseconds;
use super::device::{DeviceEngine, open_engine};
use super::error::{ApiError, to_js};
use super::language_model::text::Text;
use super::language_model::views::{no_text, rows};
use super::plan::PlanView;
use super::trainer::{CountsView, GradientView, InfoView, PreparationView, StepsView};
use crate::engine::OptimizerState;
use crate::train::language_task::LanguageTaskTrainer;

#[derive(Serialize)]
struct EvaluationView {
    loss: f64,
    /// A text has none.
    accuracy: Option<f32>,
    tokens: usize,
}

/// Trains one language task on this module's engine.
#[wasm_bindgen]
pub struct LanguageTrainer {
    pub(super) inner: LanguageTaskTrainer<DeviceEngine>,
    /// A text under way, by the adapter as it was when it began.
    pub(super) text: Option<Text>,
}

#[wasm_bindgen]
impl LanguageTrainer {
    /// A trainer for the language task with this configuration (wire bytes).
    pub async fn open(config: Vec<u8>) -> Result<Self, ApiError> {
        let config: TaskConfig = wire::decode(&config, limits::TASK_CONFIG)
            .map_err(|error| ApiError::new("bad-input", &error))?;
        config
            .check()
            .map_err(|error| ApiError::new("bad-task", &error))?;
        let inner = LanguageTaskTrainer::new(open_engine().await?, config)?;
        Ok(Self { inner, text: None })
    }

    /// Plans the memory of the training, as `Trainer.plan` does; before the weights come.
    pub fn plan(&mut self, max_gpu_bytes: Option<f64>) -> Result<JsValue, ApiError> {
        let plan = self.inner.plan(max_gpu_bytes.map(|bytes| bytes as u64))?;
        to_js(&plan.map(PlanView::from))
    }

    /// Makes the kernels of a step ready, beside everything else; before the weights come.
    pub fn prepare(&mut self) -> Result<PreparationView, ApiError> {
        Ok(self.inner.prepare()?.into())
    }

    /// The device and its adapter's name.
    pub fn info(&self) -> Result<JsValue, ApiError> {
        to_js(&InfoView::from(self.inner.device()?))
    }

    /// The next bytes of the weights' file, in any chunking.
    #[wasm_bindgen(js_name = addWeights)]
    pub fn add_weights(&mut self, chunk: &[u8]) -> Result<(), ApiError> {
        Ok(self.inner.add_weights(chunk)?)
    }

    /// Ends the weights; fails if they are not the task's decoder.
    #[wasm_bindgen(js_name = finishWeights)]
    pub fn finish_weights(&mut self) -> Result<(), ApiError> {
        Ok(self.inner.finish_weights()?)
    }

    /// Loads an adapter; the optimizer starts anew.
    #[wasm_bindgen(js_name = setAdapter)]
    pub fn set_adapter(&mut self, flat: &[f32]) -> Result<(), ApiError> {
        self.text = None;
        Ok(self.inner.set_adapter(flat)?)
    }

    /// Takes the adapter off, until another one is set: what is left is the base model.
    #[wasm_bindgen(js_name = removeAdapter)]
    pub fn remove_adapter(&mut self) -> Result<(), ApiError> {
        self.text = None;
        Ok(self.inner.remove_adapter()?)
    }

    /// Tokens that a text can have.
    pub fn room(&self) -> usize {
        self.inner.room()
    }

    /// Begins a text, as `LanguageModel.startText` does.
    #[wasm_bindgen(js_name = startText)]
    pub fn start_text(&mut self, settings: JsValue) -> Result<(), ApiError> {
        let (engine, decoder) = self.inner.parts()?;
        self.text = Some(Text::start(engine, decoder, settings)?);
        Ok(())
    }

    /// Forgets all but the first `count` tokens of the text, whose keys and values stay; the next
    /// ones are chosen by these settings.
    #[wasm_bindgen(js_name = rewindText)]
    pub fn rewind_text(&mut self, count: usize, settings: JsValue) -> Result<(), ApiError> {
        let (_, decoder) = self.inner.parts()?;
        let text = self.text.as_mut().ok_or_else(no_text)?;
        text.rewind(decoder, count, settings)
    }

    /// Reads tokens into the text; yields the one that follows, which is not read yet.
    #[wasm_bindgen(js_name = nextToken)]
    pub async fn next_token(&mut self, tokens: Vec<u32>) -> Result<u32, ApiError> {
        let (engine, decoder) = self.inner.parts()?;
        let text = self.text.as_mut().ok_or_else(no_text)?;
        text.next(engine, decoder, &tokens).await
    }

    /// The adapter as it is now.
    pub async fn adapter(&mut self) -> Result<Vec<f32>, ApiError> {
        Ok(self.inner.adapter().await?)
    }

    /// The rows to train on, packed, and the seed of their order.
    #[wasm_bindgen(js_name = setExamples)]
    pub fn set_examples(
        &mut self,
        tokens: Vec<u32>,
        starts: Vec<u32>,
        labels: Vec<u32>,
        seed: u64,
    ) -> Result<(), ApiError> {
        Ok(self
            .inner
            .set_rows(rows(&tokens, &starts, &labels)?, seed)?)
    }

    /// The optimizer's first moments, then its second moments.
    pub async fn optimizer(&mut self) -> Result<Vec<f32>, ApiError> {
        let OptimizerState { first, second, .. } = self.inner.optimizer_state().await?;
        Ok([first, second].concat())
    }

    /// Goes on behind `steps` steps on the rows set just before.
    pub fn resume(&mut self, adapter: &[f32], moments: &[f32], steps: u32) -> Result<(), ApiError> {
        self.text = None;
        let (first, second) = moments.split_at(moments.len() / 2);
        let state = OptimizerState {
            first: first.to_vec(),
            second: second.to_vec(),
            steps,
        };
        Ok(self.inner.resume(adapter, &state)?)
    }

    /// Trains on so many batches.
    pub async fn steps(&mut self, count: u32) -> Result<JsValue, ApiError> {
        self.text = None;
        let start = milliseconds();
        let losses = self.inner.steps(count).await?;
        let milliseconds = milliseconds() - start;
        to_js(&StepsView {
            losses,
            milliseconds,
        })
    }

    /// The mean loss of a scored token of these rows.
    pub async fn evaluate(
        &mut self,
        tokens: Vec<u32>,
        starts: Vec<u32>,
        labels: Vec<u32>,
    ) -> Result<JsValue, ApiError> {
        let score = self.inner.score(&rows(&tokens, &starts, &labels)?).await?;
        to_js(&EvaluationView {
            loss: score.mean(),
            accuracy: None,
            tokens: score.tokens,
        })
    }

    /// Counts of the last step.
    pub fn counts(&self) -> Result<JsValue, ApiError> {
        to_js(&CountsView::from(self.inner.counts()?))
    }

    /// Refused: a language task has no classifier.
    #[wasm_bindgen(js_name = setFrozenHead)]
    pub fn set_frozen_head(&mut self, _flat: &[f32]) -> Result<(), ApiError> {
        Err(no_classifier())
    }

    /// Mean loss of a scored token and flat gradient on all of these rows as one batch. The adapter
    /// stays as it is.
    pub async fn gradient(
        &mut self,
        tokens: Vec<u32>,
        starts: Vec<u32>,
        labels: Vec<u32>,
    ) -> Result<JsValue, ApiError> {
        self.text = None;
        let rows = rows(&tokens, &starts, &labels)?;
        to_js(&GradientView::from(self.inner.gradient(&rows).await?))
    }

    /// Refused: a language task has no classifier.
    pub async fn classify(
        &mut self,
        _tokens: Vec<u32>,
        _starts: Vec<u32>,
    ) -> Result<Vec<f32>, ApiError> {
        Err(no_classifier())
    }

    /// Refused: a language task has no classifier.
    pub async fn centroids(&mut self) -> Result<Vec<f32>, ApiError> {
        Err(no_classifier())
    }
}

fn no_classifier() -> ApiError {
    ApiError::new("bad-task", &"a language task has no classifier")
}

//! A model on a device, for JavaScript. One module is built per engine; this file is in each.

use core::cell::Cell;
use std::rc::Rc;

use choir_shared::task::TaskConfig;
use choir_shared::wire::{self, limits};
use js_sys::{Float32Array, Promise};
use serde::Serialize;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use wasm_bindgen_futures::future_to_promise;

use super::clock::milliseconds;
use super::device::{DeviceEngine, open_engine};
use super::error::{ApiError, to_js};
use super::plan::PlanView;
use crate::engine::quantised::WeightPrecision;
use crate::engine::{DeviceInfo, EngineError, OptimizerState, Preparation, StepCounts};
use crate::train::batch::Examples;
use crate::train::step::LossAndGradient;
use crate::train::{self, TrainError};

#[derive(Serialize)]
pub(super) struct InfoView {
    device: String,
    adapter: String,
}

impl From<DeviceInfo> for InfoView {
    fn from(info: DeviceInfo) -> Self {
        Self {
            device: info.kind,
            adapter: info.adapter,
        }
    }
}

#[derive(Serialize)]
struct StepView {
    step: u32,
    loss: f32,
    milliseconds: f64,
}

#[derive(Serialize)]
pub(super) struct StepsView {
    pub(super) losses: Vec<f32>,
    pub(super) milliseconds: f64,
}

#[derive(Serialize)]
pub(super) struct CountsView {
    dispatches: u32,
    submits: u32,
    readbacks: u32,
    #[serde(rename = "peakBytes")]
    peak_bytes: u64,
}

impl From<StepCounts> for CountsView {
    fn from(counts: StepCounts) -> Self {
        Self {
            dispatches: counts.dispatches,
            submits: counts.submits,
            readbacks: counts.readbacks,
            peak_bytes: counts.peak_bytes,
        }
    }
}

#[derive(Serialize)]
pub(super) struct GradientView {
    loss: f32,
    #[serde(with = "serde_wasm_bindgen::preserve")]
    gradient: Float32Array,
}

impl From<LossAndGradient> for GradientView {
    fn from(found: LossAndGradient) -> Self {
        Self {
            loss: found.loss,
            gradient: Float32Array::from(found.gradient.as_slice()),
        }
    }
}

#[derive(Serialize)]
struct EvaluationView {
    loss: f32,
    accuracy: f32,
    predictions: Vec<u32>,
}

/// Kernels that are being made ready.
#[wasm_bindgen(js_name = Preparation)]
pub struct PreparationView {
    kernels: usize,
    ready: Rc<Cell<usize>>,
    done: Promise,
}

impl From<Preparation> for PreparationView {
    fn from(preparation: Preparation) -> Self {
        let Preparation {
            kernels,
            ready,
            done,
        } = preparation;
        let done = async move {
            done.await.map_err(ApiError::from)?;
            Ok(JsValue::UNDEFINED)
        };
        Self {
            kernels,
            ready,
            done: future_to_promise(done),
        }
    }
}

#[wasm_bindgen(js_class = Preparation)]
impl PreparationView {
    /// How many there are.
    #[wasm_bindgen(getter)]
    pub fn kernels(&self) -> usize {
        self.kernels
    }

    /// How many are ready by now.
    #[wasm_bindgen(getter)]
    pub fn ready(&self) -> usize {
        self.ready.get()
    }

    /// Fulfilled when all are.
    #[wasm_bindgen(getter)]
    pub fn done(&self) -> Promise {
        self.done.clone()
    }
}

/// Trains one task on this module's engine.
#[wasm_bindgen]
pub struct Trainer {
    pub(super) inner: train::Trainer<DeviceEngine>,
}

#[wasm_bindgen]
impl Trainer {
    /// A trainer for the task with this configuration (wire bytes), on a device of this engine.
    /// `precision` is what the frozen matrices are kept in: `"f32"`, which is also what none stands
    /// for, `"int8"` or `"int4"`.
    pub async fn open(config: Vec<u8>, precision: Option<String>) -> Result<Self, ApiError> {
        let precision = precision_of(precision.as_deref())?;
        let config: TaskConfig = wire::decode(&config, limits::TASK_CONFIG)
            .map_err(|error| ApiError::new("bad-input", &error))?;
        config
            .check()
            .map_err(|error| ApiError::new("bad-task", &error))?;
        let engine = open_engine().await?;
        let mut inner = train::Trainer::new(engine, config)?;
        inner.set_precision(precision)?;
        Ok(Self { inner })
    }

    /// Plans what a step on the longest batch takes of the device's memory: call it before the weights
    /// come. Some of the activations are made again from here on where that is needed to stay within
    /// `max_gpu_bytes`; the code is `too-large` where it takes more even so. `null` where an engine
    /// does not count its memory.
    pub fn plan(&mut self, max_gpu_bytes: Option<f64>) -> Result<JsValue, ApiError> {
        let granted = max_gpu_bytes.map(|bytes| bytes as u64);
        to_js(&self.inner.plan(granted)?.map(PlanView::from))
    }

    /// Makes the task's kernels ready beside everything else: call it before the weights come.
    pub fn prepare(&mut self) -> Result<PreparationView, ApiError> {
        Ok(self.inner.prepare()?.into())
    }

    /// The device and its adapter's name.
    pub fn info(&self) -> Result<JsValue, ApiError> {
        to_js(&InfoView::from(self.inner.device()))
    }

    /// The next bytes of the safetensors file, in any chunking.
    #[wasm_bindgen(js_name = addWeights)]
    pub fn add_weights(&mut self, chunk: &[u8]) -> Result<(), ApiError> {
        Ok(self.inner.add_weights(chunk)?)
    }

    /// Ends the weights; fails if tensors are missing, by name.
    #[wasm_bindgen(js_name = finishWeights)]
    pub fn finish_weights(&mut self) -> Result<(), ApiError> {
        Ok(self.inner.finish_weights()?)
    }

    /// The classifier of a task whose payload has none.
    #[wasm_bindgen(js_name = setFrozenHead)]
    pub fn set_frozen_head(&mut self, flat: &[f32]) -> Result<(), ApiError> {
        Ok(self.inner.set_frozen_head(flat)?)
    }

    /// Loads an adapter; the optimizer starts anew.
    #[wasm_bindgen(js_name = setAdapter)]
    pub fn set_adapter(&mut self, flat: &[f32]) -> Result<(), ApiError> {
        Ok(self.inner.set_adapter(flat)?)
    }

    /// The adapter as it is now.
    pub async fn adapter(&mut self) -> Result<Vec<f32>, ApiError> {
        Ok(self.inner.adapter().await?)
    }

    /// The examples to train on, packed, and the seed of their order.
    #[wasm_bindgen(js_name = setExamples)]
    pub fn set_examples(
        &mut self,
        tokens: Vec<u32>,
        starts: Vec<u32>,
        labels: Vec<u32>,
        seed: u64,
    ) -> Result<(), ApiError> {
        self.inner
            .set_examples(examples(tokens, starts, labels)?, seed);
        Ok(())
    }

    /// The optimizer's first moments, then its second moments: what `resume` needs beside the
    /// adapter.
    pub async fn optimizer(&mut self) -> Result<Vec<f32>, ApiError> {
        let OptimizerState { first, second, .. } = self.inner.optimizer_state().await?;
        Ok([first, second].concat())
    }

    /// Goes on behind `steps` steps on the examples set just before: adapter and moments as they
    /// were then, on whichever engine.
    pub fn resume(&mut self, adapter: &[f32], moments: &[f32], steps: u32) -> Result<(), ApiError> {
        let (first, second) = moments.split_at(moments.len() / 2);
        let state = OptimizerState {
            first: first.to_vec(),
            second: second.to_vec(),
            steps,
        };
        Ok(self.inner.resume(adapter, &state)?)
    }

    /// Trains on the next batch.
    pub async fn step(&mut self) -> Result<JsValue, ApiError> {
        let start = milliseconds();
        let report = self.inner.step().await?;
        let milliseconds = milliseconds() - start;
        to_js(&StepView {
            step: report.step,
            loss: report.loss,
            milliseconds,
        })
    }

    /// Trains on so many batches and waits for the device once.
    pub async fn steps(&mut self, count: u32) -> Result<JsValue, ApiError> {
        let start = milliseconds();
        let reports = self.inner.steps(count).await?;
        let milliseconds = milliseconds() - start;
        to_js(&StepsView {
            losses: reports.iter().map(|report| report.loss).collect(),
            milliseconds,
        })
    }

    /// Loss and flat gradient on all of these examples as one batch: what the engines are compared
    /// by. The adapter stays as it is.
    pub async fn gradient(
        &mut self,
        tokens: Vec<u32>,
        starts: Vec<u32>,
        labels: Vec<u32>,
    ) -> Result<JsValue, ApiError> {
        let examples = examples(tokens, starts, labels)?;
        to_js(&GradientView::from(self.inner.gradient(&examples).await?))
    }

    /// Loss, accuracy and predictions on labelled examples.
    pub async fn evaluate(
        &mut self,
        tokens: Vec<u32>,
        starts: Vec<u32>,
        labels: Vec<u32>,
    ) -> Result<JsValue, ApiError> {
        let evaluation = self
            .inner
            .evaluate(&examples(tokens, starts, labels)?)
            .await?;
        let train::evaluate::Evaluation {
            loss,
            accuracy,
            predictions,
        } = evaluation;
        to_js(&EvaluationView {
            loss,
            accuracy,
            predictions,
        })
    }

    /// Class probabilities, `[texts, labels]`, row-major.
    pub async fn classify(
        &mut self,
        tokens: Vec<u32>,
        starts: Vec<u32>,
    ) -> Result<Vec<f32>, ApiError> {
        Ok(self
            .inner
            .classify(&examples(tokens, starts, Vec::new())?)
            .await?)
    }

    /// The payload of a centroids task, of the examples set.
    pub async fn centroids(&mut self) -> Result<Vec<f32>, ApiError> {
        Ok(self.inner.centroids().await?)
    }

    /// Counts of the last step.
    pub fn counts(&self) -> Result<JsValue, ApiError> {
        to_js(&CountsView::from(self.inner.counts()))
    }
}

pub(super) fn precision_of(name: Option<&str>) -> Result<WeightPrecision, ApiError> {
    match name {
        None | Some("f32") => Ok(WeightPrecision::F32),
        Some("int8") => Ok(WeightPrecision::Int8),
        Some("int4") => Ok(WeightPrecision::Int4),
        Some(other) => Err(ApiError::new(
            "bad-input",
            &format!("no precision of weights: {other}"),
        )),
    }
}

fn examples(tokens: Vec<u32>, starts: Vec<u32>, labels: Vec<u32>) -> Result<Examples, ApiError> {
    Ok(Examples::new(tokens, starts, labels)?)
}

impl From<TrainError> for ApiError {
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::Engine(error) => error.into(),
            TrainError::Load(error) => Self::new("bad-model", &error),
            TrainError::Llama2c(error) => Self::new("bad-model", &error),
            error @ TrainError::BaseModel(_) => Self::new("bad-model", &error),
            TrainError::Task(error) => Self::new("bad-task", &error),
            error @ TrainError::Kind { .. } => Self::new("bad-task", &error),
            error @ TrainError::TooEarly(_) => Self::new("internal", &error),
        }
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let code = match error {
            EngineError::NoDevice(_) => "no-device",
            EngineError::DeviceLost(_) => "device-lost",
            EngineError::NotFinite { .. } => "not-finite",
            EngineError::TooLarge { .. } => "too-large",
            EngineError::Shape { .. } | EngineError::OutOfRange { .. } => "bad-input",
        };
        Self::new(code, &error)
    }
}

//! The workload "decoder" on this module's engine, for benches.

use serde::Serialize;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use super::clock::milliseconds;
use super::device::{DeviceEngine, open_engine};
use super::error::{ApiError, to_js};
use super::plan::PlanView;
use super::trainer::{CountsView, InfoView};
use crate::bench::decoder;
use crate::engine::{Engine, EngineError, Preparation};

#[derive(Serialize)]
struct StepView {
    step: usize,
    loss: f32,
    milliseconds: f64,
}

/// Trains the workload "decoder" (version 1): weights, adapter and tokens are made here.
#[wasm_bindgen]
pub struct DecoderWorkload {
    inner: decoder::Workload<DeviceEngine>,
    /// Until the first step, which waits for it.
    preparation: Option<Preparation>,
    kernels: usize,
    plan: Option<PlanView>,
}

#[wasm_bindgen]
impl DecoderWorkload {
    /// The workload before its first step, on a device of this module's engine.
    pub async fn open() -> Result<Self, ApiError> {
        let mut engine = open_engine().await?;
        let plan = decoder::Workload::plan(&mut engine)?;
        let preparation = decoder::Workload::prepare(&mut engine)?;
        let inner = decoder::Workload::new(engine)?;
        Ok(Self {
            inner,
            kernels: preparation.kernels,
            plan: plan.map(PlanView::from),
            preparation: Some(preparation),
        })
    }

    /// The device and its adapter's name.
    pub fn info(&self) -> Result<JsValue, ApiError> {
        to_js(&InfoView::from(self.inner.engine().device()))
    }

    /// One step: its number, the loss before its update, and how long it took.
    pub async fn step(&mut self) -> Result<JsValue, ApiError> {
        let (start, step) = (milliseconds(), self.inner.steps());
        let loss = self.inner.step().await?;
        if !loss.is_finite() {
            let step = u32::try_from(step).unwrap_or(u32::MAX);
            return Err(EngineError::NotFinite { step }.into());
        }
        to_js(&StepView {
            step,
            loss,
            milliseconds: milliseconds() - start,
        })
    }

    /// Waits for the kernels; yields how many there are.
    pub async fn ready(&mut self) -> Result<usize, ApiError> {
        if let Some(preparation) = self.preparation.take() {
            preparation.done.await?;
        }
        Ok(self.kernels)
    }

    /// What a step takes of the device's memory, planned before the first; `null` where an engine
    /// does not count it.
    pub fn plan(&self) -> Result<JsValue, ApiError> {
        to_js(&self.plan)
    }

    /// Counts of the last step.
    pub fn counts(&self) -> Result<JsValue, ApiError> {
        to_js(&CountsView::from(self.inner.engine().counts()))
    }
}

//! What a training will take of a device's memory, for JavaScript.

use serde::Serialize;

use crate::engine::MemoryPlan;
use crate::train::prepare::TrainingPlan;

/// Bytes, before anything is trained.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PlanView {
    peak_bytes: u64,
    frozen_bytes: u64,
    adapter_bytes: u64,
    activation_bytes: u64,
    /// Whether some of the activations are made again instead of being kept.
    recomputes: bool,
}

impl From<MemoryPlan> for PlanView {
    fn from(memory: MemoryPlan) -> Self {
        let recomputes = false;
        TrainingPlan { memory, recomputes }.into()
    }
}

impl From<TrainingPlan> for PlanView {
    fn from(TrainingPlan { memory, recomputes }: TrainingPlan) -> Self {
        let MemoryPlan {
            peak_bytes,
            frozen_bytes,
            adapter_bytes,
            activation_bytes,
        } = memory;
        Self {
            peak_bytes,
            frozen_bytes,
            adapter_bytes,
            activation_bytes,
            recomputes,
        }
    }
}

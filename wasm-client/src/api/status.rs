//! What a site and a task look like, decoded for the page.

use choir_shared::control::{RoundSummary, SiteStatus, TaskState, TaskStatus};
use choir_shared::ids::{Digest, PublicKey, RoundId, TaskId};
use choir_shared::task::{AdapterLayout, Aggregation, BaseFiles, Payload};
use choir_shared::wire::{self, WireError, limits};
use serde::Serialize;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::error::{ApiError, to_js};

/// The SDK's `TaskStatus`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TaskStatusView<'a> {
    name: &'a str,
    payload: &'static str,
    files: Option<BaseFiles>,
    vocabulary: u32,
    labels: &'a [String],
    max_length: u16,
    batch_size: u16,
    local_steps: u16,
    weights: Digest,
    weights_bytes: u64,
    tokenizer: Digest,
    frozen_head: Option<Digest>,
    adapter_length: usize,
    version: u32,
    adapter: Digest,
    round: Option<RoundId>,
    running: bool,
    rounds_left: u32,
    successor: Option<TaskId>,
    cohort_size: u16,
    min_cohort: u16,
    noise_multiplier: f32,
    helper: Option<HelperView<'a>>,
    history: Vec<ClosedRoundView>,
    task_digest: Digest,
    #[serde(with = "serde_bytes")]
    config: Vec<u8>,
}

/// The second aggregator of a task that has one.
#[derive(Serialize)]
struct HelperView<'a> {
    url: &'a str,
    key: PublicKey,
}

/// The SDK's `ClosedRound`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClosedRoundView {
    round: RoundId,
    version: u32,
    clients: u16,
    survivors: u16,
    sum_digest: Digest,
}

#[derive(Serialize)]
struct SiteStatusView {
    task: Option<TaskId>,
}

/// A task and where it stands, from the wire bytes of a `TaskStatus`.
#[wasm_bindgen(js_name = decodeTaskStatus)]
pub fn decode_task_status(bytes: &[u8]) -> Result<JsValue, ApiError> {
    let status = task_status(bytes)?;
    let config = &status.config;
    let layout = AdapterLayout::new(config).map_err(|error| ApiError::new("bad-task", &error))?;
    to_js(&TaskStatusView {
        name: &config.name,
        payload: match config.payload {
            Payload::Adapter(_) => "adapter",
            Payload::Centroids => "centroids",
            Payload::Language(_) => "language",
        },
        files: match &config.payload {
            Payload::Language(language) => Some(language.files),
            Payload::Adapter(_) | Payload::Centroids => None,
        },
        vocabulary: config.base.shape.vocabulary,
        labels: &config.labels,
        max_length: config.max_length,
        batch_size: config.training.batch_size,
        local_steps: config.training.local_steps,
        weights: config.base.weights,
        weights_bytes: config.base.weights_bytes,
        tokenizer: config.base.tokenizer,
        frozen_head: config.frozen_head,
        adapter_length: layout.len(),
        version: status.version.0,
        adapter: status.adapter,
        round: status.round,
        running: status.state == TaskState::Running,
        rounds_left: status.rounds_left,
        successor: status.successor,
        cohort_size: config.cohort.cohort_size,
        min_cohort: config.cohort.min_cohort,
        noise_multiplier: config.dp.noise_multiplier,
        helper: match &config.aggregation {
            Aggregation::OneAggregator => None,
            Aggregation::TwoAggregators(helper) => Some(HelperView {
                url: &helper.url,
                key: helper.key,
            }),
        },
        history: status.history.iter().map(ClosedRoundView::from).collect(),
        task_digest: config.digest(),
        config: wire::encode(config),
    })
}

impl From<&RoundSummary> for ClosedRoundView {
    fn from(summary: &RoundSummary) -> Self {
        Self {
            round: summary.round,
            version: summary.version_before.next().0,
            clients: summary.clients,
            survivors: summary.survivors,
            sum_digest: summary.sum,
        }
    }
}

/// The task that a site points at, from the wire bytes of a `SiteStatus`.
#[wasm_bindgen(js_name = decodeSiteStatus)]
pub fn decode_site_status(bytes: &[u8]) -> Result<JsValue, ApiError> {
    let site: SiteStatus = wire::decode(bytes, limits::SMALL_STATUS).map_err(unreadable)?;
    to_js(&SiteStatusView { task: site.task })
}

/// An update: the adapter after local training minus the one before.
#[wasm_bindgen]
pub fn subtract(after: &[f32], before: &[f32]) -> Result<Vec<f32>, ApiError> {
    if after.len() != before.len() {
        let reason = format!("{} values after, {} before", after.len(), before.len());
        return Err(ApiError::new("bad-input", &reason));
    }
    Ok(after
        .iter()
        .zip(before)
        .map(|(after, before)| after - before)
        .collect())
}

/// A checked task status.
pub(super) fn task_status(bytes: &[u8]) -> Result<TaskStatus, ApiError> {
    let status: TaskStatus = wire::decode(bytes, limits::TASK_STATUS).map_err(unreadable)?;
    status
        .config
        .check()
        .map_err(|error| ApiError::new("bad-task", &error))?;
    Ok(status)
}

fn unreadable(error: WireError) -> ApiError {
    ApiError::new("bad-input", &error)
}

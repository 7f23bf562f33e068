//! What a headless demo measured, as JSON.

use crate::aggregator::Aggregator;
use crate::evaluator::Quality;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The result of one run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// `one-aggregator` or `two-aggregators`.
    pub(crate) mode: &'static str,
    /// Who added the updates up.
    pub(crate) processes: Vec<Process>,
    /// `webgpu` or `cpu`.
    pub(crate) device: String,
    /// The adapter's own name.
    pub(crate) adapter: String,
    /// Who evaluated.
    pub(crate) evaluator: String,
    /// Version 0.
    pub(crate) start: Score,
    /// The baseline without any training.
    pub(crate) centroid_accuracy: f64,
    /// The best tab trained alone for the same steps, where that was run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) best_local_accuracy: Option<f64>,
    /// How far each part moved in all rounds together (L2).
    pub(crate) update_norm: BTreeMap<String, f64>,
    /// Every round.
    pub(crate) rounds: Vec<RoundScore>,
    /// Parts alone, where that was run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ablation: Option<BTreeMap<&'static str, f64>>,
    /// The choices of the run.
    pub(crate) options: Value,
    /// The whole run in seconds.
    pub(crate) seconds: f64,
}

/// One aggregator of the run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Process {
    /// `aggregator`, or `leader` and `helper`.
    pub(crate) name: &'static str,
    /// Where it listened.
    pub(crate) url: String,
    /// The number of its process.
    pub(crate) pid: u32,
}

/// The aggregators of a run.
pub(super) fn processes(aggregator: &Aggregator) -> Vec<Process> {
    let process = |name, of: &Aggregator| Process {
        name,
        url: of.operator.base().to_owned(),
        pid: of.process(),
    };
    match &aggregator.helper {
        None => vec![process("aggregator", aggregator)],
        Some(helper) => vec![process("leader", aggregator), process("helper", helper)],
    }
}

/// Accuracy and loss on the held-out examples.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Score {
    /// Fraction of right answers.
    pub(crate) accuracy: f64,
    /// Mean cross-entropy.
    pub(crate) loss: f64,
}

impl From<Quality> for Score {
    fn from(Quality { accuracy, loss }: Quality) -> Self {
        Self { accuracy, loss }
    }
}

/// One round.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RoundScore {
    /// Fraction of right answers after it.
    pub(crate) accuracy: f64,
    /// Mean cross-entropy after it.
    pub(crate) loss: f64,
    /// Clients in the roster.
    pub(crate) clients: u16,
    /// Clients in the sum.
    pub(crate) survivors: u16,
    /// Clients lost.
    pub(crate) dropped: u16,
    /// Payload of all clients, to the aggregator.
    pub(crate) bytes_up: u64,
    /// Payload of all clients, from the aggregator.
    pub(crate) bytes_down: u64,
    /// Median wall time over the tabs' steps.
    pub(crate) ms_per_step: f64,
    /// Whether the published sum is the plain one, word for word.
    pub(crate) sum_matches_plain: bool,
}

/// The choices that a reader needs to repeat the run.
pub(super) fn choices(options: &super::Options) -> Value {
    json!({
        "mode": options.mode.name(),
        "tabs": options.tabs,
        "rounds": options.rounds,
        "data": options.data,
        "engine": options.engine,
        "labels": options.labels.map(|labels| format!("{labels:?}")),
        "split": format!("{:?}", options.split),
        "head": format!("{:?}", options.head),
        "batch": options.batch,
        "steps": options.steps,
        "rank": options.rank,
        "targets": options.targets,
        "prompt": options.prompt,
        "learning_rate": options.learning_rate,
        "close_one": options.close_one,
        "seed": options.seed,
    })
}

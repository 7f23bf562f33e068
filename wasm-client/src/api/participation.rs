//! One client in one round, for JavaScript: bytes in, effects out.

use choir_shared::ids::TaskId;
use choir_shared::messages::{AggregatorMessage, Receipt};
use choir_shared::policy::Policy;
use choir_shared::round::{ClientEffect, ClientEvent, ClientRound, JoinError, JoinSetup};
use choir_shared::update::{FrozenUpdate, UpdateError};
use choir_shared::wire::{self, limits};
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::entropy::TabEntropy;
use super::error::{ApiError, to_js};
use super::status::task_status;
use crate::answers::{Next, upload_event};

/// The page's policy as the SDK writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PolicyView {
    min_cohort: u16,
    corrupt_permille: u16,
    noise_multiplier: f32,
    clip: f32,
    uploads: u16,
}

/// The SDK's `Effect`.
#[derive(Serialize)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
enum EffectView {
    Send {
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    Upload {
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    Lobby {
        joined: u16,
        cohort_size: u16,
        min_cohort: u16,
    },
    Phase {
        phase: &'static str,
    },
    Finished {
        receipt: ReceiptView,
    },
    Left {
        reason: String,
        next: &'static str,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReceiptView {
    version: u32,
    clients: u16,
    survivors: u16,
    sum_digest: String,
}

/// One client in one round.
#[wasm_bindgen]
pub struct Participation {
    inner: ClientRound,
    first: Vec<ClientEffect>,
    #[cfg(feature = "observe")]
    plain_words: Vec<u32>,
}

#[wasm_bindgen]
impl Participation {
    /// Freezes an update and makes the keys of a session; `start` tells what to send first.
    pub fn join(
        status: &[u8],
        task: &str,
        policy: JsValue,
        update: &[f32],
        example_count: u32,
    ) -> Result<Self, ApiError> {
        let status = task_status(status)?;
        let task_id: TaskId = task
            .parse()
            .map_err(|error| ApiError::new("bad-input", &error))?;
        let round_id = status
            .round
            .ok_or_else(|| ApiError::new("bad-task", &"the task has no open round"))?;
        let setup = JoinSetup {
            policy: policy_of(policy)?,
            task: &status.config,
            task_id,
            round_id,
            version: status.version,
            adapter: status.adapter,
        };
        let update = FrozenUpdate::new(update, example_count, &status.config, &mut TabEntropy)
            .map_err(update_refused)?;
        #[cfg(feature = "observe")]
        let plain_words = update.plain_words().to_vec();
        let (inner, first) =
            ClientRound::join(&setup, update, &mut TabEntropy).map_err(join_refused)?;
        Ok(Self {
            inner,
            first,
            #[cfg(feature = "observe")]
            plain_words,
        })
    }

    /// What to do first, once the socket is open.
    pub fn start(&mut self) -> Result<JsValue, ApiError> {
        let first = core::mem::take(&mut self.first);
        effects_to_js(first)
    }

    /// The aggregator said something.
    pub fn message(&mut self, bytes: &[u8]) -> Result<JsValue, ApiError> {
        let message: AggregatorMessage = wire::decode(bytes, limits::AGGREGATOR_MESSAGE)
            .map_err(|error| ApiError::new("refused", &error))?;
        self.handle(ClientEvent::Message(message))
    }

    /// The aggregator answered the upload with this status and body.
    pub fn uploaded(&mut self, status: u16, body: &[u8]) -> Result<JsValue, ApiError> {
        self.handle(upload_event(status, body))
    }

    /// The socket closed.
    pub fn disconnected(&mut self) -> Result<JsValue, ApiError> {
        self.handle(ClientEvent::Disconnected)
    }

    /// There is a new socket.
    pub fn reconnected(&mut self) -> Result<JsValue, ApiError> {
        self.handle(ClientEvent::Reconnected)
    }

    /// The plain integers of the update, for a test that compares them with the published sum.
    #[cfg(feature = "observe")]
    #[wasm_bindgen(js_name = plainWords)]
    pub fn plain_words(&self) -> Vec<u32> {
        self.plain_words.clone()
    }

    fn handle(&mut self, event: ClientEvent) -> Result<JsValue, ApiError> {
        effects_to_js(self.inner.handle(event, &mut TabEntropy))
    }
}

fn effects_to_js(effects: Vec<ClientEffect>) -> Result<JsValue, ApiError> {
    let views: Vec<EffectView> = effects.into_iter().map(EffectView::from).collect();
    to_js(&views)
}

impl From<ClientEffect> for EffectView {
    fn from(effect: ClientEffect) -> Self {
        match effect {
            ClientEffect::Send(bytes) => Self::Send { bytes },
            ClientEffect::Upload(bytes) => Self::Upload { bytes },
            ClientEffect::Lobby {
                joined,
                cohort_size,
                min_cohort,
                deadline: _,
            } => Self::Lobby {
                joined,
                cohort_size,
                min_cohort,
            },
            ClientEffect::Phase(phase) => Self::Phase {
                phase: phase.as_str(),
            },
            ClientEffect::Finished(receipt) => Self::Finished {
                receipt: receipt.into(),
            },
            ClientEffect::Left(reason) => Self::Left {
                reason: reason.to_string(),
                next: Next::after(reason).as_str(),
            },
        }
    }
}

impl From<Receipt> for ReceiptView {
    fn from(receipt: Receipt) -> Self {
        Self {
            version: receipt.version.0,
            clients: receipt.clients,
            survivors: receipt.survivors,
            sum_digest: receipt.sum.to_string(),
        }
    }
}

pub(super) fn policy_of(value: JsValue) -> Result<Policy, ApiError> {
    let view: PolicyView = serde_wasm_bindgen::from_value(value)?;
    Ok(Policy {
        min_cohort: view.min_cohort,
        corrupt_permille: view.corrupt_permille,
        noise_multiplier: view.noise_multiplier,
        clip: view.clip,
        uploads: view.uploads,
        issuer: None,
    })
}

pub(super) fn update_refused(error: UpdateError) -> ApiError {
    let code = match error {
        UpdateError::Task(_) => "bad-task",
        UpdateError::NotFinite => "not-finite",
        UpdateError::NoExamples => "no-examples",
        UpdateError::WrongLength { .. } => "bad-input",
    };
    ApiError::new(code, &error)
}

fn join_refused(error: JoinError) -> ApiError {
    let code = match error {
        JoinError::Task(_) | JoinError::Token => "bad-task",
        JoinError::Policy(_) => "policy",
        JoinError::WrongLength => "bad-input",
    };
    ApiError::new(code, &error)
}

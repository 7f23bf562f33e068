//! One report to two aggregators, for JavaScript: made once, its bytes the same each time.

use choir_shared::ids::{HexError, PublicKey, TaskId};
use choir_shared::messages::AggregatorMessage;
use choir_shared::reject::RejectCode;
use choir_shared::round::LeaveReason;
use choir_shared::two_aggregators::{ReportClient, ReportError, ReportSetup};
use choir_shared::update::FrozenUpdate;
use choir_shared::wire::{self, limits};
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::entropy::TabEntropy;
use super::error::{ApiError, to_js};
use super::participation::{policy_of, update_refused};
use super::status::task_status;
use crate::answers::Next;

/// The part of the page's policy that only this mode has.
#[derive(Deserialize)]
struct HelpersView {
    #[serde(default)]
    helpers: Vec<String>,
}

/// The SDK's `ReportAnswer`.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
enum AnswerView {
    /// The leader has it: the tab may close.
    Taken,
    /// It is not in this round.
    Refused { reason: String, next: &'static str },
}

/// One report of one update.
#[wasm_bindgen]
pub struct Report {
    inner: ReportClient,
    #[cfg(feature = "observe")]
    plain_words: Vec<u32>,
}

#[wasm_bindgen]
impl Report {
    /// Freezes an update, masks it, and seals the mask's seed to the task's helper, if the page's
    /// policy names that.
    pub fn make(
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
        let HelpersView { helpers } = serde_wasm_bindgen::from_value(policy.clone())?;
        let helpers: Vec<PublicKey> = helpers
            .iter()
            .map(|key| key.parse())
            .collect::<Result<_, HexError>>()
            .map_err(|error| ApiError::new("bad-input", &error))?;
        let setup = ReportSetup {
            policy: policy_of(policy)?,
            helpers: &helpers,
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
        Ok(Self {
            inner: ReportClient::new(&setup, update, &mut TabEntropy).map_err(refused)?,
            #[cfg(feature = "observe")]
            plain_words,
        })
    }

    /// What is sent, as often as it takes.
    pub fn bytes(&self) -> Vec<u8> {
        self.inner.bytes().to_vec()
    }

    /// What the leader's answer means. One that it has already counts as taken: its first answer was
    /// lost.
    pub fn answered(&self, status: u16, body: &[u8]) -> Result<JsValue, ApiError> {
        let code = match wire::decode(body, limits::AGGREGATOR_MESSAGE) {
            _ if (200..300).contains(&status) => return to_js(&AnswerView::Taken),
            Ok(AggregatorMessage::Refused { code, .. }) => code,
            _ => RejectCode::Malformed,
        };
        to_js(&match code {
            RejectCode::Duplicate => AnswerView::Taken,
            code => {
                let reason = LeaveReason::Refused(code);
                AnswerView::Refused {
                    reason: reason.to_string(),
                    next: Next::after(reason).as_str(),
                }
            }
        })
    }

    /// The plain integers of the update, for a test that compares them with the published sum.
    #[cfg(feature = "observe")]
    #[wasm_bindgen(js_name = plainWords)]
    pub fn plain_words(&self) -> Vec<u32> {
        self.plain_words.clone()
    }
}

fn refused(error: ReportError) -> ApiError {
    let code = match error {
        ReportError::Task(_) | ReportError::OneAggregator | ReportError::HelperKey => "bad-task",
        ReportError::Policy(_) => "policy",
        ReportError::WrongLength => "bad-input",
    };
    ApiError::new(code, &error)
}

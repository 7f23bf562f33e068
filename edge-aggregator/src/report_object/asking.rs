//! The leader's question to the helper. The same bytes are sent until a reply comes, with an alarm
//! behind each attempt; the helper gives the same batch the same answer.

use choir_shared::messages::AbortReason;
use choir_shared::round::Outcome;
use choir_shared::task::Aggregation;
use choir_shared::two_aggregators::{BatchRefusal, Leader, LeaderFault};
use worker::js_sys::Uint8Array;
use worker::{Env, Fetch, Headers, Method, Request, RequestInit};

use super::ReportObject;
use super::live::{self, Stage};
use crate::auth::HELPER_TOKEN;
use crate::clock::{now, set_alarm};
use crate::error::EdgeError;
use crate::limits::{CLOSING_FAILURES, closing_retry_ms};

impl ReportObject {
    /// Asks the helper and closes the round with its answer. Where none comes, the alarm asks again.
    pub(super) async fn ask(&self) -> Result<(), EdgeError> {
        if self.busy.replace(true) {
            // Under way in another event; should it fail with its isolate, an alarm is left.
            return self.retry(0).await;
        }
        let asked = self.outcome().await;
        self.busy.set(false);
        let failure = match asked {
            Ok(outcome) => {
                self.end(outcome).await?;
                return self.close().await;
            }
            Err(failure) => failure,
        };
        worker::console_error!("the helper gave no answer: {failure}");
        let failures = self.change(|live, store| {
            live.failures = live.failures.saturating_add(1);
            live.save(store, None)?;
            Ok(live.failures)
        })?;
        if failures < CLOSING_FAILURES {
            return self.retry(failures).await;
        }
        self.end(Err(AbortReason::NotPublished)).await?;
        self.close().await
    }

    /// Puts the end in the place of the open round.
    pub(super) async fn end(&self, outcome: Result<Outcome, AbortReason>) -> Result<(), EdgeError> {
        self.change(|live, store| live.end(store, &outcome, now()))?;
        set_alarm(&self.state, now().after(closing_retry_ms(0))).await
    }

    /// What the helper's answer makes of the batch; an error where there is none yet.
    async fn outcome(&self) -> Result<Result<Outcome, AbortReason>, EdgeError> {
        let question = self.read(|live| match &live.stage {
            Stage::Open(leader) => Question::of(leader),
            _ => None,
        })?;
        let Some(question) = question else {
            return Err(EdgeError::Fault("there is nothing to ask".into()));
        };
        let reply = question.send(&self.env).await?;
        let store = self.store();
        self.read(|live| {
            let Stage::Open(leader) = &live.stage else {
                return Err(EdgeError::Fault("the round has ended meanwhile".into()));
            };
            let mut sum = match leader.replied(&reply) {
                Ok(sum) => sum,
                // The helper's operator may still register the task.
                Err(LeaderFault::Refused(refusal)) if refusal != BatchRefusal::UnknownTask => {
                    worker::console_error!("the helper refused a batch: {refusal}");
                    return Ok(Err(AbortReason::HelperRefused));
                }
                Err(fault) => return Err(EdgeError::Fault(fault.to_string())),
            };
            for id in sum.wanted() {
                sum.add(id, &live::vector(&store, id)?)
                    .map_err(|error| EdgeError::Fault(error.to_string()))?;
            }
            Ok(sum.finish())
        })?
    }
}

/// One batch on its way to the helper.
struct Question {
    url: String,
    batch: Vec<u8>,
    reply_limit: usize,
}

impl Question {
    fn of(leader: &Leader) -> Option<Self> {
        let setup = leader.setup();
        let Aggregation::TwoAggregators(helper) = &setup.task.aggregation else {
            return None;
        };
        let (base, task) = (helper.url.trim_end_matches('/'), setup.task_id);
        Some(Self {
            url: format!("{base}/v1/helper/tasks/{task}/batches"),
            batch: leader.batch()?,
            reply_limit: leader.reply_limit(),
        })
    }

    /// The reply's bytes, of an answer as of a refusal.
    async fn send(&self, env: &Env) -> Result<Vec<u8>, EdgeError> {
        let token = env.secret(HELPER_TOKEN).map_err(|_| {
            EdgeError::Misconfigured(format!("the secret {HELPER_TOKEN} is not set"))
        })?;
        let headers = Headers::new();
        headers.set("authorization", &format!("Bearer {token}"))?;
        headers.set("content-type", "application/octet-stream")?;
        let mut init = RequestInit::new();
        init.with_method(Method::Post)
            .with_headers(headers)
            .with_body(Some(Uint8Array::from(self.batch.as_slice()).into()));
        let request = Request::new_with_init(&self.url, &init)?;
        let mut response = Fetch::Request(request).send().await?;
        let status = response.status_code();
        let length = response.headers().get("content-length")?;
        let length = length.and_then(|text| text.parse::<usize>().ok());
        if length.is_some_and(|length| length > self.reply_limit) {
            return Err(EdgeError::TooLarge);
        }
        match status {
            200 | 400 | 404 | 409 | 413 | 422 => Ok(response.bytes().await?),
            _ => Err(EdgeError::Fault(format!(
                "the helper answered with {status}"
            ))),
        }
    }
}

//! The helper of tasks with two aggregators: it sums the masks of a batch of reports, once.
//!
//! One object holds what one task has used up; all rules are [`HelperTask`]'s. The deployment's
//! operator registers each task with its settings, and the deployment's own minimum stands, whatever
//! the leader asks for. Vectors never come here.

use choir_shared::control::CreateTask;
use choir_shared::ids::{Digest, ReportId, TaskId, to_hex};
use choir_shared::task::TaskConfig;
use choir_shared::two_aggregators::{AnswerError, BatchLog, BatchRefusal, HelperTask};
use choir_shared::wire::{self, limits};
use serde::Serialize;
use worker::{
    DurableObject, Env, Method, Request, Response, SqlStorageValue, State, durable_object,
};

use crate::auth::{require_leader, require_operator};
use crate::config::{self, HelperSettings};
use crate::error::EdgeError;
use crate::internal;
use crate::limits::{INTERNAL_MAX_BYTES, declared_length};
use crate::router::{allow, task_id};
use crate::store::Store;

/// Name of the registered task's settings.
const CONFIG: &str = "config";
/// Name of the digest of the batch that was answered last.
const BATCH: &str = "batch";
/// Name of its reply.
const REPLY: &str = "reply";

/// What a helper says of itself.
#[derive(Serialize)]
struct About {
    key: String,
    min_batch: u16,
}

/// Serves everything below `/v1/helper`.
///
/// # Errors
/// [`EdgeError::UnknownRoute`] where the deployment is no helper; else see [`EdgeError`].
pub async fn route(request: Request, env: &Env, rest: &[&str]) -> Result<Response, EdgeError> {
    let settings = settings(env)?;
    match rest {
        [] => {
            allow(&request, Method::Get, "GET")?;
            Ok(Response::from_json(&About {
                key: to_hex(settings.key.public().as_bytes()),
                min_batch: settings.minimum,
            })?)
        }
        ["tasks", task] => {
            allow(&request, Method::Put, "PUT")?;
            require_operator(&request, env)?;
            forward(request, env, task_id(task)?).await
        }
        ["tasks", task, "batches"] => {
            allow(&request, Method::Post, "POST")?;
            require_leader(&request, env)?;
            forward(request, env, task_id(task)?).await
        }
        _ => Err(EdgeError::UnknownRoute),
    }
}

fn settings(env: &Env) -> Result<HelperSettings, EdgeError> {
    config::helper(env)
        .map_err(|problem| EdgeError::Misconfigured(problem.to_owned()))?
        .ok_or(EdgeError::UnknownRoute)
}

async fn forward(request: Request, env: &Env, task: TaskId) -> Result<Response, EdgeError> {
    Ok(internal::helper(env, task)?
        .fetch_with_request(request)
        .await?)
}

/// The Durable Object of one task's batches.
#[durable_object(fetch)]
pub struct HelperObject {
    state: State,
    env: Env,
}

impl DurableObject for HelperObject {
    fn new(state: State, env: Env) -> Self {
        Self { state, env }
    }

    async fn fetch(&self, request: Request) -> worker::Result<Response> {
        match self.answer(request).await {
            Ok(answer) => Ok(answer),
            Err(error) => error.into_response(),
        }
    }
}

impl HelperObject {
    async fn answer(&self, request: Request) -> Result<Response, EdgeError> {
        match request.method() {
            Method::Put => self.register(request).await,
            _ => self.batch(request).await,
        }
    }

    /// Registers a task. A repetition of the same call changes nothing, another one is refused: what
    /// was used up is used up under these settings.
    async fn register(&self, mut request: Request) -> Result<Response, EdgeError> {
        declared_length(&request, limits::OPERATOR_REQUEST)?;
        let path = request.path();
        let bytes = request.bytes().await?;
        let create: CreateTask =
            wire::decode(&bytes, limits::OPERATOR_REQUEST).map_err(|_| EdgeError::Malformed)?;
        if path.rsplit('/').next() != Some(create.task_id.to_string().as_str()) {
            return Err(EdgeError::Malformed);
        }
        let settings = settings(&self.env)?;
        let key = settings.key.public();
        HelperTask::new(
            create.config.clone(),
            create.task_id,
            &key,
            settings.minimum,
        )?;
        let config = wire::encode(&(create.task_id, create.config));
        let store = Store::of(&self.state);
        if store.exists()?
            && let Some(registered) = store.value(CONFIG)?
        {
            return if registered == config {
                Ok(Response::empty()?)
            } else {
                Err(EdgeError::Conflict("task-exists"))
            };
        }
        store.create()?;
        store.sql().exec(
            "CREATE TABLE IF NOT EXISTS used (report BLOB PRIMARY KEY) WITHOUT ROWID",
            None,
        )?;
        store.put(CONFIG, &config)?;
        Ok(Response::empty()?)
    }

    /// Answers a batch. From reading the log to writing it nothing is awaited.
    async fn batch(&self, mut request: Request) -> Result<Response, EdgeError> {
        let settings = settings(&self.env)?;
        let task = self.task(&settings)?;
        declared_length(&request, task.batch_limit()).map_err(|error| match error {
            EdgeError::TooLarge => BatchRefusal::TooMany.into(),
            other => other,
        })?;
        let bytes = request.bytes().await?;
        let mut log = Log(Store::of(&self.state));
        match task.answer(&settings.key, &bytes, &mut log) {
            Ok(reply) => Ok(Response::from_bytes(reply)?),
            Err(AnswerError::Refused(refusal)) => Err(refusal.into()),
            Err(AnswerError::Log(error)) => Err(error),
        }
    }

    /// The registered task, checked against what the deployment holds now.
    fn task(&self, settings: &HelperSettings) -> Result<HelperTask, EdgeError> {
        let store = Store::of(&self.state);
        if !store.exists()? {
            return Err(BatchRefusal::UnknownTask.into());
        }
        let stored = store.value(CONFIG)?.ok_or(BatchRefusal::UnknownTask)?;
        let (task_id, config): (TaskId, TaskConfig) = wire::decode(&stored, INTERNAL_MAX_BYTES)
            .map_err(|error| EdgeError::Fault(format!("a registered task: {error}")))?;
        let key = settings.key.public();
        Ok(HelperTask::new(config, task_id, &key, settings.minimum)?)
    }
}

/// What the object's storage holds of a task's batches.
struct Log(Store);

impl BatchLog for Log {
    type Error = EdgeError;

    fn reply(&self, batch: &Digest) -> Result<Option<Vec<u8>>, EdgeError> {
        match self.0.value(BATCH)? {
            Some(last) if last == batch.0 => self.0.value(REPLY),
            _ => Ok(None),
        }
    }

    fn is_used(&self, report: &ReportId) -> Result<bool, EdgeError> {
        let mut rows = self
            .0
            .sql()
            .exec("SELECT 1 FROM used WHERE report = ?", vec![blob(report)])?
            .raw();
        Ok(rows.next().transpose()?.is_some())
    }

    fn record(
        &mut self,
        batch: &Digest,
        reports: &[ReportId],
        reply: &[u8],
    ) -> Result<(), EdgeError> {
        let store = &self.0;
        store.atomically(|| {
            for report in reports {
                let row = vec![blob(report)];
                store
                    .sql()
                    .exec("INSERT INTO used (report) VALUES (?)", row)?;
            }
            store.put(BATCH, &batch.0)?;
            store.put(REPLY, reply)
        })
    }
}

fn blob(report: &ReportId) -> SqlStorageValue {
    SqlStorageValue::Blob(report.0.to_vec())
}

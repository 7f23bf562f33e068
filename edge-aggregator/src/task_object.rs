//! A task: its settings, its newest adapter, its current round, its history.
//!
//! The object under the name "site" holds something smaller: which task the page joins, and which
//! tasks there are.
//!
//! Every method that reads and then writes does so without an `await` between, so no other event
//! sees a task half changed. A round asks for its opening and reports its end by itself; the task
//! never waits for one.

use choir_shared::control::{
    CreateTask, RoundSummary, SiteStatus, SuccessorRequest, TaskState, TaskStatus,
};
use choir_shared::ids::{Digest, RoundId, TaskId, Version};
use choir_shared::messages::AbortReason;
use choir_shared::report::RoundEnd;
use choir_shared::task::{Aggregation, TaskConfig};
use choir_shared::wire::{self, limits};
use serde::{Deserialize, Serialize};
use worker::{
    DurableObject, Env, Method, Request, Response, SqlStorageValue, State, durable_object,
};

use crate::error::EdgeError;
use crate::internal::{self, Opening, Report, Stopping};
use crate::limits::{INTERNAL_MAX_BYTES, declared_length};
use crate::store::Store;

mod create;
mod list;
mod report;

pub use create::create;
pub use list::{list, tasks};
pub use report::figures;

/// Everything about a task that changes.
#[derive(Debug, Serialize, Deserialize)]
struct Progress {
    version: Version,
    adapter: Digest,
    /// The round that may still report; stays until it has.
    round: Option<RoundId>,
    state: TaskState,
    rounds_left: u32,
    successor: Option<TaskId>,
}

/// The Durable Object of one task, or of the site.
#[durable_object(fetch)]
pub struct TaskObject {
    state: State,
    env: Env,
}

impl DurableObject for TaskObject {
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

/// Hands a request about a task to its object.
///
/// # Errors
/// See [`EdgeError`].
pub async fn forward(request: Request, env: &Env, task: TaskId) -> Result<Response, EdgeError> {
    Ok(internal::task(env, task)?
        .fetch_with_request(request)
        .await?)
}

/// Hands a request about the site to its object.
///
/// # Errors
/// See [`EdgeError`].
pub async fn forward_site(request: Request, env: &Env) -> Result<Response, EdgeError> {
    Ok(internal::site(env)?.fetch_with_request(request).await?)
}

impl TaskObject {
    async fn answer(&self, request: Request) -> Result<Response, EdgeError> {
        let path = request.path();
        match path.as_str() {
            internal::CREATE => self.create(&internal::body(request).await?),
            internal::OPENING | internal::REPORT_OPENING => {
                let reports = path == internal::REPORT_OPENING;
                internal::answer(&self.opening(internal::body(request).await?, reports)?)
            }
            internal::REPORT => {
                self.take(internal::body(request).await?)?;
                internal::answer(&())
            }
            internal::FIGURES => internal::answer(&self.figures()?),
            internal::LIST => self.take_into_list(internal::body(request).await?),
            internal::LISTED => internal::answer(&self.listed()?),
            "/v1/site" => self.site(request).await,
            _ => match path.rsplit('/').next() {
                Some("start") => self.start(),
                Some("stop") => self.stop().await,
                Some("successor") => {
                    let next: SuccessorRequest = control(request).await?;
                    self.change(|progress| {
                        progress.successor = Some(next.task);
                        Ok(())
                    })?;
                    Ok(Response::empty()?)
                }
                Some("report") => Ok(Response::from_json(&self.report()?)?),
                Some("evaluations") => self.evaluated(control(request).await?),
                _ => internal::answer(&self.status()?),
            },
        }
    }

    fn create(&self, request: &CreateTask) -> Result<Response, EdgeError> {
        let store = self.store();
        let creation = wire::encode(request);
        if store.exists()?
            && let Some(existing) = store.value("creation")?
        {
            // A repetition of the same call is no conflict: its answer may have been lost.
            return if existing == creation {
                Ok(Response::empty()?)
            } else {
                Err(EdgeError::Conflict("task-exists"))
            };
        }
        store.create()?;
        store.sql().exec(
            "CREATE TABLE IF NOT EXISTS history (
                place INTEGER PRIMARY KEY AUTOINCREMENT, round TEXT UNIQUE NOT NULL,
                summary BLOB NOT NULL)",
            None,
        )?;
        report::create_tables(&store)?;
        store.atomically(|| {
            store.put("creation", &creation)?;
            store.put("config", &wire::encode(&request.config))?;
            self.save(&Progress {
                version: Version(0),
                adapter: request.adapter,
                round: None,
                state: TaskState::Stopped,
                rounds_left: request.rounds,
                successor: None,
            })
        })?;
        Ok(Response::empty()?)
    }

    fn start(&self) -> Result<Response, EdgeError> {
        self.change(|progress| {
            if progress.rounds_left == 0 {
                return Err(EdgeError::Conflict("no-rounds-left"));
            }
            progress.state = TaskState::Running;
            progress.round.get_or_insert(fresh_round()?);
            Ok(())
        })?;
        Ok(Response::empty()?)
    }

    /// No further round is opened, and the current one ends, unless its sum is already known.
    async fn stop(&self) -> Result<Response, EdgeError> {
        let round = self.change(|progress| {
            progress.state = TaskState::Stopped;
            Ok(progress.round)
        })?;
        let Some(round) = round else {
            return Ok(Response::empty()?);
        };
        let stub = if takes_reports(&self.config()?) {
            internal::reports(&self.env, round)?
        } else {
            internal::round(&self.env, round)?
        };
        if matches!(
            internal::ask(&stub, internal::STOP, &()).await?,
            Stopping::Over
        ) {
            self.change(|progress| {
                // The task may have been started again meanwhile, with another round.
                if progress.round == Some(round) {
                    progress.round = next_round(progress)?;
                }
                Ok(())
            })?;
        }
        Ok(Response::empty()?)
    }

    /// What the current round is opened with, by an object that takes reports or by one that does
    /// not: a round has one mode, its task's.
    fn opening(&self, round: RoundId, reports: bool) -> Result<Opening, EdgeError> {
        let progress = self.progress()?;
        let config = self.config()?;
        let is_open = progress.state == TaskState::Running && progress.round == Some(round);
        if !is_open || takes_reports(&config) != reports {
            return Err(EdgeError::UnknownRound);
        }
        self.count_opened(round)?;
        let (version, adapter) = (progress.version, progress.adapter);
        Ok(Opening {
            config,
            version,
            adapter,
        })
    }

    /// Takes a round's report. A report that was taken before changes nothing.
    fn take(&self, report: Report) -> Result<(), EdgeError> {
        let store = self.store();
        let mut progress = self.progress()?;
        let (reporting, end, figures) = match &report {
            Report::Closed(summary, figures) => {
                let (survivors, dropped) = (summary.survivors, summary.dropped);
                let end = RoundEnd::Closed { survivors, dropped };
                (summary.round, end, figures)
            }
            Report::Aborted {
                round,
                reason,
                figures,
            } => (*round, RoundEnd::Aborted(*reason), figures),
        };
        if progress.round != Some(reporting) {
            return Ok(());
        }
        store.atomically(|| {
            if let Report::Closed(summary, _) = &report {
                store.sql().exec(
                    "INSERT OR IGNORE INTO history (round, summary) VALUES (?, ?)",
                    vec![
                        summary.round.to_string().into(),
                        SqlStorageValue::Blob(wire::encode(summary)),
                    ],
                )?;
                progress.version = progress.version.next();
                progress.adapter = summary.adapter;
                progress.rounds_left = progress.rounds_left.saturating_sub(1);
            }
            if end == RoundEnd::Aborted(AbortReason::NotPublished) {
                // No further cohort is to work for nothing.
                progress.state = TaskState::Stopped;
            }
            progress.round = next_round(&mut progress)?;
            self.count(end, figures)?;
            self.save(&progress)
        })
    }

    fn status(&self) -> Result<TaskStatus, EdgeError> {
        let progress = self.progress()?;
        Ok(TaskStatus {
            config: self.config()?,
            version: progress.version,
            adapter: progress.adapter,
            round: progress
                .round
                .filter(|_| progress.state == TaskState::Running),
            state: progress.state,
            rounds_left: progress.rounds_left,
            successor: progress.successor,
            history: self.history()?,
        })
    }

    fn history(&self) -> Result<Vec<RoundSummary>, EdgeError> {
        let newest = limits::MAX_HISTORY as i64;
        let rows = self.store().sql().exec(
            "SELECT summary FROM (SELECT place, summary FROM history ORDER BY place DESC LIMIT ?)
             ORDER BY place",
            vec![SqlStorageValue::Integer(newest)],
        )?;
        rows.raw()
            .map(|row| match row?.as_slice() {
                [SqlStorageValue::Blob(summary)] => stored(summary),
                _ => Err(EdgeError::Fault("a summary has another type".into())),
            })
            .collect()
    }

    async fn site(&self, request: Request) -> Result<Response, EdgeError> {
        if request.method() == Method::Get {
            let store = self.store();
            let status = if store.exists()? {
                store.value("site")?
            } else {
                None
            };
            let status = status.unwrap_or_else(|| wire::encode(&SiteStatus::default()));
            return Ok(Response::from_bytes(status)?);
        }
        let status: SiteStatus = control(request).await?;
        let store = self.store();
        store.create()?;
        store.put("site", &wire::encode(&status))?;
        Ok(Response::empty()?)
    }

    /// Reads, changes and stores the progress without letting another event in.
    fn change<R>(
        &self,
        change: impl FnOnce(&mut Progress) -> Result<R, EdgeError>,
    ) -> Result<R, EdgeError> {
        let mut progress = self.progress()?;
        let result = change(&mut progress)?;
        self.save(&progress)?;
        Ok(result)
    }

    fn progress(&self) -> Result<Progress, EdgeError> {
        let store = self.store();
        if !store.exists()? {
            return Err(EdgeError::UnknownTask);
        }
        stored(&store.value("progress")?.ok_or(EdgeError::UnknownTask)?)
    }

    fn save(&self, progress: &Progress) -> Result<(), EdgeError> {
        self.store().put("progress", &wire::encode(progress))
    }

    fn config(&self) -> Result<TaskConfig, EdgeError> {
        stored(
            &self
                .store()
                .value("config")?
                .ok_or(EdgeError::UnknownTask)?,
        )
    }

    fn store(&self) -> Store {
        Store::of(&self.state)
    }
}

/// Whether a task's clients report to two aggregators.
const fn takes_reports(config: &TaskConfig) -> bool {
    matches!(config.aggregation, Aggregation::TwoAggregators(_))
}

/// The round that follows, where one does; without rounds left the task stops.
fn next_round(progress: &mut Progress) -> Result<Option<RoundId>, EdgeError> {
    if progress.rounds_left == 0 {
        progress.state = TaskState::Stopped;
    }
    match progress.state {
        TaskState::Running => fresh_round().map(Some),
        TaskState::Stopped => Ok(None),
    }
}

fn fresh_round() -> Result<RoundId, EdgeError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| EdgeError::Fault(error.to_string()))?;
    Ok(RoundId(bytes))
}

/// Decodes what this object has stored itself.
fn stored<'bytes, T: Deserialize<'bytes>>(bytes: &'bytes [u8]) -> Result<T, EdgeError> {
    wire::decode(bytes, INTERNAL_MAX_BYTES)
        .map_err(|error| EdgeError::Fault(format!("a stored value does not decode: {error}")))
}

/// The body of an operator's call.
async fn control<T: for<'bytes> Deserialize<'bytes>>(mut request: Request) -> Result<T, EdgeError> {
    declared_length(&request, limits::OPERATOR_REQUEST)?;
    let bytes = request.bytes().await?;
    wire::decode(&bytes, limits::OPERATOR_REQUEST).map_err(|_| EdgeError::Malformed)
}

//! One round of a task with two aggregators, at the leader: takes reports, asks the helper, makes
//! the sum.
//!
//! Every decision is [`Leader`]'s. A report's vector is stored with it and read again only when the
//! helper has answered, one at a time, so that memory holds the sum and one vector. With the end of
//! the round all of them are deleted. The borrow and storage rules are those of `round_object`.

use core::cell::{Cell, RefCell};

use choir_shared::ids::{RoundId, TaskId, Timestamp};
use choir_shared::messages::AbortReason;
use choir_shared::reject::RejectCode;
use choir_shared::round::RoundSetup;
use choir_shared::two_aggregators::{Leader, LeaderEffect, Report};
use choir_shared::wire;
use worker::{DurableObject, Env, Method, Request, Response, State, durable_object};

use crate::clock::{now, set_alarm};
use crate::error::EdgeError;
use crate::in_flight::Held;
use crate::internal::{self, Opening, Stopping};
use crate::limits::{closing_retry_ms, declared_length};
use crate::store::Store;

mod asking;
mod closing;
mod live;

use live::{Live, Stage};

/// The Durable Object of one round with two aggregators.
#[durable_object]
pub struct ReportObject {
    state: State,
    env: Env,
    /// None until the first event after the object was made, and after a fault of storage.
    live: RefCell<Option<Live>>,
    /// Whether the helper is being asked, or the next version made, at this moment.
    busy: Cell<bool>,
}

impl DurableObject for ReportObject {
    fn new(state: State, env: Env) -> Self {
        Self {
            state,
            env,
            live: RefCell::new(None),
            busy: Cell::new(false),
        }
    }

    async fn fetch(&self, request: Request) -> worker::Result<Response> {
        match self.answer(request).await {
            Ok(answer) => Ok(answer),
            Err(error) => error.into_response(),
        }
    }

    async fn alarm(&self) -> worker::Result<Response> {
        if let Err(error) = self.wake().await {
            worker::console_error!("alarm: {error}");
            return Err(worker::Error::RustError(error.to_string()));
        }
        Response::empty()
    }
}

/// Hands a request about a round's reports to its object.
///
/// # Errors
/// See [`EdgeError`].
pub async fn forward(request: Request, env: &Env, round: RoundId) -> Result<Response, EdgeError> {
    Ok(internal::reports(env, round)?
        .fetch_with_request(request)
        .await?)
}

impl ReportObject {
    async fn answer(&self, request: Request) -> Result<Response, EdgeError> {
        let path = request.path();
        if path == internal::STOP {
            return internal::answer(&self.stop().await?);
        }
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let ["v1", "tasks", task, "rounds", round, "reports"] = parts.as_slice() else {
            return Err(EdgeError::UnknownRoute);
        };
        let task = task.parse().map_err(|_| EdgeError::UnknownTask)?;
        let round = round.parse().map_err(|_| EdgeError::UnknownRound)?;
        self.open(task, round).await?;
        match request.method() {
            Method::Post => self.receive(request).await,
            _ => self.read(|live| internal::answer(&live.status()))?,
        }
    }

    /// Makes sure that the round is in memory, opening it if it never was.
    async fn open(&self, task: TaskId, round_id: RoundId) -> Result<(), EdgeError> {
        if !self.load()? {
            let stub = internal::task(&self.env, task)?;
            let opening: Opening =
                internal::ask(&stub, internal::REPORT_OPENING, &round_id).await?;
            // Another visitor may have opened it while this one asked.
            if !self.load()? {
                let live = Live::opened(Leader::new(RoundSetup {
                    task: opening.config,
                    task_id: task,
                    round_id,
                    version: opening.version,
                    adapter: opening.adapter,
                })?);
                self.store().create()?;
                live.save(&self.store(), None)?;
                self.live.replace(Some(live));
            }
        }
        self.read(|live| {
            let status = live.status();
            (status.task == task && status.round == round_id).then_some(())
        })?
        .ok_or(EdgeError::UnknownRound)
    }

    /// Reads a report whole, then lets the leader have it. An empty answer means that it is on disk,
    /// and that its client may close.
    async fn receive(&self, mut request: Request) -> Result<Response, EdgeError> {
        let limit = self.read(|live| match &live.stage {
            Stage::Open(leader) => Ok(leader.report_limit()),
            _ => Err(live.refusal()),
        })??;
        let length = match declared_length(&request, limit) {
            Err(EdgeError::TooLarge) => return Err(self.refuse(RejectCode::TooLarge)),
            other => other?,
        };
        let _held = Held::new(length)?;
        let Ok(bytes) = request.bytes().await else {
            return Err(self.refuse(RejectCode::Truncated));
        };
        let effects = self.take(&bytes)?;
        for effect in effects {
            match effect {
                LeaderEffect::WakeAt(at) => set_alarm(&self.state, at).await?,
                // The alarm asks, so that nobody who reports waits for the helper.
                LeaderEffect::Ask => set_alarm(&self.state, now()).await?,
                LeaderEffect::Keep(..) => {}
            }
        }
        Ok(Response::empty()?)
    }

    /// Takes and stores a report; nothing is awaited here.
    fn take(&self, bytes: &[u8]) -> Result<Vec<LeaderEffect>, EdgeError> {
        let mut slot = self.live.borrow_mut();
        let live = slot.as_mut().ok_or(EdgeError::UnknownRound)?;
        live.bytes_up += bytes.len() as u64;
        let Stage::Open(leader) = &mut live.stage else {
            return Err(live.refusal().into());
        };
        let limit = leader.report_limit();
        let effects = match leader.report(bytes, now()) {
            Ok(effects) => effects,
            Err(reject) => {
                live.refused(reject.code);
                return Err(reject.into());
            }
        };
        live.since.get_or_insert_with(now);
        let asks = effects.contains(&LeaderEffect::Ask);
        if asks {
            live.asked_at = Some(now());
        }
        let kept = effects.iter().find_map(|effect| match effect {
            LeaderEffect::Keep(id, received) => Some((*id, *received)),
            _ => None,
        });
        let words = wire::decode::<Report<'_>>(bytes, limit).map(|report| report.words);
        let stored = match (kept, words) {
            (Some((id, received)), Ok(words)) => {
                live.save(&self.store(), Some((id, received, words)))
            }
            _ => live.save(&self.store(), None),
        };
        if let Err(error) = stored {
            // Memory is ahead of storage now; what storage holds is what is true.
            *slot = None;
            return Err(error);
        }
        Ok(effects)
    }

    fn refuse(&self, code: RejectCode) -> EdgeError {
        if let Some(live) = self.live.borrow_mut().as_mut() {
            live.refused(code);
        }
        code.into()
    }

    /// The alarm: a deadline, a question to the helper, a repeated closing, or the end of an ended
    /// round's time.
    async fn wake(&self) -> Result<(), EdgeError> {
        enum Due {
            Nothing,
            Later(Timestamp),
            Asking,
            Closing,
            Forgetting,
        }
        if !self.load()? {
            return Ok(());
        }
        let due = self.change(|live, store| {
            let now = now();
            Ok(match &mut live.stage {
                Stage::Open(leader) => {
                    if leader.tick(now).is_some() {
                        live.asked_at = Some(now);
                        live.save(store, None)?;
                        Due::Asking
                    } else if leader.is_asking() {
                        Due::Asking
                    } else {
                        // Closed by the report that makes it whole, if the deadline is over.
                        let at = leader.status().deadline.filter(|at| *at > now);
                        at.map_or(Due::Nothing, Due::Later)
                    }
                }
                Stage::Closing(_) => Due::Closing,
                Stage::Ended(ended) if ended.until > now => Due::Later(ended.until),
                Stage::Ended(_) => Due::Forgetting,
            })
        })?;
        match due {
            Due::Nothing => Ok(()),
            Due::Later(at) => set_alarm(&self.state, at).await,
            Due::Asking => self.ask().await,
            Due::Closing => self.close().await,
            Due::Forgetting => {
                self.live.replace(None);
                Ok(self.state.storage().delete_all().await?)
            }
        }
    }

    /// The operator's stop.
    async fn stop(&self) -> Result<Stopping, EdgeError> {
        if !self.load()? {
            return Ok(Stopping::Over);
        }
        if self.read(|live| matches!(live.stage, Stage::Open(_)))? {
            self.end(Err(AbortReason::Stopped)).await?;
            self.close().await?;
        }
        self.read(|live| match live.stage {
            Stage::Closing(ref ending) if ending.has_sum() => Stopping::Closing,
            _ => Stopping::Over,
        })
    }

    /// Brings the round into memory if it is stored; says whether it is.
    fn load(&self) -> Result<bool, EdgeError> {
        if self.live.borrow().is_none() {
            self.live.replace(Live::stored(&self.store())?);
        }
        Ok(self.live.borrow().is_some())
    }

    fn read<R>(&self, look: impl FnOnce(&Live) -> R) -> Result<R, EdgeError> {
        if !self.load()? {
            return Err(EdgeError::UnknownRound);
        }
        self.live
            .borrow()
            .as_ref()
            .map(look)
            .ok_or(EdgeError::UnknownRound)
    }

    /// Changes the round in memory and in storage together.
    fn change<R>(
        &self,
        change: impl FnOnce(&mut Live, &Store) -> Result<R, EdgeError>,
    ) -> Result<R, EdgeError> {
        if !self.load()? {
            return Err(EdgeError::UnknownRound);
        }
        let mut slot = self.live.borrow_mut();
        let live = slot.as_mut().ok_or(EdgeError::UnknownRound)?;
        let changed = change(live, &self.store());
        if changed.is_err() {
            *slot = None;
        }
        changed
    }

    async fn retry(&self, failures: u16) -> Result<(), EdgeError> {
        set_alarm(&self.state, now().after(closing_retry_ms(failures))).await
    }

    fn store(&self) -> Store {
        Store::of(&self.state)
    }
}

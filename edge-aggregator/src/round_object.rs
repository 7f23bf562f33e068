//! One round of one cohort: decode, `Round::handle`, store, answer.
//!
//! The round sits in a [`RefCell`] that is borrowed only in blocks without `await`; between reading
//! it and writing it to storage nothing is awaited, so no other event comes in between. The platform
//! may drop the object at any time: the next event finds it in storage (see [`live`]), and sockets
//! keep their connection's number as tag and attachment.
//!
//! A round learns what it is opened with from its task, at its first visitor. Nothing is stored for
//! a round that the task does not know.

use core::cell::{Cell, RefCell};

use choir_shared::ids::{RoundId, TaskId, Timestamp};
use choir_shared::reject::Reject;
use choir_shared::round::{Effect, Event, Round, RoundSetup};
use worker::{
    DurableObject, Env, Request, Response, State, WebSocket, WebSocketIncomingMessage,
    durable_object,
};

use crate::clock::{now, set_alarm};
use crate::error::EdgeError;
use crate::internal::{self, Opening, Stopping};
use crate::store::Store;

mod batch;
mod closing;
mod effects;
mod figures;
mod lanes;
mod live;
mod sockets;
mod uploads;

use effects::Save;
use live::{Live, Stage};

/// The Durable Object of one round.
#[durable_object]
pub struct RoundObject {
    state: State,
    env: Env,
    /// None until the first event after the object was made, and after a fault of storage: then
    /// what storage holds is what is true.
    live: RefCell<Option<Live>>,
    /// Whether the way from the sum to the next version is being gone at this moment.
    closing: Cell<bool>,
}

impl DurableObject for RoundObject {
    fn new(state: State, env: Env) -> Self {
        Self {
            state,
            env,
            live: RefCell::new(None),
            closing: Cell::new(false),
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

    async fn websocket_message(
        &self,
        socket: WebSocket,
        message: WebSocketIncomingMessage,
    ) -> worker::Result<()> {
        self.hear(&socket, message).await;
        Ok(())
    }

    async fn websocket_close(
        &self,
        socket: WebSocket,
        code: usize,
        _reason: String,
        _was_clean: bool,
    ) -> worker::Result<()> {
        // A code that only a runtime may use is answered by a normal one.
        let code = u16::try_from(code)
            .ok()
            .filter(|code| (3000..5000).contains(code));
        let _ = socket.close(Some(code.unwrap_or(1000)), None::<String>);
        self.miss(&socket).await;
        Ok(())
    }

    async fn websocket_error(
        &self,
        socket: WebSocket,
        _error: worker::Error,
    ) -> worker::Result<()> {
        self.miss(&socket).await;
        Ok(())
    }
}

/// Hands a request about a round to its object.
///
/// # Errors
/// See [`EdgeError`].
pub async fn forward(request: Request, env: &Env, round: RoundId) -> Result<Response, EdgeError> {
    Ok(internal::round(env, round)?
        .fetch_with_request(request)
        .await?)
}

impl RoundObject {
    async fn answer(&self, request: Request) -> Result<Response, EdgeError> {
        let path = request.path();
        if path == internal::STOP {
            return internal::answer(&self.stop().await?);
        }
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let ["v1", "tasks", task, "rounds", round, rest @ ..] = parts.as_slice() else {
            return Err(EdgeError::UnknownRoute);
        };
        let task = task.parse().map_err(|_| EdgeError::UnknownTask)?;
        let round = round.parse().map_err(|_| EdgeError::UnknownRound)?;
        self.open(task, round).await?;
        match rest {
            [] => self.read(|live| internal::answer(&live.status()))?,
            ["socket"] => self.admit(&request),
            ["upload"] => self.receive(request).await,
            _ => Err(EdgeError::UnknownRoute),
        }
    }

    /// Makes sure that the round is in memory, opening it if it never was.
    async fn open(&self, task: TaskId, round_id: RoundId) -> Result<(), EdgeError> {
        if !self.load()? {
            let stub = internal::task(&self.env, task)?;
            let opening: Opening = internal::ask(&stub, internal::OPENING, &round_id).await?;
            // Another visitor may have opened it while this one asked.
            if !self.load()? {
                let Opening {
                    config,
                    version,
                    adapter,
                } = opening;
                let setup = RoundSetup {
                    task: config,
                    task_id: task,
                    round_id,
                    version,
                    adapter,
                };
                let round = Round::new(setup)?;
                let mut live = Live::opened(round);
                self.store().create()?;
                live.save(&self.store())?;
                self.live.replace(Some(live));
            }
        }
        self.read(|live| {
            let status = live.status();
            (status.task == task && status.round == round_id).then_some(())
        })?
        .ok_or(EdgeError::UnknownRound)
    }

    /// Brings the round into memory if it is stored; says whether it is.
    fn load(&self) -> Result<bool, EdgeError> {
        if self.live.borrow().is_some() {
            return Ok(true);
        }
        let mut live = Live::stored(&self.store())?;
        if let Some(live) = &mut live {
            live.forget_absent(&sockets::connections(&self.state), now());
        }
        let found = live.is_some();
        self.live.replace(live);
        Ok(found)
    }

    /// Looks at the round.
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

    /// Lets something happen to the round: stores what it changes, then does what it asks for.
    ///
    /// `bytes` is the length of what was received.
    async fn happen(
        &self,
        bytes: usize,
        event: impl FnOnce(&mut Round, Timestamp) -> Result<Vec<Effect>, Reject>,
    ) -> Result<(), EdgeError> {
        let todo = self.apply(bytes, Save::AtOnce, event)?;
        self.perform(todo).await
    }

    /// The part of [`Self::happen`] that must not be interrupted.
    fn apply(
        &self,
        bytes: usize,
        save: Save,
        event: impl FnOnce(&mut Round, Timestamp) -> Result<Vec<Effect>, Reject>,
    ) -> Result<effects::Todo, EdgeError> {
        if !self.load()? {
            return Err(EdgeError::UnknownRound);
        }
        let mut slot = self.live.borrow_mut();
        let live = slot.as_mut().ok_or(EdgeError::UnknownRound)?;
        live.traffic.up += bytes as u64;
        let Stage::Open(round) = &mut live.stage else {
            return Err(live.refusal().into());
        };
        let (before, now) = (round.phase(), now());
        let happened =
            event(round, now).and_then(|effects| lanes::expand_here(round, effects, now));
        let effects = match happened {
            Ok(effects) => effects,
            Err(reject) => {
                live.figures.refused(reject.code);
                return Err(reject.into());
            }
        };
        live.figures.look(round, before, now);
        let stored = effects::store(live, effects, &self.store(), save, || {
            self.state.get_websockets().len()
        });
        if stored.is_err() {
            // Memory is ahead of storage now; what storage holds is what is true.
            *slot = None;
        }
        stored
    }

    /// The alarm: a deadline, a repeated closing, or the end of an ended round's time.
    async fn wake(&self) -> Result<(), EdgeError> {
        enum Due {
            Tick,
            Later(Timestamp),
            Expanding,
            Closing,
            Forgetting,
        }
        if !self.load()? {
            return Ok(());
        }
        let now = now();
        let due = self.read(|live| match &live.stage {
            Stage::Open(round) if round.expansion().is_some() => Due::Expanding,
            Stage::Open(_) => match live.wake_at {
                Some(at) if at > now => Due::Later(at),
                _ => Due::Tick,
            },
            Stage::Closing(_) => Due::Closing,
            Stage::Ended(ended) if ended.until > now => Due::Later(ended.until),
            Stage::Ended(_) => Due::Forgetting,
        })?;
        match due {
            Due::Tick => {
                self.happen(0, |round, now| round.handle(Event::Tick, now))
                    .await
            }
            Due::Later(at) => set_alarm(&self.state, at).await,
            Due::Expanding => self.expand().await,
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
            self.happen(0, |round, now| round.handle(Event::Stop, now))
                .await?;
        }
        self.read(|live| match live.stage {
            Stage::Closing(ref ending) if ending.has_sum() => Stopping::Closing,
            _ => Stopping::Over,
        })
    }

    fn store(&self) -> Store {
        Store::of(&self.state)
    }
}

//! What a round asks for: to storage first, then to sockets and the alarm.

use choir_shared::ids::{ConnectionId, Timestamp};
use choir_shared::messages::AggregatorMessage;
use choir_shared::round::Effect;
use choir_shared::round::aggregator::Dispute;
use choir_shared::wire;

use super::RoundObject;
use super::batch::Batch;
use super::live::{Live, Stage};
use crate::clock::{now, set_alarm};
use crate::ending::{self, Ending};
use crate::error::EdgeError;
use crate::limits::closing_retry_ms;
use crate::store::Store;

/// What is left to do once the change is stored.
pub(super) struct Todo {
    frames: Vec<(Vec<ConnectionId>, Vec<u8>)>,
    alarm: Option<Timestamp>,
    /// Masks are to be expanded by other objects.
    expands: bool,
    closes: bool,
    /// What happened is not stored yet, and is to be waited for.
    pub(super) held: Option<Batch>,
}

/// When the change of an event is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Save {
    /// With the event.
    AtOnce,
    /// With others of its kind shortly after, unless something follows from it.
    InBatch,
}

/// Stores what the effects ask for, together with the round; where `save` lets it and there are no
/// effects, leaves that to the batch.
///
/// # Errors
/// [`EdgeError::Fault`]; nothing is stored then.
pub(super) fn store(
    live: &mut Live,
    effects: Vec<Effect>,
    store: &Store,
    save: Save,
    sockets: impl Fn() -> usize,
) -> Result<Todo, EdgeError> {
    let mut todo = Todo {
        frames: Vec::new(),
        alarm: None,
        expands: false,
        closes: false,
        held: None,
    };
    let follows = !effects.is_empty();
    let mut end = None;
    for effect in effects {
        match effect {
            // The last word goes to every socket, once all is done.
            Effect::Send {
                message: AggregatorMessage::Done { .. } | AggregatorMessage::Aborted { .. },
                ..
            } => {}
            Effect::Send { to, message } => {
                let frame = wire::encode(&message);
                live.traffic.down += (frame.len() * to.len()) as u64;
                todo.frames.push((to, frame));
            }
            Effect::WakeAt(at) => {
                live.wake_at = Some(at);
                todo.alarm = Some(at);
            }
            Effect::Expand => todo.expands = true,
            Effect::Publish(outcome) => {
                for Dispute { owner, holder } in &outcome.disputes {
                    worker::console_warn!(
                        "client {holder} opened a share that client {owner}'s seed does not have"
                    );
                }
                end = Some((Ok(outcome.receipt), Some(outcome)));
            }
            Effect::Aborted(reason) => end = Some((Err(reason), None)),
        }
    }
    let (Some((end, outcome)), Stage::Open(round)) = (end, &live.stage) else {
        if save == Save::AtOnce || follows {
            live.save(store)?;
        } else {
            todo.held = Some(live.hold());
        }
        return Ok(todo);
    };
    live.traffic.down += (wire::encode(&ending::farewell(end)).len() * sockets()) as u64;
    let figures = live.figures.finished(live.traffic);
    let (status, adapter) = (round.status(), round.setup().adapter);
    let ending = Ending::new(status, adapter, figures, end, now());
    live.end(store, ending, outcome.as_ref())?;
    todo.closes = true;
    todo.alarm = Some(now().after(closing_retry_ms(0)));
    Ok(todo)
}

impl RoundObject {
    /// Does what is left. Frames go out in the turn that stored their cause, and the runtime holds
    /// them until it is on disk.
    pub(super) async fn perform(&self, todo: Todo) -> Result<(), EdgeError> {
        for (to, frame) in &todo.frames {
            to.iter().for_each(|to| self.send(*to, frame));
        }
        if let Some(at) = todo.alarm {
            set_alarm(&self.state, at).await?;
        }
        if todo.expands {
            self.expand().await?;
        }
        if todo.closes {
            self.close().await
        } else {
            Ok(())
        }
    }
}

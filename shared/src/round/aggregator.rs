//! The aggregator's side of a round: it carries sealed boxes, adds masked vectors, and learns the
//! sum.
//!
//! One struct for each phase, holding only what that phase has. A phase ends when every client that
//! is still connected has answered, at the latest at its deadline. A connection that closes in the
//! lobby leaves no trace; before SHARE the client is just not in the sum; before UPLOAD its masks
//! are removed; after UPLOAD it is still included.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::ids::{ConnectionId, Digest, Timestamp};
use crate::messages::{AbortReason, AggregatorMessage, ClientMessage, Upload};
use crate::reject::{Reject, RejectCode};
use crate::secure_sum::{Expansion, Issuer, Ring, RosterEntry};
use crate::task::AdapterLayout;
use crate::wire::{self, limits};

mod closed;
mod collect;
mod confirm;
mod enroll;
mod event;
mod graph;
mod members;
mod parts;
mod share_keys;
mod solve;
mod status;
mod unmask;

pub use event::{Dispute, Effect, Event, Outcome, RoundSetup, SetupError, StateError};
pub use parts::{Change, Part, words_from_bytes, words_to_bytes};

use graph::Shared;
use members::Members;
use parts::Changed;

/// What does not change during a round.
#[derive(Clone, Debug, PartialEq)]
struct Terms {
    setup: RoundSetup,
    ring: Ring,
    ring_len: usize,
    model_digest: Digest,
    issuer: Option<Issuer>,
}

impl Terms {
    fn new(setup: RoundSetup) -> Result<Self, SetupError> {
        setup.task.check()?;
        Ok(Self {
            ring: setup.task.ring(),
            ring_len: AdapterLayout::new(&setup.task)?.ring_len(),
            model_digest: setup.task.model_digest(setup.version, setup.adapter),
            issuer: setup
                .task
                .attestation
                .as_ref()
                .map(Issuer::new)
                .transpose()?,
            setup,
        })
    }
}

/// Where a round stands. The order is the stored format: append only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Phase {
    Enroll(enroll::Enroll),
    ShareKeys(share_keys::ShareKeys),
    Collect(collect::Collect),
    Confirm(confirm::Confirm),
    Unmask(unmask::Unmask),
    Closed(closed::Closed),
    Aborted(AbortReason),
}

/// One round.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    terms: Terms,
    phase: Phase,
    changed: Changed,
}

impl Round {
    /// Opens a round, with an empty lobby.
    ///
    /// # Errors
    /// [`SetupError`] if the task's settings make no sense.
    pub fn new(setup: RoundSetup) -> Result<Self, SetupError> {
        let mut changed = Changed::default();
        changed.mark(Part::Setup);
        changed.mark(Part::Head);
        Ok(Self {
            terms: Terms::new(setup)?,
            phase: Phase::Enroll(enroll::Enroll::default()),
            changed,
        })
    }

    /// Applies one event at time `now`.
    ///
    /// # Errors
    /// [`Reject`]; the round is then unchanged.
    pub fn handle(&mut self, event: Event<'_>, now: Timestamp) -> Result<Vec<Effect>, Reject> {
        let mut effects = match event {
            Event::Message { from, message } => self.message(from, message, now)?,
            Event::Upload { upload, digest } => self.upload(&upload, digest)?,
            Event::Expanded(masks) => self.subtract(&masks)?,
            Event::Disconnected(from) => self.disconnect(from),
            Event::Tick => Vec::new(),
            Event::Stop => self.stop(),
        };
        self.changed.mark(Part::Head);
        self.advance(now, &mut effects);
        Ok(effects)
    }

    /// Decodes and applies a message of a socket.
    ///
    /// # Errors
    /// [`Reject`]; the round is then unchanged.
    pub fn handle_message(
        &mut self,
        from: ConnectionId,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Vec<Effect>, Reject> {
        let message = wire::decode(bytes, limits::CLIENT_MESSAGE)?;
        self.handle(Event::Message { from, message }, now)
    }

    /// Decodes and applies the body of an upload.
    ///
    /// # Errors
    /// [`Reject`]; the round is then unchanged.
    pub fn handle_upload(&mut self, bytes: &[u8], now: Timestamp) -> Result<Vec<Effect>, Reject> {
        let upload: Upload<'_> = wire::decode(bytes, self.upload_limit())?;
        let digest = Digest::of(upload.words);
        self.handle(Event::Upload { upload, digest }, now)
    }

    /// Largest body that an upload of this round may have.
    #[must_use]
    pub const fn upload_limit(&self) -> usize {
        limits::upload(self.terms.ring.packed_len(self.terms.ring_len))
    }

    /// Coordinates of the sum, the weight included.
    #[must_use]
    pub const fn coordinates(&self) -> usize {
        self.terms.ring_len
    }

    /// What the round was opened with.
    #[must_use]
    pub const fn setup(&self) -> &RoundSetup {
        &self.terms.setup
    }

    fn message(
        &mut self,
        from: ConnectionId,
        message: ClientMessage,
        now: Timestamp,
    ) -> Result<Vec<Effect>, Reject> {
        if message.round() != self.terms.setup.round_id {
            return Err(RejectCode::WrongRound.into());
        }
        if matches!(self.phase, Phase::Aborted(_)) {
            return Err(RejectCode::RoundAborted.into());
        }
        match (&mut self.phase, message) {
            (
                Phase::Enroll(phase),
                ClientMessage::Join {
                    version,
                    signing_key,
                    channel_key,
                    mask_key,
                    model_digest,
                    token,
                    ..
                },
            ) => {
                let keys = RosterEntry {
                    signing_key,
                    channel_key,
                    mask_key,
                };
                let join = enroll::Join {
                    version,
                    model_digest,
                    keys,
                    token,
                };
                return phase.accept(&self.terms, from, &join, now);
            }
            (_, ClientMessage::Join { .. }) => return Err(RejectCode::WrongPhase.into()),
            (
                Phase::ShareKeys(phase),
                ClientMessage::Share {
                    out_list,
                    commitment_b,
                    commitment_s,
                    boxes,
                    ..
                },
            ) => {
                let shared = Shared {
                    out_list: out_list.iter().map(|other| other.0).collect(),
                    commitment_b,
                    commitment_s,
                    boxes,
                };
                let index = phase.accept(from, &out_list, shared)?;
                self.changed.mark(Part::Shared(index));
            }
            (
                Phase::Confirm(phase),
                ClientMessage::Ack {
                    index, signature, ..
                },
            ) => {
                let index = phase.accept(from, index, signature)?;
                self.changed.mark(Part::Ack(index));
            }
            (Phase::Unmask(phase), ClientMessage::Open { shares, .. }) => {
                let index = phase.accept(from, shares)?;
                self.changed.mark(Part::Opened(index));
            }
            // The seeds were complete without this one.
            (Phase::Closed(phase), ClientMessage::Open { .. })
                if phase
                    .members
                    .sender(from)
                    .is_ok_and(|index| phase.survivors.contains(index)) => {}
            (
                phase,
                ClientMessage::Resume {
                    index,
                    counter,
                    signature,
                    ..
                },
            ) => {
                let members = phase.members_mut().ok_or(RejectCode::UnknownClient)?;
                let index = members.resume(from, index, counter, &signature)?;
                return Ok(phase.catch_up(index).into_iter().collect());
            }
            (_, ClientMessage::Leave { .. }) => return Ok(self.disconnect(from)),
            (phase, message) => return Err(phase.refuse(from, &message)),
        }
        Ok(Vec::new())
    }

    /// The masks that [`Effect::Expand`] asks to be expanded; none at other times.
    #[must_use]
    pub const fn expansion(&self) -> Option<&Expansion> {
        match &self.phase {
            Phase::Unmask(phase) => phase.expansion.as_ref(),
            _ => None,
        }
    }

    fn subtract(&mut self, masks: &[u32]) -> Result<Vec<Effect>, Reject> {
        let Phase::Unmask(phase) = &mut self.phase else {
            return Err(RejectCode::WrongPhase.into());
        };
        let (next, effects) = phase.subtract(&self.terms, masks)?;
        self.changed.enter(&next);
        self.phase = next;
        Ok(effects)
    }

    fn upload(&mut self, upload: &Upload<'_>, digest: Digest) -> Result<Vec<Effect>, Reject> {
        if upload.round != self.terms.setup.round_id {
            return Err(RejectCode::WrongRound.into());
        }
        match &mut self.phase {
            Phase::Collect(phase) => phase.accept(&self.terms, upload, digest)?,
            phase => return Err(phase.refuse_upload(upload.index.0)),
        }
        self.changed.mark(Part::Sum);
        Ok(Vec::new())
    }

    fn disconnect(&mut self, from: ConnectionId) -> Vec<Effect> {
        if let Phase::Enroll(phase) = &mut self.phase {
            return phase.disconnect(&self.terms, from);
        }
        if let Some(members) = self.phase.members_mut() {
            members.disconnect(from);
        }
        Vec::new()
    }

    fn stop(&mut self) -> Vec<Effect> {
        let (phase, effects) = match &self.phase {
            Phase::Closed(_) | Phase::Aborted(_) => return Vec::new(),
            Phase::Enroll(phase) => Phase::abort(AbortReason::Stopped, phase.connections()),
            phase => match phase.members() {
                Some(members) => Phase::abort_members(AbortReason::Stopped, members),
                None => return Vec::new(),
            },
        };
        self.changed.enter(&phase);
        self.phase = phase;
        effects
    }

    fn advance(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        while self.phase.is_over(&self.terms, now) {
            // Should closing a phase ever panic, what is left is an aborted round.
            let phase = core::mem::replace(&mut self.phase, Phase::Aborted(AbortReason::Stopped));
            let (next, more) = phase.close(&self.terms, now);
            self.changed.enter(&next);
            self.phase = next;
            effects.extend(more);
        }
    }
}

impl Phase {
    fn is_over(&self, terms: &Terms, now: Timestamp) -> bool {
        match self {
            Self::Enroll(phase) => phase.is_over(terms, now),
            Self::ShareKeys(phase) => phase.is_over(now),
            Self::Collect(phase) => phase.is_over(now),
            Self::Confirm(phase) => phase.is_over(now),
            Self::Unmask(phase) => phase.is_over(now),
            Self::Closed(_) | Self::Aborted(_) => false,
        }
    }

    fn close(self, terms: &Terms, now: Timestamp) -> (Self, Vec<Effect>) {
        match self {
            Self::Enroll(phase) => phase.close(terms, now),
            Self::ShareKeys(phase) => phase.close(terms, now),
            Self::Collect(phase) => phase.close(terms, now),
            Self::Confirm(phase) => phase.close(terms, now),
            Self::Unmask(phase) => phase.close(terms, now),
            over @ (Self::Closed(_) | Self::Aborted(_)) => (over, Vec::new()),
        }
    }

    fn abort(reason: AbortReason, connections: Vec<ConnectionId>) -> (Self, Vec<Effect>) {
        let farewell = Effect::Send {
            to: connections,
            message: AggregatorMessage::Aborted { reason },
        };
        let effects = alloc::vec![farewell, Effect::Aborted(reason)];
        (Self::Aborted(reason), effects)
    }

    fn abort_members(reason: AbortReason, members: &Members) -> (Self, Vec<Effect>) {
        let farewell = members.send_all(members.indices(), AggregatorMessage::Aborted { reason });
        let effects = alloc::vec![farewell, Effect::Aborted(reason)];
        (Self::Aborted(reason), effects)
    }
}

//! The aggregator's side of a round, again: every message decoded, applied, answered and what it
//! changed encoded for storage, as its Durable Object does. What is not here is the platform's:
//! sockets, storage itself, SHA-256 of uploads.

use choir_shared::ids::{ConnectionId, Digest, Timestamp};
use choir_shared::messages::Upload;
use choir_shared::round::{Effect, Event, Round, RoundSetup};
use choir_shared::wire;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::RehearsalError;

/// What the aggregator was told, beside uploads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Said {
    /// A message on a connection.
    Message(u64, ByteBuf),
    /// A connection closed.
    Gone(u64),
}

/// A round that is being played.
pub struct AggregatorPlay {
    round: Round,
    now: Timestamp,
    expands: bool,
    sum: Option<Digest>,
    /// Bytes that were sent, to all clients together.
    pub sent: u64,
    /// Bytes that were given to storage.
    pub stored: u64,
    /// Masks that were expanded.
    pub masks: u64,
}

impl AggregatorPlay {
    /// An open round.
    ///
    /// # Errors
    /// `Setup` where its task makes no sense.
    pub fn open(setup: RoundSetup) -> Result<Self, RehearsalError> {
        Ok(Self {
            round: Round::new(setup)?,
            now: Timestamp(1_000),
            expands: false,
            sum: None,
            sent: 0,
            stored: 0,
            masks: 0,
        })
    }

    /// Lets the round hear something. What it sends is given to `send`.
    ///
    /// # Errors
    /// `Refused` where the round refuses it.
    pub fn hear(
        &mut self,
        said: &Said,
        send: impl FnMut(&[ConnectionId], &[u8]),
    ) -> Result<(), RehearsalError> {
        let effects = match said {
            Said::Message(from, bytes) => {
                self.round
                    .handle_message(ConnectionId(*from), bytes, self.now)?
            }
            Said::Gone(from) => self
                .round
                .handle(Event::Disconnected(ConnectionId(*from)), self.now)?,
        };
        self.perform(effects, send);
        Ok(())
    }

    /// Lets the round have an upload; `digest` is of its words.
    ///
    /// # Errors
    /// As [`Self::hear`].
    pub fn take(
        &mut self,
        body: &[u8],
        digest: Digest,
        send: impl FnMut(&[ConnectionId], &[u8]),
    ) -> Result<(), RehearsalError> {
        let upload: Upload<'_> = wire::decode(body, self.round.upload_limit())?;
        let effects = self
            .round
            .handle(Event::Upload { upload, digest }, self.now)?;
        self.perform(effects, send);
        Ok(())
    }

    /// Bytes of a packed vector, with which an upload's body ends.
    #[must_use]
    pub fn packed_bytes(&self) -> usize {
        let ring = self.round.setup().task.ring();
        ring.packed_len(self.round.coordinates())
    }

    /// Whether masks are to be expanded now.
    #[must_use]
    pub const fn expands(&self) -> bool {
        self.expands
    }

    /// Expands the masks and gives their sum to the round.
    ///
    /// # Errors
    /// `Other` where nothing is to be expanded.
    pub fn expand(
        &mut self,
        send: impl FnMut(&[ConnectionId], &[u8]),
    ) -> Result<(), RehearsalError> {
        let coordinates = self.round.coordinates();
        let expansion = self
            .round
            .expansion()
            .ok_or(RehearsalError::Other("there is nothing to expand"))?;
        self.masks = expansion.len() as u64;
        let masks = expansion.expand(0..coordinates);
        self.expands = false;
        let effects = self.round.handle(Event::Expanded(masks), self.now)?;
        self.perform(effects, send);
        Ok(())
    }

    /// SHA-256 of the sum, once the round has it.
    #[must_use]
    pub const fn sum(&self) -> Option<Digest> {
        self.sum
    }

    fn perform(&mut self, effects: Vec<Effect>, mut send: impl FnMut(&[ConnectionId], &[u8])) {
        for effect in effects {
            match effect {
                Effect::Send { to, message } => {
                    let frame = wire::encode(&message);
                    self.sent += (frame.len() * to.len()) as u64;
                    send(&to, &frame);
                }
                Effect::Expand => self.expands = true,
                Effect::Publish(outcome) => self.sum = Some(outcome.sum_digest),
                Effect::WakeAt(_) | Effect::Aborted(_) => {}
            }
        }
        for change in self.round.take_changes() {
            self.stored += change.bytes.map_or(0, |bytes| bytes.len()) as u64;
        }
    }
}

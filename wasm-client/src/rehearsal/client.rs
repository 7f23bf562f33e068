//! One client's side of a round, again: from the update's floats to DONE, or as far as it went.

use choir_shared::ids::Digest;
use choir_shared::messages::AggregatorMessage;
use choir_shared::round::{ClientEffect, ClientEvent, ClientRound};
use choir_shared::update::FrozenUpdate;
use choir_shared::wire::{self, limits};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::{RehearsalError, Scene, entropy, join_setup};

/// What the aggregator said to one client, and what came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClientPart {
    /// The round.
    pub scene: Scene,
    /// The client's number, which is its seed.
    pub client: u16,
    /// Every message to it, in order.
    pub heard: Vec<ByteBuf>,
    /// SHA-256 of its upload.
    pub upload: Digest,
    /// Whether it heard DONE.
    pub finished: bool,
}

impl ClientPart {
    /// The bytes of [`Self::from_bytes`].
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// The inverse of [`Self::to_bytes`].
    ///
    /// # Errors
    /// `Wire` where the bytes are of no part.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RehearsalError> {
        Ok(wire::decode(bytes, usize::MAX)?)
    }

    /// Plays it: what is timed.
    ///
    /// # Errors
    /// [`RehearsalError`] where the client does not do what it did.
    pub fn play(&self, values: &[f32]) -> Result<(), RehearsalError> {
        let setup = self.scene.setup();
        let mut entropy = entropy::of(self.client);
        let update = FrozenUpdate::new(values, 1, &setup.task, &mut entropy)?;
        let (mut round, first) = ClientRound::join(&join_setup(&setup), update, &mut entropy)?;
        let (mut uploads, mut finished) = (Vec::new(), false);
        let mut todo = first;
        let mut heard = self.heard.iter();
        loop {
            for effect in core::mem::take(&mut todo) {
                match effect {
                    ClientEffect::Upload(bytes) => uploads.push(bytes),
                    ClientEffect::Finished(_) => finished = true,
                    ClientEffect::Left(_) => return Err(RehearsalError::Other("the client left")),
                    ClientEffect::Send(_) | ClientEffect::Lobby { .. } | ClientEffect::Phase(_) => {
                    }
                }
            }
            let Some(bytes) = heard.next() else { break };
            let message: AggregatorMessage = wire::decode(bytes, limits::AGGREGATOR_MESSAGE)?;
            if matches!(message, AggregatorMessage::Survivors { .. }) {
                todo = round.handle(ClientEvent::Uploaded, &mut entropy);
            }
            todo.extend(round.handle(ClientEvent::Message(message), &mut entropy));
        }
        match uploads.as_slice() {
            _ if finished != self.finished => Err(RehearsalError::Other("it ended elsewhere")),
            // The digest is of the upload's head: a whole one would be in the time.
            [upload] if head(upload) == self.upload => Ok(()),
            _ => Err(RehearsalError::Other("the upload is another")),
        }
    }
}

/// SHA-256 of the first 4 KiB: keys, context, signature over all of the vector, and some of it.
pub(super) fn head(upload: &[u8]) -> Digest {
    Digest::of(&upload[..upload.len().min(4096)])
}

/// Freezes an update of the scene, as the first step of a client does: what noise adds is in the
/// difference of two scenes.
///
/// # Errors
/// `Update` where the task does not take it.
pub fn freeze(scene: &Scene, values: &[f32]) -> Result<(), RehearsalError> {
    FrozenUpdate::new(values, 1, &scene.task(), &mut entropy::of(0))?;
    Ok(())
}

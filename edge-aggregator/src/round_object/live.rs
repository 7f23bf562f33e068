//! A round in memory and its form in storage.
//!
//! While it is open it is stored in parts, with every event those that have changed. With the event
//! that ends it, all of them are deleted and what is still to be done is stored in their place
//! (`ending`); from then on nothing about a single client is left.

use choir_shared::control::RoundStatus;
use choir_shared::ids::{ConnectionId, Timestamp};
use choir_shared::reject::RejectCode;
use choir_shared::round::aggregator::{Change, Part};
use choir_shared::round::{Event, Outcome, Round, StateError};
use choir_shared::wire;
use serde::{Deserialize, Serialize};

use super::batch::Batch;
use super::figures::Figures;
use crate::ending::{self, Ending, decode, fault};
use crate::error::EdgeError;
use crate::store::Store;

/// What this object counts of an open round.
const OPEN: &str = "open";
/// Before the name of each part of an open round.
const PART: &str = "round ";

/// Payload bytes of all clients.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Traffic {
    /// To the aggregator: frames and uploads, refused ones too.
    pub(super) up: u64,
    /// From the aggregator: frames.
    pub(super) down: u64,
}

/// A round.
pub(super) struct Live {
    pub(super) traffic: Traffic,
    /// When the round wants to be woken.
    pub(super) wake_at: Option<Timestamp>,
    pub(super) figures: Figures,
    pub(super) stage: Stage,
    /// Uploads that are in the sum in memory and not yet in the stored one.
    held: Option<Batch>,
}

/// How far it has come, seen from storage.
pub(super) type Stage = ending::Stage<Round>;

/// What this object counts of an open round.
#[derive(Serialize, Deserialize)]
struct Open {
    traffic: Traffic,
    wake_at: Option<Timestamp>,
    figures: Figures,
}

impl Live {
    /// A round that was just made.
    pub(super) fn opened(round: Round) -> Self {
        Self {
            traffic: Traffic::default(),
            wake_at: None,
            figures: Figures::default(),
            stage: Stage::Open(Box::new(round)),
            held: None,
        }
    }

    /// The round that is stored, if one is.
    ///
    /// # Errors
    /// [`EdgeError::Fault`], as everywhere here.
    pub(super) fn stored(store: &Store) -> Result<Option<Self>, EdgeError> {
        if !store.exists()? {
            return Ok(None);
        }
        if let Some(over) = Stage::over(store)? {
            return Ok(Some(Self::after(over)));
        }
        let Some(bytes) = store.value(OPEN)? else {
            return Ok(None);
        };
        let open: Open = decode(&bytes)?;
        let parts = store
            .values(PART)?
            .into_iter()
            .map(|(name, bytes)| Ok((name[PART.len()..].parse()?, bytes)))
            .collect::<Result<Vec<(Part, Vec<u8>)>, StateError>>()
            .map_err(fault)?;
        let round = Round::from_parts(parts).map_err(fault)?;
        Ok(Some(Self {
            traffic: open.traffic,
            wake_at: open.wake_at,
            figures: open.figures,
            stage: Stage::Open(Box::new(round)),
            held: None,
        }))
    }

    fn after(stage: Stage) -> Self {
        Self {
            traffic: Traffic::default(),
            wake_at: None,
            figures: Figures::default(),
            stage,
            held: None,
        }
    }

    /// After a restart the lobby may hold clients whose sockets ended with the process, so that no
    /// event told of it; they join again by themselves. From ROSTER on a client counts as present
    /// until the deadline, and resumes.
    pub(super) fn forget_absent(&mut self, present: &[ConnectionId], now: Timestamp) {
        let Stage::Open(round) = &mut self.stage else {
            return;
        };
        for absent in round.lobby() {
            if !present.contains(&absent) {
                // Who is left hears of it with the next change; stored, too, it is then.
                let _ = round.handle(Event::Disconnected(absent), now);
            }
        }
    }

    /// Stores what has changed of an open round. Other stages are stored by the steps that lead to
    /// them.
    pub(super) fn save(&mut self, store: &Store) -> Result<(), EdgeError> {
        let Stage::Open(round) = &mut self.stage else {
            return Ok(());
        };
        let changes = round.take_changes();
        let open = Open {
            traffic: self.traffic,
            wake_at: self.wake_at,
            figures: self.figures.clone(),
        };
        store.atomically(|| {
            store.put(OPEN, &wire::encode(&open))?;
            changes.iter().try_for_each(|Change { part, bytes }| {
                let name = format!("{PART}{}", part.name());
                match bytes {
                    Some(bytes) => store.put(&name, bytes),
                    None => store.delete(&name),
                }
            })
        })?;
        self.settle();
        Ok(())
    }

    /// Leaves what has changed to the next [`Self::save`], and gives the batch that waits for it.
    pub(super) fn hold(&mut self) -> Batch {
        self.held.get_or_insert_default().clone()
    }

    /// Whether this is the batch that waits.
    pub(super) fn holds(&self, batch: &Batch) -> bool {
        self.held.as_ref().is_some_and(|held| held.is(batch))
    }

    fn settle(&mut self) {
        if let Some(batch) = self.held.take() {
            batch.settle();
        }
    }

    /// Puts what is still to be done in the place of the round, in memory and in storage.
    pub(super) fn end(
        &mut self,
        store: &Store,
        ending: Ending,
        outcome: Option<&Outcome>,
    ) -> Result<(), EdgeError> {
        ending.replace(store, outcome)?;
        self.settle();
        // Connections and counts of the open round are over in memory, too.
        *self = Self::after(Stage::Closing(Box::new(ending)));
        Ok(())
    }

    /// The round from outside.
    pub(super) fn status(&self) -> RoundStatus {
        self.stage.status(Round::status)
    }

    /// Why a round that is over takes nothing more.
    pub(super) fn refusal(&self) -> RejectCode {
        ending::refusal(&self.status())
    }
}

//! A round in memory and its form in storage.
//!
//! While it is open it is stored in parts, with every event those that have changed. With the event
//! that ends it, all of them are deleted and what is still to be done is stored in their place; from then on nothing about a single client is left. Once
//! that is done, only how it ended remains, for a day.

use choir_shared::control::RoundStatus;
use choir_shared::ids::{ConnectionId, Digest, Timestamp};
use choir_shared::messages::{AbortReason, AggregatorMessage};
use choir_shared::reject::RejectCode;
use choir_shared::report::RoundFigures;
use choir_shared::round::aggregator::{Change, Part};
use choir_shared::round::{Event, Outcome, PhaseName, Round, StateError};
use choir_shared::wire::{self, limits};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::figures::Figures;
use crate::error::EdgeError;
use crate::store::Store;

/// What this object counts of an open round.
const OPEN: &str = "open";
/// Before the name of each part of an open round.
const PART: &str = "round ";
/// What is still to be done for a round that is over.
const CLOSING: &str = "closing";
/// Its sum.
const SUM: &str = "sum";
/// Its mean, each value as the bits of an f32.
const MEAN: &str = "mean";
/// How it ended.
const ENDED: &str = "ended";

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
}

/// How far it has come, seen from storage.
pub(super) enum Stage {
    /// Its phases run.
    Open(Box<Round>),
    /// It is over; something is still to be done.
    Closing(Box<Ending>),
    /// All is done.
    Ended(Box<Ended>),
}

/// What is still to be done for a round that is over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Ending {
    pub(super) status: RoundStatus,
    /// The object of the version that it started from.
    pub(super) adapter: Digest,
    /// What every client is told at last: DONE or ABORTED.
    pub(super) farewell: AggregatorMessage,
    pub(super) figures: RoundFigures,
    pub(super) at: Timestamp,
    /// How often the next version could not be made or not be stored.
    pub(super) failures: u16,
}

/// How a round ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) status: RoundStatus,
    pub(super) farewell: AggregatorMessage,
    /// Then this is forgotten too.
    pub(super) until: Timestamp,
}

/// What this object counts of an open round.
#[derive(Serialize, Deserialize)]
struct Open {
    traffic: Traffic,
    wake_at: Option<Timestamp>,
    figures: Figures,
}

impl Ending {
    /// Whether there is a sum.
    pub(super) const fn is_published(&self) -> bool {
        matches!(self.farewell, AggregatorMessage::Done { .. })
    }

    /// The sum comes to nothing: its clients are told so, and its task.
    pub(super) fn give_up(&mut self) {
        let reason = AbortReason::NotPublished;
        self.farewell = AggregatorMessage::Aborted { reason };
        self.status.phase = PhaseName::Aborted;
        self.status.abort_reason = Some(reason);
    }
}

impl Live {
    /// A round that was just made.
    pub(super) fn opened(round: Round) -> Self {
        Self {
            traffic: Traffic::default(),
            wake_at: None,
            figures: Figures::default(),
            stage: Stage::Open(Box::new(round)),
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
        if let Some(bytes) = store.value(ENDED)? {
            let ended: Ended = decode(&bytes)?;
            return Ok(Some(Self::after(Stage::Ended(Box::new(ended)))));
        }
        if let Some(bytes) = store.value(CLOSING)? {
            let ending: Ending = decode(&bytes)?;
            return Ok(Some(Self::after(Stage::Closing(Box::new(ending)))));
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
        }))
    }

    fn after(stage: Stage) -> Self {
        Self {
            traffic: Traffic::default(),
            wake_at: None,
            figures: Figures::default(),
            stage,
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
        })
    }

    /// Puts what is still to be done in the place of the round, in memory and in storage.
    pub(super) fn end(
        &mut self,
        store: &Store,
        ending: Ending,
        outcome: Option<&Outcome>,
    ) -> Result<(), EdgeError> {
        store.atomically(|| {
            store.keep_only(&[])?;
            if let Some(outcome) = outcome {
                let mean: Vec<u32> = outcome.mean.iter().map(|value| value.to_bits()).collect();
                store.put_words(SUM, &outcome.sum)?;
                store.put_words(MEAN, &mean)?;
            }
            store.put(CLOSING, &wire::encode(&ending))
        })?;
        // Connections and counts of the open round are over in memory, too.
        *self = Self::after(Stage::Closing(Box::new(ending)));
        Ok(())
    }

    /// Stores what has changed of what is still to be done.
    pub(super) fn still(&mut self, store: &Store, ending: &Ending) -> Result<(), EdgeError> {
        store.put(CLOSING, &wire::encode(ending))?;
        self.stage = Stage::Closing(Box::new(ending.clone()));
        Ok(())
    }

    /// Leaves only how the round ended.
    pub(super) fn finish(&mut self, store: &Store, ended: Ended) -> Result<(), EdgeError> {
        store.atomically(|| {
            store.keep_only(&[])?;
            store.put(ENDED, &wire::encode(&ended))
        })?;
        self.stage = Stage::Ended(Box::new(ended));
        Ok(())
    }

    /// The round from outside.
    pub(super) fn status(&self) -> RoundStatus {
        match &self.stage {
            Stage::Open(round) => round.status(),
            Stage::Closing(ending) => ending.status.clone(),
            Stage::Ended(ended) => ended.status.clone(),
        }
    }

    /// Why a round that is over takes nothing more.
    pub(super) fn refusal(&self) -> RejectCode {
        match self.status().phase {
            PhaseName::Aborted => RejectCode::RoundAborted,
            _ => RejectCode::Late,
        }
    }
}

/// The sum and the mean of a round that is closing.
pub(super) fn results(store: &Store) -> Result<(Vec<u32>, Vec<f32>), EdgeError> {
    let missing = || EdgeError::Fault("a closing round has no result".into());
    let sum = store.words(SUM)?.ok_or_else(missing)?;
    let mean = store.words(MEAN)?.ok_or_else(missing)?;
    Ok((sum, mean.into_iter().map(f32::from_bits).collect()))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, EdgeError> {
    wire::decode(bytes, 2 * limits::SMALL_STATUS).map_err(fault)
}

fn fault(error: impl core::fmt::Display) -> EdgeError {
    EdgeError::Fault(format!("a stored round does not decode: {error}"))
}

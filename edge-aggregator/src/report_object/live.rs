//! A round of reports in memory and in storage. While it is open, its small state is stored with
//! every change, and each report once; with its end all of that is deleted.

use std::collections::BTreeMap;

use choir_shared::control::RoundStatus;
use choir_shared::ids::{Digest, ReportId, Timestamp};
use choir_shared::messages::{AbortReason, Receipt};
use choir_shared::reject::RejectCode;
use choir_shared::report::RoundFigures;
use choir_shared::round::{Outcome, PhaseName};
use choir_shared::two_aggregators::{Leader, Received};
use choir_shared::wire::{self, limits};
use serde::{Deserialize, Serialize};

use crate::error::EdgeError;
use crate::store::Store;

/// Small state of an open round.
const OPEN: &str = "open";
/// Before the identifier of each report: what the leader holds of it.
const SEALED: &str = "sealed ";
/// Before the identifier of each report: its masked vector.
const VECTOR: &str = "vector ";
/// What is still to be done for a round that is over.
const CLOSING: &str = "closing";
/// Its sum.
const SUM: &str = "sum";
/// Its mean, each value as the bits of an f32.
const MEAN: &str = "mean";
/// How it ended.
const ENDED: &str = "ended";

/// A round.
pub(super) struct Live {
    pub(super) bytes_up: u64,
    pub(super) refusals: BTreeMap<RejectCode, u32>,
    /// When the first report came.
    pub(super) since: Option<Timestamp>,
    /// When the batch was closed.
    pub(super) asked_at: Option<Timestamp>,
    /// How often the helper gave no answer.
    pub(super) failures: u16,
    pub(super) stage: Stage,
}

/// How far it has come, seen from storage.
pub(super) enum Stage {
    /// It takes reports, or asks.
    Open(Box<Leader>),
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
    /// Where there is a sum.
    pub(super) receipt: Option<Receipt>,
    pub(super) figures: RoundFigures,
    pub(super) at: Timestamp,
    /// How often the next version could not be made or not be stored.
    pub(super) failures: u16,
}

/// How a round ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) status: RoundStatus,
    /// Then this is forgotten too.
    pub(super) until: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Open<'a> {
    bytes_up: u64,
    refusals: BTreeMap<RejectCode, u32>,
    since: Option<Timestamp>,
    asked_at: Option<Timestamp>,
    failures: u16,
    #[serde(borrow, with = "serde_bytes")]
    leader: &'a [u8],
}

impl Ending {
    /// The sum comes to nothing.
    pub(super) const fn give_up(&mut self, reason: AbortReason) {
        self.receipt = None;
        self.status.phase = PhaseName::Aborted;
        self.status.abort_reason = Some(reason);
    }
}

impl Live {
    /// A round that was just made.
    pub(super) fn opened(leader: Leader) -> Self {
        Self::after(Stage::Open(Box::new(leader)))
    }

    fn after(stage: Stage) -> Self {
        Self {
            bytes_up: 0,
            refusals: BTreeMap::new(),
            since: None,
            asked_at: None,
            failures: 0,
            stage,
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
            let ended = wire::decode(&bytes, SMALL).map_err(fault)?;
            return Ok(Some(Self::after(Stage::Ended(Box::new(ended)))));
        }
        if let Some(bytes) = store.value(CLOSING)? {
            let ending = wire::decode(&bytes, SMALL).map_err(fault)?;
            return Ok(Some(Self::after(Stage::Closing(Box::new(ending)))));
        }
        let Some(bytes) = store.value(OPEN)? else {
            return Ok(None);
        };
        let open: Open<'_> = wire::decode(&bytes, limits::ROUND_PART + SMALL).map_err(fault)?;
        let mut reports = BTreeMap::new();
        for (name, bytes) in store.values(SEALED)? {
            let id: ReportId = name[SEALED.len()..].parse().map_err(fault)?;
            let received: Received = wire::decode(&bytes, SMALL).map_err(fault)?;
            reports.insert(id, received);
        }
        let leader = Leader::from_parts(open.leader, reports).map_err(fault)?;
        Ok(Some(Self {
            bytes_up: open.bytes_up,
            refusals: open.refusals,
            since: open.since,
            asked_at: open.asked_at,
            failures: open.failures,
            stage: Stage::Open(Box::new(leader)),
        }))
    }

    /// Stores an open round, and a report that has just come.
    pub(super) fn save(
        &self,
        store: &Store,
        report: Option<(ReportId, Received, &[u8])>,
    ) -> Result<(), EdgeError> {
        let Stage::Open(leader) = &self.stage else {
            return Ok(());
        };
        let open = wire::encode(&Open {
            bytes_up: self.bytes_up,
            refusals: self.refusals.clone(),
            since: self.since,
            asked_at: self.asked_at,
            failures: self.failures,
            leader: &leader.to_bytes(),
        });
        store.atomically(|| {
            if let Some((id, received, words)) = &report {
                store.put(&format!("{SEALED}{id}"), &wire::encode(received))?;
                store.put(&format!("{VECTOR}{id}"), words)?;
            }
            store.put(OPEN, &open)
        })
    }

    /// A report was refused. Stored with the round's next change.
    pub(super) fn refused(&mut self, code: RejectCode) {
        *self.refusals.entry(code).or_default() += 1;
    }

    /// Puts what is still to be done in the place of the round, in memory and in storage.
    pub(super) fn end(
        &mut self,
        store: &Store,
        outcome: &Result<Outcome, AbortReason>,
        now: Timestamp,
    ) -> Result<(), EdgeError> {
        let Stage::Open(leader) = &self.stage else {
            return Ok(());
        };
        let mut ending = Ending {
            status: leader.status(),
            adapter: leader.setup().adapter,
            receipt: outcome.as_ref().ok().map(|outcome| outcome.receipt),
            figures: self.figures(leader, now),
            at: now,
            failures: 0,
        };
        match outcome {
            Ok(_) => ending.status.phase = PhaseName::Closed,
            Err(reason) => ending.give_up(*reason),
        }
        store.atomically(|| {
            store.keep_only(&[])?;
            if let Ok(outcome) = outcome {
                let mean: Vec<u32> = outcome.mean.iter().map(|value| value.to_bits()).collect();
                store.put_words(SUM, &outcome.sum)?;
                store.put_words(MEAN, &mean)?;
            }
            store.put(CLOSING, &wire::encode(&ending))
        })?;
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
            Stage::Open(leader) => leader.status(),
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

    fn figures(&self, leader: &Leader, now: Timestamp) -> RoundFigures {
        let mut phases = BTreeMap::new();
        if let Some(since) = self.since {
            let asked_at = self.asked_at.unwrap_or(now);
            phases.insert(PhaseName::Collect, asked_at.0.saturating_sub(since.0));
        }
        if let Some(asked_at) = self.asked_at {
            phases.insert(PhaseName::Unmask, now.0.saturating_sub(asked_at.0));
        }
        RoundFigures {
            joined: leader.status().counts.joined,
            refusals: self.refusals.clone(),
            phases,
            bytes_up: self.bytes_up,
            bytes_down: 0,
        }
    }
}

/// The masked vector of a report of an open round.
pub(super) fn vector(store: &Store, id: ReportId) -> Result<Vec<u8>, EdgeError> {
    let stored = store.value(&format!("{VECTOR}{id}"))?;
    stored.ok_or_else(|| EdgeError::Fault("a report has no vector".into()))
}

/// The sum and the mean of a round that is closing.
pub(super) fn results(store: &Store) -> Result<(Vec<u32>, Vec<f32>), EdgeError> {
    let missing = || EdgeError::Fault("a closing round has no result".into());
    let sum = store.words(SUM)?.ok_or_else(missing)?;
    let mean = store.words(MEAN)?.ok_or_else(missing)?;
    Ok((sum, mean.into_iter().map(f32::from_bits).collect()))
}

/// Everything but an open round's settings: statuses, at most 21 refusals of 6 bytes, a few numbers.
const SMALL: usize = 2 * limits::SMALL_STATUS;

fn fault(error: impl core::fmt::Display) -> EdgeError {
    EdgeError::Fault(format!("a stored round does not decode: {error}"))
}

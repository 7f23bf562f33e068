//! A round of reports in memory and in storage. While it is open, its small state is stored with
//! every change, and each report once; with its end all of that is deleted.

use std::collections::BTreeMap;

use choir_shared::control::RoundStatus;
use choir_shared::ids::{ReportId, Timestamp};
use choir_shared::messages::AbortReason;
use choir_shared::reject::RejectCode;
use choir_shared::report::RoundFigures;
use choir_shared::round::{Outcome, PhaseName};
use choir_shared::two_aggregators::{Leader, Received};
use choir_shared::wire::{self, limits};
use serde::{Deserialize, Serialize};

use crate::ending::{self, Ending, SMALL_MAX_BYTES, decode, fault};
use crate::error::EdgeError;
use crate::store::Store;

/// Small state of an open round.
const OPEN: &str = "open";
/// Before the identifier of each report: what the leader holds of it.
const SEALED: &str = "sealed ";
/// Before the identifier of each report: its masked vector.
const VECTOR: &str = "vector ";
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
pub(super) type Stage = ending::Stage<Leader>;

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
        if let Some(over) = Stage::over(store)? {
            return Ok(Some(Self::after(over)));
        }
        let Some(bytes) = store.value(OPEN)? else {
            return Ok(None);
        };
        let open: Open<'_> =
            wire::decode(&bytes, limits::ROUND_PART + SMALL_MAX_BYTES).map_err(fault)?;
        let mut reports = BTreeMap::new();
        for (name, bytes) in store.values(SEALED)? {
            let id: ReportId = name[SEALED.len()..].parse().map_err(fault)?;
            let received: Received = decode(&bytes)?;
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
        let (status, adapter) = (leader.status(), leader.setup().adapter);
        let end = outcome
            .as_ref()
            .map(|outcome| outcome.receipt)
            .map_err(|reason| *reason);
        let ending = Ending::new(status, adapter, self.figures(leader, now), end, now);
        ending.replace(store, outcome.as_ref().ok())?;
        *self = Self::after(Stage::Closing(Box::new(ending)));
        Ok(())
    }

    /// The round from outside.
    pub(super) fn status(&self) -> RoundStatus {
        self.stage.status(Leader::status)
    }

    /// Why a round that is over takes nothing more.
    pub(super) fn refusal(&self) -> RejectCode {
        ending::refusal(&self.status())
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

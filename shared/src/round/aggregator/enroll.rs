//! Phase enroll: the lobby. JOIN in, ROSTER out.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::members::Members;
use super::share_keys::ShareKeys;
use super::{Effect, Phase, Terms};
use crate::ids::{ConnectionId, Digest, Timestamp, Version};
use crate::messages::{AbortReason, AggregatorMessage};
use crate::reject::{Reject, RejectCode};
use crate::secure_sum::{self, RosterEntry, Token};

/// How often everybody in the lobby is told how full it is while it fills; who joins is told at
/// once. With a message to each for each, a cohort of 1,000 would be half a million of them.
const LOBBY_STEPS: u16 = 32;

/// Who has joined, in order, and until when the lobby waits for a full cohort.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Enroll {
    entries: Vec<Entry>,
    pub(super) deadline: Option<Timestamp>,
}

/// A client in the lobby.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) keys: RosterEntry,
    pub(super) token: Option<Token>,
    pub(super) connection: ConnectionId,
}

/// What JOIN says beside the round.
pub(super) struct Join {
    pub(super) version: Version,
    pub(super) model_digest: Digest,
    pub(super) keys: RosterEntry,
    pub(super) token: Vec<u8>,
}

impl Enroll {
    pub(super) fn joined(&self) -> u16 {
        self.entries.len() as u16
    }

    pub(super) fn contains(&self, from: ConnectionId) -> bool {
        self.entries.iter().any(|entry| entry.connection == from)
    }

    pub(super) fn accept(
        &mut self,
        terms: &Terms,
        from: ConnectionId,
        join: &Join,
        now: Timestamp,
    ) -> Result<Vec<Effect>, Reject> {
        if self.contains(from) {
            return Err(RejectCode::Duplicate.into());
        }
        if join.version != terms.setup.version {
            let version = Some(terms.setup.version);
            return Err(Reject {
                code: RejectCode::StaleVersion,
                version,
            });
        }
        if join.model_digest != terms.model_digest {
            return Err(RejectCode::WrongModel.into());
        }
        let taken = self.entries.iter().flat_map(|entry| entry.keys.keys());
        if !secure_sum::check_keys(&[join.keys])
            || taken.into_iter().any(|key| join.keys.keys().contains(&key))
        {
            return Err(RejectCode::BadKey.into());
        }
        self.entries.push(Entry {
            keys: join.keys,
            token: accepted_token(terms, join)?,
            connection: from,
        });
        let mut effects = Vec::new();
        if self.deadline.is_none() {
            let deadline = now.after(terms.setup.task.deadlines.enroll_ms);
            self.deadline = Some(deadline);
            effects.push(Effect::WakeAt(deadline));
        }
        let step = (terms.setup.task.cohort.cohort_size / LOBBY_STEPS).max(1);
        let hear = if self.joined().is_multiple_of(step) {
            self.connections()
        } else {
            alloc::vec![from]
        };
        effects.push(self.lobby(terms, hear));
        Ok(effects)
    }

    /// A client that leaves the lobby was never in the round.
    pub(super) fn disconnect(&mut self, terms: &Terms, from: ConnectionId) -> Vec<Effect> {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.connection != from);
        if self.entries.len() == before {
            return Vec::new();
        }
        if self.entries.is_empty() {
            self.deadline = None;
        }
        alloc::vec![self.lobby(terms, self.connections())]
    }

    pub(super) fn is_over(&self, terms: &Terms, now: Timestamp) -> bool {
        let cohort = &terms.setup.task.cohort;
        let waited = self.deadline.is_some_and(|deadline| now >= deadline);
        self.joined() >= cohort.cohort_size || waited && self.joined() >= cohort.min_cohort
    }

    pub(super) fn close(self, terms: &Terms, now: Timestamp) -> (Phase, Vec<Effect>) {
        match Members::new(terms, &self.entries) {
            Ok(members) => ShareKeys::open(terms, members, now),
            // A checked task has parameters for every cohort from its smallest to its largest.
            Err(_) => Phase::abort(AbortReason::TooFewShares, self.connections()),
        }
    }

    pub(super) fn connections(&self) -> Vec<ConnectionId> {
        self.entries.iter().map(|entry| entry.connection).collect()
    }

    fn lobby(&self, terms: &Terms, to: Vec<ConnectionId>) -> Effect {
        let cohort = &terms.setup.task.cohort;
        let message = AggregatorMessage::Lobby {
            joined: self.joined(),
            cohort_size: cohort.cohort_size,
            min_cohort: cohort.min_cohort,
            deadline: self.deadline,
        };
        Effect::Send { to, message }
    }
}

/// The token of a JOIN: the issuer's for these keys where the task names an issuer, else none.
fn accepted_token(terms: &Terms, join: &Join) -> Result<Option<Token>, RejectCode> {
    match &terms.issuer {
        None if join.token.is_empty() => Ok(None),
        None => Err(RejectCode::BadToken),
        Some(issuer) => Token::from_bytes(&join.token)
            .filter(|token| issuer.verify(&join.keys, token))
            .map(Some)
            .ok_or(RejectCode::BadToken),
    }
}

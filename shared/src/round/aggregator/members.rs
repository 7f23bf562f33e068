//! The clients of a round from ROSTER on: their keys, the context, and who is reachable where.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::enroll::Entry;
use super::{Effect, StateError, Terms};
use crate::ids::{ClientIndex, ConnectionId, SignatureBytes};
use crate::messages::AggregatorMessage;
use crate::reject::{Reject, RejectCode};
use crate::secure_sum::{self, Context, Header, Parameters, Roster, RosterEntry};
use crate::task::TaskError;

/// Where a client can be reached. The order is the stored format: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Link {
    /// Open, as far as is known.
    Open(ConnectionId),
    /// Closed; the client may resume on another.
    Gone,
}

/// What the round's keys are bound to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Bound {
    #[serde(with = "serde_bytes")]
    pub(super) header: Vec<u8>,
    pub(super) roster: Roster,
}

impl Bound {
    fn context(&self) -> Context {
        Context::of_bytes(&self.header, &self.roster.to_bytes())
    }
}

/// Roster, context and links.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Members {
    pub(super) parameters: Parameters,
    /// A stored part of its own.
    #[serde(skip)]
    pub(super) bound: Bound,
    pub(super) context: Context,
    links: Vec<Link>,
    counters: Vec<u64>,
}

impl Members {
    pub(super) fn new(terms: &Terms, entries: &[Entry]) -> Result<Self, TaskError> {
        let setup = &terms.setup;
        let clients = u16::try_from(entries.len()).map_err(|_| TaskError::Cohort)?;
        let cohort = &setup.task.cohort;
        let parameters = Parameters::new(clients, cohort.corrupt_permille, cohort.drop_permille)
            .ok_or(TaskError::Cohort)?;
        let header = Header::new(
            &setup.task,
            setup.task_id,
            setup.round_id,
            terms.model_digest,
            &parameters,
        )?
        .to_bytes();
        let roster = Roster {
            entries: entries.iter().map(|entry| entry.keys).collect(),
            tokens: entries.iter().filter_map(|entry| entry.token).collect(),
        };
        let bound = Bound { header, roster };
        Ok(Self {
            parameters,
            context: bound.context(),
            bound,
            links: entries
                .iter()
                .map(|entry| Link::Open(entry.connection))
                .collect(),
            counters: alloc::vec![0; entries.len()],
        })
    }

    /// Puts the stored roster back.
    pub(super) fn restore(&mut self, bound: Bound) -> Result<(), StateError> {
        let lengths = [
            bound.roster.entries.len(),
            self.links.len(),
            self.counters.len(),
        ];
        if bound.context() != self.context || lengths != [usize::from(self.count()); 3] {
            return Err(StateError::Part);
        }
        self.bound = bound;
        Ok(())
    }

    pub(super) fn entry(&self, index: u16) -> &RosterEntry {
        &self.bound.roster.entries[usize::from(index)]
    }

    pub(super) const fn count(&self) -> u16 {
        self.parameters.clients
    }

    pub(super) fn indices(&self) -> core::ops::Range<u16> {
        0..self.count()
    }

    /// The client on this connection.
    pub(super) fn sender(&self, from: ConnectionId) -> Result<u16, Reject> {
        self.indices()
            .find(|&index| self.links[usize::from(index)] == Link::Open(from))
            .ok_or_else(|| RejectCode::UnknownClient.into())
    }

    pub(super) fn is_connected(&self, index: u16) -> bool {
        self.links[usize::from(index)] != Link::Gone
    }

    pub(super) fn connected(&self) -> u16 {
        self.indices()
            .filter(|&index| self.is_connected(index))
            .count() as u16
    }

    /// Whether each of `awaited` has answered or is gone, and somebody has answered. Where nobody
    /// has, all of them may yet resume.
    pub(super) fn all_answered(
        &self,
        mut awaited: impl Iterator<Item = u16>,
        answered: impl Fn(u16) -> bool,
    ) -> bool {
        let any = self.indices().any(&answered);
        any && awaited.all(|index| answered(index) || !self.is_connected(index))
    }

    pub(super) fn disconnect(&mut self, from: ConnectionId) {
        for link in &mut self.links {
            if *link == Link::Open(from) {
                *link = Link::Gone;
            }
        }
    }

    /// Takes a client back on a new connection.
    pub(super) fn resume(
        &mut self,
        from: ConnectionId,
        index: ClientIndex,
        counter: u64,
        signature: &SignatureBytes,
    ) -> Result<u16, Reject> {
        let place = usize::from(index.0);
        let entry = self
            .bound
            .roster
            .entries
            .get(place)
            .ok_or(RejectCode::UnknownClient)?;
        if self.sender(from).is_ok_and(|bound| bound != index.0) {
            return Err(RejectCode::Duplicate.into());
        }
        if counter <= self.counters[place] {
            return Err(RejectCode::Replay.into());
        }
        let message = secure_sum::resume_message(&self.context, index.0, counter);
        if !secure_sum::verify(&entry.signing_key, &message, signature) {
            return Err(RejectCode::BadSignature.into());
        }
        self.counters[place] = counter;
        self.links[place] = Link::Open(from);
        Ok(index.0)
    }

    fn link(&self, index: u16) -> Option<ConnectionId> {
        match self.links[usize::from(index)] {
            Link::Open(to) => Some(to),
            Link::Gone => None,
        }
    }

    /// A message to one client, if it is connected.
    pub(super) fn send(&self, index: u16, message: AggregatorMessage) -> Option<Effect> {
        let to = alloc::vec![self.link(index)?];
        Some(Effect::Send { to, message })
    }

    /// The same message to all of `receivers` who are connected.
    pub(super) fn send_all(
        &self,
        receivers: impl Iterator<Item = u16>,
        message: AggregatorMessage,
    ) -> Effect {
        let to = receivers.filter_map(|index| self.link(index)).collect();
        Effect::Send { to, message }
    }

    /// One message for each of `receivers` who is connected.
    pub(super) fn send_each(
        &self,
        receivers: impl Iterator<Item = u16>,
        message: impl Fn(u16) -> AggregatorMessage,
    ) -> Vec<Effect> {
        receivers
            .filter(|&index| self.is_connected(index))
            .filter_map(|index| self.send(index, message(index)))
            .collect()
    }

    /// Tells those who are connected but did not come along that the round went on without them.
    pub(super) fn tell_left_behind(&self, went_on: impl Fn(u16) -> bool) -> Effect {
        let late = AggregatorMessage::Refused {
            code: RejectCode::Late,
            version: None,
        };
        self.send_all(self.indices().filter(|&index| !went_on(index)), late)
    }

    pub(super) fn roster_message(&self) -> AggregatorMessage {
        AggregatorMessage::Roster {
            header: self.bound.header.clone(),
            roster: self.bound.roster.to_bytes(),
        }
    }
}

//! What an aggregator's platform does for it: keeps its parts, gives them back, expands its masks.

use choir_shared::ids::{ConnectionId, Timestamp};
use choir_shared::round::aggregator::Part;
use choir_shared::round::{Event, PhaseName, Round};
use std::collections::BTreeMap;

use super::Scene;
use crate::script::Script;

/// The stored parts of a round.
#[derive(Default)]
pub(super) struct Store(BTreeMap<Part, Vec<u8>>);

impl Store {
    /// Keeps what the last event changed.
    pub(super) fn keep(&mut self, round: &mut Round) {
        for change in round.take_changes() {
            match change.bytes {
                Some(bytes) => drop(self.0.insert(change.part, bytes)),
                None => drop(self.0.remove(&change.part)),
            }
        }
    }

    /// A round of what is kept.
    pub(super) fn restore(&self) -> Round {
        Round::from_parts(self.0.iter().map(|(part, bytes)| (*part, bytes)))
            .expect("stored parts make a round")
    }
}

/// The stored parts of a scene's round, as [`restore`] reads them.
pub(crate) fn bytes_of(scene: &Scene) -> Vec<u8> {
    let mut all = Vec::new();
    for (part, bytes) in &scene.store.0 {
        let (kind, index) = match part {
            Part::Setup => (0, 0),
            Part::Head => (1, 0),
            Part::Roster => (2, 0),
            Part::Shared(index) => (3, *index),
            Part::Ack(index) => (4, *index),
            Part::Opened(index) => (5, *index),
            Part::Sum => (6, 0),
        };
        all.extend([kind, index as u8]);
        all.extend((bytes.len() as u16).to_le_bytes());
        all.extend(bytes);
    }
    all
}

/// The round of parts, each a byte of kind, one of index, two of length, and its bytes.
pub(crate) fn restore(data: &[u8]) -> Option<Round> {
    let mut script = Script::new(data);
    let mut parts = Vec::new();
    while let Some(kind) = script.byte() {
        let index = u16::from(script.or_zero());
        let part = match kind % 7 {
            0 => Part::Setup,
            1 => Part::Head,
            2 => Part::Roster,
            3 => Part::Shared(index),
            4 => Part::Ack(index),
            5 => Part::Opened(index),
            _ => Part::Sum,
        };
        let len = usize::from(script.word());
        parts.push((part, script.bytes(len)));
    }
    Round::from_parts(parts).ok()
}

/// Time passes for a round of unknown parts, until it is over.
pub(crate) fn go_on(round: &mut Round, now: Timestamp) {
    for connection in 0..3 {
        drop(round.handle(Event::Disconnected(ConnectionId(connection)), now));
    }
    for _ in 0..6 {
        drop(round.handle(Event::Tick, now));
        let masks = round.expansion().map(|masks| masks.expand(0..5));
        drop(masks.map(|masks| round.handle(Event::Expanded(masks), now)));
    }
    drop(round.handle(Event::Stop, now));
}

impl Scene {
    /// The aggregator starts anew from what it stored. Masks that were being expanded are asked for
    /// again.
    pub(crate) fn restart(&mut self) {
        let restored = self.store.restore();
        assert_eq!(restored.status(), self.round.status());
        // How far the seeds were put together is not stored.
        let is_same = restored == self.round || self.round.phase() == PhaseName::Unmask;
        assert!(is_same, "a restart changes nothing");
        self.round = restored;
        self.is_expanding = false;
        self.happen(Event::Tick);
    }

    /// The masks that were asked for are expanded, in two parts.
    pub(crate) fn expand(&mut self) {
        if !core::mem::take(&mut self.is_expanding) {
            return;
        }
        let expansion = self.round.expansion().expect("it was asked for");
        let (cut, len) = (2, self.clients[0].plain.len());
        let masks = [expansion.expand(0..cut), expansion.expand(cut..len)].concat();
        let short = Event::Expanded(masks[1..].to_vec());
        let refused = self.aggregate(|round, now| round.handle(short, now));
        assert!(refused.is_err(), "masks of another length are refused");
        self.happen(Event::Expanded(masks));
    }
}

//! A round as it is stored: in parts, so that an event stores what it changed and no more.
//!
//! What the aggregator has acknowledged it can be restored from. The parts that have changed since
//! they were last taken belong into one transaction.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::str::FromStr;

use serde::Deserialize;
use serde_bytes::ByteBuf;

use super::graph::{Shared, Sharing};
use super::members::Bound;
use super::{Phase, Round, RoundSetup, StateError, Terms};
use crate::ids::SignatureBytes;
use crate::secure_sum::Bitmap;
use crate::wire::{self, limits};

/// A stored part of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// What the round was opened with.
    Setup,
    /// The phase, who is reachable, who is in which set. Changes with every event.
    Head,
    /// Header and roster.
    Roster,
    /// What a client shared.
    Shared(u16),
    /// A client's signature over the list of survivors.
    Ack(u16),
    /// The shares that a client opened.
    Opened(u16),
    /// The sum: masked until the round is closed.
    Sum,
}

/// What is to be done with a stored part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub part: Part,
    /// Its new bytes; none: it is to be deleted.
    pub bytes: Option<Vec<u8>>,
}

/// The parts that have changed since they were last taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changed(BTreeSet<Part>);

impl Changed {
    pub(super) fn mark(&mut self, part: Part) {
        self.0.insert(part);
    }

    /// What entering a phase changes beside the head.
    pub(super) fn enter(&mut self, phase: &Phase) {
        match phase {
            Phase::ShareKeys(_) => self.mark(Part::Roster),
            Phase::Collect(_) | Phase::Closed(_) | Phase::Aborted(_) => self.mark(Part::Sum),
            // The boxes are delivered, and forgotten.
            Phase::Confirm(phase) => phase
                .sharers
                .iter()
                .for_each(|index| self.mark(Part::Shared(index))),
            Phase::Enroll(_) | Phase::Unmask(_) => {}
        }
    }
}

impl Part {
    /// The part's name in storage.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Setup => "setup".into(),
            Self::Head => "head".into(),
            Self::Roster => "roster".into(),
            Self::Shared(index) => format!("shared {index}"),
            Self::Ack(index) => format!("ack {index}"),
            Self::Opened(index) => format!("opened {index}"),
            Self::Sum => "sum".into(),
        }
    }
}

impl FromStr for Part {
    type Err = StateError;

    fn from_str(name: &str) -> Result<Self, StateError> {
        let (kind, index) = match name.split_once(' ') {
            Some((kind, index)) => (kind, index.parse().ok()),
            None => (name, None),
        };
        match (kind, index) {
            ("setup", None) => Ok(Self::Setup),
            ("head", None) => Ok(Self::Head),
            ("roster", None) => Ok(Self::Roster),
            ("shared", Some(index)) => Ok(Self::Shared(index)),
            ("ack", Some(index)) => Ok(Self::Ack(index)),
            ("opened", Some(index)) => Ok(Self::Opened(index)),
            ("sum", None) => Ok(Self::Sum),
            _ => Err(StateError::Part),
        }
    }
}

impl Round {
    /// The parts that have changed since the last call; the first time, all of them.
    pub fn take_changes(&mut self) -> Vec<Change> {
        let changed = core::mem::take(&mut self.changed);
        changed
            .0
            .into_iter()
            .map(|part| Change {
                part,
                bytes: self.part(part),
            })
            .collect()
    }

    fn part(&self, part: Part) -> Option<Vec<u8>> {
        match part {
            Part::Setup => Some(wire::encode(&self.terms.setup)),
            Part::Head => Some(wire::encode(&self.phase)),
            Part::Roster => self
                .phase
                .members()
                .map(|members| wire::encode(&members.bound)),
            Part::Shared(index) => Some(wire::encode(self.phase.sharing()?.of(index)?)),
            Part::Ack(index) => {
                let acks = self.phase.acks()?;
                Some(wire::encode(acks.get(usize::from(index))?.as_ref()?))
            }
            Part::Opened(index) => {
                let opened = self.phase.opened()?;
                Some(wire::encode(opened.get(usize::from(index))?.as_ref()?))
            }
            Part::Sum => self.phase.sum().map(|sum| words_to_bytes(sum)),
        }
    }

    /// The round of stored parts. Connections that were open count as open: the caller gives
    /// [`Event::Disconnected`](super::Event::Disconnected) for those that it knows to be closed, and
    /// the others have until the deadline to resume.
    ///
    /// # Errors
    /// [`StateError`] if the parts are not a round's.
    pub fn from_parts<Bytes: AsRef<[u8]>>(
        parts: impl IntoIterator<Item = (Part, Bytes)>,
    ) -> Result<Self, StateError> {
        let mut stored = Stored::default();
        for (part, bytes) in parts {
            stored.add(part, bytes.as_ref())?;
        }
        stored.restore()
    }
}

#[derive(Default)]
struct Stored {
    setup: Option<RoundSetup>,
    phase: Option<Phase>,
    roster: Option<Bound>,
    shared: Vec<(u16, Shared)>,
    acks: Vec<(u16, SignatureBytes)>,
    opened: Vec<(u16, ByteBuf)>,
    sum: Option<Vec<u32>>,
}

fn decode<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, StateError> {
    Ok(wire::decode(bytes, limits::ROUND_PART)?)
}

impl Stored {
    fn add(&mut self, part: Part, bytes: &[u8]) -> Result<(), StateError> {
        match part {
            Part::Setup => self.setup = Some(decode(bytes)?),
            Part::Head => self.phase = Some(decode(bytes)?),
            Part::Roster => self.roster = Some(decode(bytes)?),
            Part::Shared(index) => self.shared.push((index, decode(bytes)?)),
            Part::Ack(index) => self.acks.push((index, decode(bytes)?)),
            Part::Opened(index) => self.opened.push((index, decode(bytes)?)),
            Part::Sum => self.sum = Some(words_from_bytes(bytes).ok_or(StateError::Sum)?),
        }
        Ok(())
    }

    fn restore(self) -> Result<Round, StateError> {
        let terms = Terms::new(self.setup.ok_or(StateError::Part)?)?;
        let mut phase = self.phase.ok_or(StateError::Part)?;
        if let Some(members) = phase.members_mut() {
            members.restore(self.roster.ok_or(StateError::Part)?)?;
            let (clients, neighbours) = (members.count(), members.parameters.neighbours);
            let outside = |index: &u16| *index >= clients;
            let of_shared = self.shared.iter().map(|(index, _)| index);
            let of_acks = self.acks.iter().map(|(index, _)| index);
            let of_opened = self.opened.iter().map(|(index, _)| index);
            if of_shared.chain(of_acks).chain(of_opened).any(outside) {
                return Err(StateError::Part);
            }
            phase.restore_lists(clients, self.shared, self.acks, self.opened);
            if !phase.fits(clients, neighbours) {
                return Err(StateError::Part);
            }
        }
        match (phase.sum_mut(), self.sum) {
            (None, None) => {}
            (Some(place), Some(sum)) if sum.len() == terms.ring_len => *place = sum,
            _ => return Err(StateError::Sum),
        }
        Ok(Round {
            terms,
            phase,
            changed: Changed::default(),
        })
    }
}

impl Phase {
    const fn sharing(&self) -> Option<&Sharing> {
        match self {
            Self::ShareKeys(phase) => Some(&phase.sharing),
            Self::Collect(phase) => Some(&phase.sharing),
            Self::Confirm(phase) => Some(&phase.sharing),
            Self::Unmask(phase) => Some(&phase.sharing),
            Self::Enroll(_) | Self::Closed(_) | Self::Aborted(_) => None,
        }
    }

    const fn acks(&self) -> Option<&Vec<Option<SignatureBytes>>> {
        match self {
            Self::Confirm(phase) => Some(&phase.acks),
            Self::Unmask(phase) => Some(&phase.acks),
            _ => None,
        }
    }

    const fn opened(&self) -> Option<&Vec<Option<ByteBuf>>> {
        match self {
            Self::Unmask(phase) => Some(&phase.opened),
            _ => None,
        }
    }

    fn restore_lists(
        &mut self,
        clients: u16,
        shared: Vec<(u16, Shared)>,
        acks: Vec<(u16, SignatureBytes)>,
        opened: Vec<(u16, ByteBuf)>,
    ) {
        let mut sharing = Sharing::new(clients);
        for (index, shared) in shared {
            sharing.insert(index, shared);
        }
        match self {
            Self::ShareKeys(phase) => phase.sharing = sharing,
            Self::Collect(phase) => phase.sharing = sharing,
            Self::Confirm(phase) => {
                sharing.forget_boxes();
                phase.sharing = sharing;
                phase.acks = by_client(clients, acks);
            }
            Self::Unmask(phase) => {
                sharing.forget_boxes();
                phase.sharing = sharing;
                phase.acks = by_client(clients, acks);
                phase.opened = by_client(clients, opened);
            }
            Self::Enroll(_) | Self::Closed(_) | Self::Aborted(_) => {}
        }
    }

    /// Whether the stored lists and sets are of so many clients, the later sets within the earlier,
    /// and everybody who is said to have shared has.
    fn fits(&self, clients: u16, neighbours: u16) -> bool {
        let sharing = self.sharing();
        let is_sound = sharing.is_none_or(|sharing| sharing.is_sound(clients, neighbours));
        let (sharers, survivors) = match self {
            Self::Collect(phase) => (&phase.sharers, &phase.uploaded),
            Self::Confirm(phase) => (&phase.sharers, &phase.survivors),
            Self::Unmask(phase) => (&phase.sharers, &phase.survivors),
            Self::Closed(phase) if !phase.fits(clients) => return false,
            Self::Closed(phase) => (&phase.survivors, &phase.survivors),
            Self::Enroll(_) | Self::ShareKeys(_) | Self::Aborted(_) => return is_sound,
        };
        let is_set =
            |set: &Bitmap| Bitmap::from_bytes(clients, set.as_bytes()).as_ref() == Some(set);
        let shared = sharing.map(|sharing| sharing.sharers(clients));
        is_sound
            && is_set(sharers)
            && is_set(survivors)
            && survivors.is_subset(sharers)
            && shared.is_none_or(|shared| sharers.is_subset(&shared))
    }

    const fn sum(&self) -> Option<&Vec<u32>> {
        match self {
            Self::Enroll(_) | Self::ShareKeys(_) | Self::Aborted(_) => None,
            Self::Collect(phase) => Some(&phase.sum),
            Self::Confirm(phase) => Some(&phase.sum),
            Self::Unmask(phase) => Some(&phase.sum),
            Self::Closed(phase) => Some(&phase.sum),
        }
    }

    const fn sum_mut(&mut self) -> Option<&mut Vec<u32>> {
        match self {
            Self::Enroll(_) | Self::ShareKeys(_) | Self::Aborted(_) => None,
            Self::Collect(phase) => Some(&mut phase.sum),
            Self::Confirm(phase) => Some(&mut phase.sum),
            Self::Unmask(phase) => Some(&mut phase.sum),
            Self::Closed(phase) => Some(&mut phase.sum),
        }
    }
}

fn by_client<T: Clone>(clients: u16, values: Vec<(u16, T)>) -> Vec<Option<T>> {
    let mut list = alloc::vec![None; usize::from(clients)];
    for (index, value) in values {
        list[usize::from(index)] = Some(value);
    }
    list
}

/// Words as little-endian bytes.
#[must_use]
pub fn words_to_bytes(words: &[u32]) -> Vec<u8> {
    let mut bytes = alloc::vec![0; words.len() * 4];
    for (place, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *place = word.to_le_bytes();
    }
    bytes
}

/// Little-endian bytes as words; nothing if the length is no multiple of 4.
#[must_use]
pub fn words_from_bytes(bytes: &[u8]) -> Option<Vec<u32>> {
    let (words, rest) = bytes.as_chunks::<4>();
    rest.is_empty()
        .then(|| words.iter().map(|word| u32::from_le_bytes(*word)).collect())
}

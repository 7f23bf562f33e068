//! The graph of a round as the aggregator knows it: whom each client chose as its neighbours, and
//! what it entrusted to them.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::ids::Digest;
use crate::secure_sum::Bitmap;
use crate::wire::limits::BOX_BYTES;

/// What one client shared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shared {
    /// Its neighbours, ascending.
    pub(super) out_list: Vec<u16>,
    pub(super) commitment_b: Digest,
    pub(super) commitment_s: Digest,
    /// One sealed box for each neighbour, until all are delivered.
    #[serde(with = "serde_bytes")]
    pub(super) boxes: Vec<u8>,
}

impl Shared {
    pub(super) fn chose(&self, other: u16) -> bool {
        self.out_list.binary_search(&other).is_ok()
    }

    fn box_for(&self, to: u16) -> Option<&[u8]> {
        let place = self.out_list.binary_search(&to).ok()?;
        self.boxes.get(place * BOX_BYTES..(place + 1) * BOX_BYTES)
    }

    /// The point of the share that `holder` has: 1 + its place in the out-list.
    pub(super) fn point(&self, holder: u16) -> Option<u16> {
        let place = self.out_list.binary_search(&holder).ok()?;
        u16::try_from(place + 1).ok()
    }
}

/// What every client shared.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sharing(Vec<Option<Shared>>);

impl Sharing {
    pub(super) fn new(clients: u16) -> Self {
        Self(alloc::vec![None; usize::from(clients)])
    }

    pub(super) fn insert(&mut self, index: u16, shared: Shared) {
        self.0[usize::from(index)] = Some(shared);
    }

    pub(super) fn of(&self, index: u16) -> Option<&Shared> {
        self.0.get(usize::from(index))?.as_ref()
    }

    /// Whether everybody chose other clients, `neighbours` of them, in ascending order, and the boxes
    /// are theirs or forgotten.
    pub(super) fn is_sound(&self, clients: u16, neighbours: u16) -> bool {
        let is_sound = |(owner, shared): (u16, &Shared)| {
            let (list, boxes) = (&shared.out_list, shared.boxes.len());
            list.len() == usize::from(neighbours)
                && list.windows(2).all(|pair| pair[0] < pair[1])
                && list.iter().all(|&other| other < clients && other != owner)
                && (boxes == 0 || boxes == list.len() * BOX_BYTES)
        };
        let all = (0..clients).filter_map(|owner| Some((owner, self.of(owner)?)));
        all.into_iter().all(is_sound)
    }

    pub(super) fn sharers(&self, clients: u16) -> Bitmap {
        Bitmap::from_fn(clients, |index| self.of(index).is_some())
    }

    /// Who of `owners` chose `holder`, ascending: whose shares it has.
    pub(super) fn in_list(&self, owners: &Bitmap, holder: u16) -> impl Iterator<Item = u16> {
        owners
            .iter()
            .filter(move |&owner| self.of(owner).is_some_and(|shared| shared.chose(holder)))
    }

    /// The box that `owner` sealed for `holder`.
    pub(super) fn box_for(&self, owner: u16, holder: u16) -> Option<&[u8]> {
        self.of(owner)?.box_for(holder)
    }

    /// Whether one of the two chose the other: whether they share a mask.
    pub(super) fn is_edge(&self, one: u16, other: u16) -> bool {
        let chose = |one, other| self.of(one).is_some_and(|shared| shared.chose(other));
        chose(one, other) || chose(other, one)
    }

    /// Forgets the boxes, once all are delivered.
    pub(super) fn forget_boxes(&mut self) {
        for shared in self.0.iter_mut().flatten() {
            shared.boxes = Vec::new();
        }
    }
}

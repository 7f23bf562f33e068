//! A closed round: the plain sum, and what the clients are told.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::members::Members;
use super::parts::words_to_bytes;
use super::{Dispute, Effect, Outcome, Phase, Terms};
use crate::fixed_point;
use crate::ids::Digest;
use crate::messages::{AggregatorMessage, Receipt};
use crate::secure_sum::Bitmap;

/// The result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Closed {
    pub(super) members: Members,
    pub(super) survivors: Bitmap,
    pub(super) receipt: Receipt,
    disputes: Vec<Dispute>,
    #[serde(skip)]
    pub(super) sum: Vec<u32>,
}

impl Closed {
    pub(super) fn open(
        terms: &Terms,
        members: Members,
        survivors: Bitmap,
        sum: Vec<u32>,
        disputes: Vec<Dispute>,
    ) -> (Phase, Vec<Effect>) {
        let receipt = Receipt {
            round: terms.setup.round_id,
            version: terms.setup.version.next(),
            sum: Digest::of(&words_to_bytes(&sum)),
            total_weight: sum.last().copied().unwrap_or_default(),
            clients: members.count(),
            survivors: survivors.count(),
        };
        let phase = Self {
            members,
            survivors,
            receipt,
            disputes,
            sum,
        };
        let effects = alloc::vec![
            Effect::Publish(phase.outcome(terms)),
            phase
                .members
                .send_all(phase.survivors.iter(), phase.done_message()),
        ];
        (Phase::Closed(phase), effects)
    }

    /// Whether the stored receipt counts the clients that there are.
    pub(super) fn fits(&self, clients: u16) -> bool {
        self.receipt.clients == clients && self.receipt.survivors == self.survivors.count()
    }

    pub(super) const fn done_message(&self) -> AggregatorMessage {
        AggregatorMessage::Done {
            receipt: self.receipt,
        }
    }

    pub(super) fn outcome(&self, terms: &Terms) -> Outcome {
        Outcome {
            // Only sums with a positive weight pass the range check.
            mean: fixed_point::mean(&self.sum, &terms.setup.task).unwrap_or_default(),
            sum: self.sum.clone(),
            disputes: self.disputes.clone(),
            total_weight: self.receipt.total_weight,
            survivors: self.survivors.iter().collect(),
            clients: self.receipt.clients,
            dropped: self.receipt.clients - self.receipt.survivors,
            sum_digest: self.receipt.sum,
            receipt: self.receipt,
        }
    }
}

//! From the helper's answer to the round's outcome: vectors added one at a time onto minus the sum
//! of their masks.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{Leader, Received};
use crate::fixed_point;
use crate::ids::{Digest, ReportId};
use crate::messages::{AbortReason, Receipt};
use crate::round::Outcome;
use crate::round::RoundSetup;
use crate::round::aggregator::words_to_bytes;
use crate::secure_sum::Ring;

/// A vector that is not the one that was reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SumError {
    /// The report is not in the batch, left out, or added already.
    #[error("the report is not wanted in this sum")]
    NotWanted,
    /// The vector has another digest than the one that the helper was told.
    #[error("the vector is not the reported one")]
    OtherVector,
}

/// The sum of a batch, while vectors are still missing.
#[derive(Debug)]
pub struct BatchSum {
    setup: RoundSetup,
    ring: Ring,
    clients: u16,
    survivors: Vec<u16>,
    wanted: BTreeMap<ReportId, Received>,
    sum: Vec<u32>,
}

impl BatchSum {
    pub(super) fn new(
        leader: &Leader,
        wanted: BTreeMap<ReportId, Received>,
        mut masks: Vec<u32>,
    ) -> Self {
        for word in &mut masks {
            *word = word.wrapping_neg();
        }
        let places = leader.reports.keys().zip(0..);
        let survivors = places
            .filter(|(id, _)| wanted.contains_key(id))
            .map(|(_, place)| place)
            .collect();
        Self {
            setup: leader.setup.clone(),
            ring: leader.ring,
            clients: leader.count(),
            survivors,
            wanted,
            sum: masks,
        }
    }

    /// Whose vectors are still missing.
    #[must_use]
    pub fn wanted(&self) -> Vec<ReportId> {
        self.wanted.keys().copied().collect()
    }

    /// Adds the words of one report.
    ///
    /// # Errors
    /// [`SumError`]; the sum is then unchanged.
    pub fn add(&mut self, id: ReportId, words: &[u8]) -> Result<(), SumError> {
        let received = self.wanted.get(&id).ok_or(SumError::NotWanted)?;
        if received.vector != Digest::of(words) || !self.ring.add_packed(&mut self.sum, words) {
            return Err(SumError::OtherVector);
        }
        self.wanted.remove(&id);
        Ok(())
    }

    /// What came of the round, once nothing is wanted any more.
    ///
    /// # Errors
    /// [`AbortReason::NotPublished`] if a vector is missing, [`AbortReason::SumOutOfRange`] if the
    /// sum cannot be one of updates.
    pub fn finish(mut self) -> Result<Outcome, AbortReason> {
        if !self.wanted.is_empty() {
            return Err(AbortReason::NotPublished);
        }
        for word in &mut self.sum {
            *word &= self.ring.mask();
        }
        let task = &self.setup.task;
        let survivors = self.survivors.len() as u16;
        let (quantiser, dp) = (&task.quantiser, &task.dp);
        if !fixed_point::in_range(&self.sum, quantiser, dp, survivors, self.ring) {
            return Err(AbortReason::SumOutOfRange);
        }
        let receipt = Receipt {
            round: self.setup.round_id,
            version: self.setup.version.next(),
            sum: Digest::of(&words_to_bytes(&self.sum)),
            total_weight: self.sum.last().copied().unwrap_or_default(),
            clients: self.clients,
            survivors,
        };
        Ok(Outcome {
            // Only sums with a positive weight are in range.
            mean: fixed_point::mean(&self.sum, task).unwrap_or_default(),
            sum: self.sum,
            total_weight: receipt.total_weight,
            survivors: self.survivors,
            clients: self.clients,
            dropped: self.clients - survivors,
            disputes: Vec::new(),
            sum_digest: receipt.sum,
            receipt,
        })
    }
}

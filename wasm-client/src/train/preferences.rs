//! Direct preference optimisation (Rafailov et al. 2023) of a decoder's adapter.
//!
//! The reference is the same decoder without its adapter, so that one copy of the weights is
//! enough (as PEFT's users have it: `ref_model=None` in TRL). What it says of an answer never
//! changes and is asked once.

use super::TrainError;
use super::language::LanguageTrainer;
use crate::engine::decoder::DecoderEngine;
use crate::language::dataset::Row;
use crate::language::dpo::{Answer, Pair};

/// An answer to a prompt, with what the reference says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferredRow {
    /// Prompt and answer; the answer is scored.
    pub row: Row,
    /// The answer's log-probability by the reference, in nats.
    pub log_probability: f64,
}

/// Two answers to a prompt, of which the first was preferred.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferredPair {
    /// The preferred one.
    pub chosen: ReferredRow,
    /// The other.
    pub rejected: ReferredRow,
}

impl ReferredRow {
    fn answer(&self, policy: f64) -> Answer {
        Answer {
            policy,
            reference: self.log_probability,
            tokens: self.row.scored(),
        }
    }
}

impl<E: DecoderEngine> LanguageTrainer<E> {
    /// A pair of rows with what the reference says of them.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn referred(
        &mut self,
        chosen: Row,
        rejected: Row,
    ) -> Result<ReferredPair, TrainError> {
        let chosen = self.referred_row(chosen).await?;
        let rejected = self.referred_row(rejected).await?;
        Ok(ReferredPair { chosen, rejected })
    }

    async fn referred_row(&mut self, row: Row) -> Result<ReferredRow, TrainError> {
        let found = self.reference_log_probabilities(&[&row]).await?;
        Ok(ReferredRow {
            row,
            log_probability: found.iter().sum(),
        })
    }

    /// What the decoder with its adapter says of each pair now, beside what the reference says.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn compared(&mut self, pairs: &[&ReferredPair]) -> Result<Vec<Pair>, TrainError> {
        let policy = self.log_probabilities(&rows(pairs)).await?;
        let compared = pairs.iter().zip(policy.chunks_exact(2));
        Ok(compared
            .map(|(pair, policy)| Pair {
                chosen: pair.chosen.answer(policy[0]),
                rejected: pair.rejected.answer(policy[1]),
            })
            .collect())
    }

    /// One step on the mean loss of these pairs; yields what was said of them before it.
    ///
    /// # Errors
    /// As [`LanguageTrainer::step`].
    pub async fn preference_step(
        &mut self,
        pairs: &[&ReferredPair],
        beta: f64,
    ) -> Result<Vec<Pair>, TrainError> {
        let compared = self.compared(pairs).await?;
        self.weighted_step(&rows(pairs), &weights(&compared, beta))
            .await?;
        Ok(compared)
    }

    /// The gradient of that mean loss, which the engine keeps; yields what is said of the pairs.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn preference_gradient(
        &mut self,
        pairs: &[&ReferredPair],
        beta: f64,
    ) -> Result<Vec<Pair>, TrainError> {
        let compared = self.compared(pairs).await?;
        self.weighted_gradient(&rows(pairs), &weights(&compared, beta))?;
        Ok(compared)
    }
}

/// Each pair's chosen row, then its rejected one.
fn rows<'a>(pairs: &[&'a ReferredPair]) -> Vec<&'a Row> {
    pairs
        .iter()
        .flat_map(|pair| [&pair.chosen.row, &pair.rejected.row])
        .collect()
}

/// By how much the mean loss changes with each row's `-ln p`. These weights stand for the loss
/// itself: the gradient of the weighted sum is that of the loss, as they hold its derivatives.
fn weights(pairs: &[Pair], beta: f64) -> Vec<f32> {
    let count = pairs.len().max(1) as f64;
    pairs
        .iter()
        .flat_map(|pair| {
            let loss = pair.loss(beta);
            [loss.by_chosen, loss.by_rejected].map(|slope| (-slope / count) as f32)
        })
        .collect()
}

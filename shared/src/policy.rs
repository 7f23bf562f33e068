//! What the page that embeds Choir demands of a round; no server can lower it.

use serde::{Deserialize, Serialize};

use crate::ids::{Digest, PublicKey};
use crate::task::{Aggregation, TaskConfig};

/// The page's conditions, pinned beside its code and checked before JOIN and again at ROSTER.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Smallest cohort to take part in.
    pub min_cohort: u16,
    /// Assumed corrupt clients, in thousandths; a task may assume more, never less.
    pub corrupt_permille: u16,
    /// Smallest noise, as standard deviation over clip norm.
    pub noise_multiplier: f32,
    /// Smallest clip norm that the noise is scaled to.
    pub clip: f32,
    /// How many uploads of one visitor. Kept by the page; the protocol does not count visitors.
    pub uploads: u16,
    /// Who has to vouch for every client; a task without exactly this issuer is refused.
    pub issuer: Option<PinnedIssuer>,
}

/// An issuer of tokens, as a page names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedIssuer {
    /// SHA-256 of the issuer's public key, DER SubjectPublicKeyInfo.
    pub key_id: Digest,
    /// SHA-256 of the token challenge.
    pub challenge_digest: Digest,
}

impl Policy {
    /// For demonstrations and tests: cohorts from 3, without noise, any number of uploads. Cohorts
    /// this small protect nobody from the others in them.
    #[must_use]
    pub const fn demo() -> Self {
        Self {
            min_cohort: 3,
            corrupt_permille: 0,
            noise_multiplier: 0.0,
            clip: 0.0,
            uploads: u16::MAX,
            issuer: None,
        }
    }
}

impl Default for Policy {
    /// The privacy floor: 50 clients, a tenth of them corrupt, one upload.
    fn default() -> Self {
        Self {
            min_cohort: 50,
            corrupt_permille: 100,
            noise_multiplier: 0.0,
            clip: 0.0,
            uploads: 1,
            issuer: None,
        }
    }
}

/// A task that the page's policy does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum PolicyError {
    /// The task starts with fewer clients than the policy demands.
    #[error("the task's smallest cohort is below the policy's")]
    MinCohort,
    /// The task assumes fewer corrupt clients than the policy does.
    #[error("the task assumes fewer corrupt clients than the policy")]
    Corrupt,
    /// The task adds less noise than the policy demands.
    #[error("the task's noise is below the policy's")]
    Noise,
    /// The task clips, and so scales its noise, below the policy.
    #[error("the task's clip norm is below the policy's")]
    Clip,
    /// The policy demands an issuer's tokens, and the task names none or another.
    #[error("the task does not ask for the tokens that the policy demands")]
    Issuer,
    /// The task has a second aggregator that the page does not name.
    #[error("the task's helper is not one that the page names")]
    Helper,
}

impl Policy {
    /// Whether `task`, which has one aggregator, keeps to this policy.
    ///
    /// # Errors
    /// [`PolicyError`] names the first condition that the task falls below.
    pub fn allows(&self, task: &TaskConfig) -> Result<(), PolicyError> {
        self.allows_report(task, &[])
    }

    /// Whether `task` keeps to this policy, where it has a second aggregator with one of `helpers`:
    /// the page says who it trusts not to collude with the leader, and no server chooses for it.
    ///
    /// # Errors
    /// As [`Self::allows`].
    pub fn allows_report(
        &self,
        task: &TaskConfig,
        helpers: &[PublicKey],
    ) -> Result<(), PolicyError> {
        let is_named = match &task.aggregation {
            Aggregation::OneAggregator => true,
            Aggregation::TwoAggregators(helper) => helpers.contains(&helper.key),
        };
        // Written so that a NaN on either side is refused.
        let at_least = |value: f32, floor: f32| value >= floor;
        if !is_named {
            Err(PolicyError::Helper)
        } else if task.cohort.min_cohort < self.min_cohort {
            Err(PolicyError::MinCohort)
        } else if task.cohort.corrupt_permille < self.corrupt_permille {
            Err(PolicyError::Corrupt)
        } else if !at_least(task.dp.noise_multiplier, self.noise_multiplier) {
            Err(PolicyError::Noise)
        } else if !at_least(task.dp.clip, self.clip) {
            Err(PolicyError::Clip)
        } else if self.issuer.is_some() && self.issuer != named_issuer(task) {
            Err(PolicyError::Issuer)
        } else {
            Ok(())
        }
    }
}

fn named_issuer(task: &TaskConfig) -> Option<PinnedIssuer> {
    task.attestation.as_ref().map(|attestation| PinnedIssuer {
        key_id: attestation.issuer_key_id(),
        challenge_digest: attestation.challenge_digest,
    })
}

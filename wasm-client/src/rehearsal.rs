//! A round that was held once, with real clients and a real aggregator, written down so that either
//! side can be played again by itself: to time it, natively and in a wasm module.
//!
//! Every client's randomness comes from a seed, so that a client that hears the same says the same,
//! to the byte; the aggregator has no randomness. Who plays again is told if it does not end as it
//! did. Only for benches: whoever knows a seed knows every secret.

use choir_shared::ids::{Digest, RoundId, TaskId, Version};
use choir_shared::policy::Policy;
use choir_shared::round::{JoinError, JoinSetup, RoundSetup, SetupError};
use choir_shared::secure_sum::Parameters;
use choir_shared::sim;
use choir_shared::task::{Dp, Quantiser, TaskConfig};
use choir_shared::update::UpdateError;
use choir_shared::wire::WireError;
use serde::{Deserialize, Serialize};

mod aggregator;
mod client;
mod entropy;
mod hold;

pub use aggregator::{AggregatorPlay, Said};
pub use client::{ClientPart, freeze};
pub use hold::{Held, hold};

/// Features of the head that is trained: with its bias, 1,000 coordinates for each label.
const FEATURES: u32 = 999;
/// 100 clients and more in a ring of 24 bits, and an even number of steps, as noise asks for.
const QUANTISER: Quantiser = Quantiser {
    levels: 8_190,
    bound: 1.0,
    weight_max: 1,
};
/// Standard deviation of the noise over the clip norm, where there is noise.
const NOISE_MULTIPLIER: f32 = 1.0;

/// What is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scene {
    /// Clients that join.
    pub clients: u16,
    /// Coordinates of an update, in thousands: the weight comes on top.
    pub thousands: u16,
    /// Clients that share and never upload: the costliest moment to go.
    pub dropped: u16,
    /// Whether clients add noise.
    pub noise: bool,
}

/// A rehearsal that went another way than the round it is of.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// The task of the scene makes no sense.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A client did not join.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// An update cannot be sent.
    #[error(transparent)]
    Update(#[from] UpdateError),
    /// What was written down does not decode.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The aggregator refused something.
    #[error("refused: {0:?}")]
    Refused(choir_shared::reject::RejectCode),
    /// It ended in another way.
    #[error("the rehearsal went another way: {0}")]
    Other(&'static str),
}

impl From<choir_shared::reject::Reject> for RehearsalError {
    fn from(reject: choir_shared::reject::Reject) -> Self {
        Self::Refused(reject.code)
    }
}

impl Scene {
    /// Its task: default parameters, a tenth corrupt and three tenths lost.
    #[must_use]
    pub fn task(&self) -> TaskConfig {
        let task = sim::head_task(self.clients, self.clients, FEATURES);
        let cohort = &task.cohort;
        let guaranteed =
            Parameters::new(self.clients, cohort.corrupt_permille, cohort.drop_permille)
                .map_or(0, |parameters| parameters.honest(cohort.corrupt_permille));
        let dp = if self.noise {
            Dp {
                noise_multiplier: NOISE_MULTIPLIER,
                clip: 1.0,
                honest: guaranteed,
            }
        } else {
            task.dp
        };
        TaskConfig {
            labels: (0..self.thousands).map(|label| label.to_string()).collect(),
            quantiser: QUANTISER,
            dp,
            ..task
        }
    }

    /// What its round is opened with.
    #[must_use]
    pub fn setup(&self) -> RoundSetup {
        RoundSetup {
            task: self.task(),
            task_id: TaskId([1; 16]),
            round_id: RoundId([2; 16]),
            version: Version(0),
            adapter: Digest::of(b"adapter"),
        }
    }

    /// The update of a client: small numbers, a few of them beyond the bound.
    #[must_use]
    pub fn values(&self, client: u16) -> Vec<f32> {
        let mut state = u32::from(client).wrapping_mul(2_654_435_761) | 1;
        (0..u32::from(self.thousands) * 1000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / 16_777_216.0 * 0.1 - 0.05
            })
            .collect()
    }
}

fn join_setup(setup: &RoundSetup) -> JoinSetup<'_> {
    JoinSetup {
        policy: Policy::demo(),
        task: &setup.task,
        task_id: setup.task_id,
        round_id: setup.round_id,
        version: setup.version,
        adapter: setup.adapter,
    }
}

//! What a run notes down, one line of JSON for each round.

use serde::{Deserialize, Serialize};

use super::personal::Mixture;

/// A round of a run; round 0 is version 0 before any training.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The strategy's name.
    pub strategy: String,
    /// The run's seed.
    pub seed: u64,
    /// From 0.
    pub round: u32,
    /// Share of right predictions on the watched test texts.
    pub accuracy: f32,
    /// Mean cross-entropy on them.
    pub loss: f32,
    /// How many they are.
    pub texts: usize,
    /// Clients that joined.
    pub clients: usize,
    /// Those whose update did not arrive.
    pub dropped: usize,
    /// Whether too few were left for a result: the adapter stayed as it was.
    pub aborted: bool,
    /// Bytes that a client sent.
    pub bytes_up: u64,
    /// Bytes of the adapter that a client fetched.
    pub bytes_down: u64,
    /// Coordinates of all updates that were cut to the bound.
    pub clipped: usize,
    /// With a secure sum: whether it was, word for word, the plain one.
    pub secure_sum_is_plain: Option<bool>,
    /// With a secure sum: largest distance of a coordinate of its mean from the unrounded one.
    pub rounding_error: Option<f32>,
    /// Time that it took.
    pub seconds: f32,
}

/// The end of a run, on all test texts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Final {
    /// Share of right predictions.
    pub accuracy: f32,
    /// Mean cross-entropy.
    pub loss: f32,
    /// What clients gain by going on alone, where that was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub personal: Vec<Mixture>,
}

//! What native clients tell, one line of JSON each.

use std::path::PathBuf;

use choir_shared::ids::{Digest, RoundId, Version};
use serde::Serialize;

use super::life::Point;

/// An event, and whose it is.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// The client's place in the plan.
    pub client: usize,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happens to a client.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Its update is ready.
    Trained {
        /// What it started from.
        version: Version,
        /// Steps taken.
        steps: u32,
        /// Mean cross-entropy of the last step's batch.
        loss: Option<f32>,
        /// Of all steps together, in milliseconds.
        milliseconds: u64,
    },
    /// The plain words of its update, in an observe build.
    Plain {
        /// The round.
        round: RoundId,
        /// Little-endian words.
        file: PathBuf,
    },
    /// JOIN is sent.
    Joining {
        /// The round.
        round: RoundId,
        /// What the update started from.
        version: Version,
    },
    /// It has entered a phase.
    Phase {
        /// The phase.
        phase: &'static str,
        /// Since JOIN.
        milliseconds: u64,
    },
    /// Its masked update was taken.
    Uploaded {
        /// Of the request's body.
        bytes: usize,
    },
    /// Its socket broke, or is there again.
    Connection {
        /// Whether there is one.
        open: bool,
    },
    /// The round is published and the update is in the sum.
    Finished {
        /// The round.
        round: RoundId,
        /// The version that it made.
        version: Version,
        /// Clients in the roster.
        clients: u16,
        /// Clients in the sum.
        survivors: u16,
        /// SHA-256 of the sum.
        sum: Digest,
        /// Payload to the aggregator.
        bytes_up: u64,
        /// Payload from the aggregator.
        bytes_down: u64,
        /// Since JOIN.
        milliseconds: u64,
    },
    /// It left the round.
    Left {
        /// The round.
        round: RoundId,
        /// Why.
        reason: String,
        /// `retrain`, `again` or `stop`.
        next: &'static str,
        /// Payload to the aggregator.
        bytes_up: u64,
        /// Payload from the aggregator.
        bytes_down: u64,
    },
    /// It was lost as planned: its sockets are gone, without a word.
    Lost {
        /// The round.
        round: RoundId,
        /// The planned point, where there was one.
        at: Option<Point>,
        /// The phase that it was in.
        phase: &'static str,
        /// Since JOIN.
        milliseconds: u64,
    },
    /// Nothing more will come of this client.
    Ended {
        /// Why.
        reason: String,
        /// Whether that is an error.
        failed: bool,
    },
}

//! The header, the roster and the context that every key of a round is bound to.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Parameters, RosterEntry};
use crate::ids::{Digest, RoundId, TaskId};
use crate::task::{AdapterLayout, Dp, Quantiser, TaskConfig, TaskError};
use crate::wire;

/// Version of the protocol.
pub const PROTOCOL_VERSION: u8 = 1;

/// X25519, Ed25519, HKDF-SHA256, ChaCha20, ChaCha20Poly1305.
pub const SUITE: u8 = 1;

/// A round's settings. The field order is the format: the header is its postcard bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the protocol.
    pub ver: u8,
    /// Set of algorithms.
    pub suite: u8,
    /// The task.
    pub task_id: TaskId,
    /// The round.
    pub round_id: RoundId,
    /// Task config, version and adapter.
    pub model_digest: Digest,
    /// Coordinates, the weight included.
    pub d: u32,
    /// Bits of the ring.
    pub r: u8,
    /// Fixed point.
    pub quantiser: Quantiser,
    /// Differential privacy.
    pub dp: Dp,
    /// Smallest cohort.
    pub n_floor: u16,
    /// Assumed corrupt clients, in thousandths.
    pub g: u16,
    /// Neighbours of each client.
    pub m: u16,
    /// Shares that reconstruct a seed.
    pub t: u16,
    /// Signatures that let shares be opened.
    pub q: u16,
}

impl Header {
    /// The header of a round of `task` with these parameters.
    ///
    /// # Errors
    /// [`TaskError::PayloadSize`] if the payload does not fit an upload.
    pub fn new(
        task: &TaskConfig,
        task_id: TaskId,
        round_id: RoundId,
        model_digest: Digest,
        parameters: &Parameters,
    ) -> Result<Self, TaskError> {
        let coordinates = AdapterLayout::new(task)?.ring_len();
        Ok(Self {
            ver: PROTOCOL_VERSION,
            suite: SUITE,
            task_id,
            round_id,
            model_digest,
            d: u32::try_from(coordinates).map_err(|_| TaskError::PayloadSize)?,
            r: task.ring().bits(),
            quantiser: task.quantiser,
            dp: task.dp,
            n_floor: task.cohort.min_cohort,
            g: task.cohort.corrupt_permille,
            m: parameters.neighbours,
            t: parameters.threshold,
            q: parameters.quorum,
        })
    }

    /// The bytes that are hashed and sent.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::encode_bare(self)
    }
}

/// SHA-256("flsa1/ctx" || header || SHA-256(roster)): salt of every key of the round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context(Digest);

impl Context {
    /// The context of a round with this header and roster.
    #[must_use]
    pub fn new(header: &[u8], roster: &[RosterEntry]) -> Self {
        Self::of_bytes(header, &RosterEntry::roster_bytes(roster))
    }

    /// The same of a roster as it is sent, with tokens or without.
    #[must_use]
    pub fn of_bytes(header: &[u8], roster: &[u8]) -> Self {
        let roster = Digest::of(roster);
        Self(Digest::of_parts(&[b"flsa1/ctx", header, &roster.0]))
    }

    /// The digest's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0.0
    }
}

//! What a report is bound to: the settings of its round, by their digest.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::ids::{Digest, PublicKey, RoundId, TaskId};
use crate::task::{AdapterLayout, Aggregation, Dp, Quantiser, TaskConfig, TaskError};
use crate::wire;

/// Version of this mode.
pub const REPORT_VERSION: u8 = 1;

/// DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305 for seeds; ChaCha20 for masks.
pub const REPORT_SUITE: u8 = 1;

/// A round's settings in mode B. The field order is the format: the header is its postcard bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportHeader {
    /// Version of this mode.
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
    /// Smallest batch.
    pub n_floor: u16,
    /// X25519: whom seeds are sealed to.
    pub helper: PublicKey,
}

impl ReportHeader {
    /// The header of a round of `task`; none if the task has one aggregator.
    ///
    /// # Errors
    /// [`TaskError::PayloadSize`] if the payload does not fit an upload.
    pub fn new(
        task: &TaskConfig,
        task_id: TaskId,
        round_id: RoundId,
        model_digest: Digest,
    ) -> Result<Option<Self>, TaskError> {
        let Aggregation::TwoAggregators(helper) = &task.aggregation else {
            return Ok(None);
        };
        let coordinates = AdapterLayout::new(task)?.ring_len();
        Ok(Some(Self {
            ver: REPORT_VERSION,
            suite: REPORT_SUITE,
            task_id,
            round_id,
            model_digest,
            d: u32::try_from(coordinates).map_err(|_| TaskError::PayloadSize)?,
            r: task.ring().bits(),
            quantiser: task.quantiser,
            dp: task.dp,
            n_floor: task.cohort.min_cohort,
            helper: helper.key,
        }))
    }

    /// The bytes that are hashed and sent.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::encode_bare(self)
    }

    /// The context of reports under this header.
    #[must_use]
    pub fn context(&self) -> ReportContext {
        ReportContext(Digest::of_parts(&[b"choir/report-ctx", &self.to_bytes()]))
    }
}

/// SHA-256("choir/report-ctx" || header): in the associated data of every sealed seed, so that a
/// seed opens for the round that its client meant and for no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportContext(Digest);

impl ReportContext {
    /// The digest's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0.0
    }
}

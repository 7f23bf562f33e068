//! What travels in mode B. Each message is `wire::encode` of one of these; the order of variants
//! and fields is the wire format: append only.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::ReportContext;
use crate::ids::{Digest, ReportId, RoundId, SealedSeed};

/// REPORT: client to leader, the body of an HTTP POST. The words are not copied when decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report<'a> {
    /// The round.
    pub round: RoundId,
    /// What the client believes the round's header to be.
    pub context: ReportContext,
    /// Fresh and random.
    pub id: ReportId,
    /// The mask's seed, sealed to the helper.
    pub seed: SealedSeed,
    /// The masked vector, packed to the ring's bits.
    #[serde(borrow, with = "serde_bytes")]
    pub words: &'a [u8],
}

/// What the helper sees of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedReport {
    /// The report.
    pub id: ReportId,
    /// Its sealed seed.
    pub seed: SealedSeed,
    /// SHA-256 of its masked vector.
    pub vector: Digest,
}

/// BATCH: leader to helper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRequest {
    /// The [`super::ReportHeader`] that all reports are bound to.
    #[serde(with = "serde_bytes")]
    pub header: Vec<u8>,
    /// The reports.
    pub reports: Vec<SealedReport>,
}

/// From the helper. Append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchReply {
    /// The sum of the masks.
    Answer(BatchAnswer),
    /// No sum, and nothing of the batch counts as used.
    Refused(BatchRefusal),
}

/// The sum of a batch's masks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchAnswer {
    /// SHA-256 of the request's bytes.
    pub batch: Digest,
    /// Reports whose seed does not open; their masks are not in the sum.
    pub left_out: Vec<ReportId>,
    /// The sum of the other reports' masks, packed to the ring's bits.
    #[serde(with = "serde_bytes")]
    pub masks: Vec<u8>,
}

/// Why a batch is refused. Append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum BatchRefusal {
    /// The bytes are no request.
    #[error("the request is malformed")]
    Malformed,
    /// The task was never registered here.
    #[error("the task is not registered with this helper")]
    UnknownTask,
    /// The header is not that of the registered task.
    #[error("the header is not that of the registered task")]
    Header,
    /// The header names another helper.
    #[error("the header names another helper's key")]
    OtherHelper,
    /// Fewer reports than the helper's own minimum.
    #[error("the batch has {reports} reports, the minimum is {minimum}")]
    TooFew {
        /// In the batch.
        reports: u16,
        /// The helper's.
        minimum: u16,
    },
    /// More reports than a cohort of the task has.
    #[error("the batch has more reports than a cohort")]
    TooMany,
    /// A report is in the batch twice.
    #[error("report {0} is in the batch twice")]
    Repeated(ReportId),
    /// A report was in an answered batch before.
    #[error("report {0} was used before")]
    Used(ReportId),
    /// So many seeds do not open that the others are below the minimum.
    #[error("too few seeds open; {} do not", .0.len())]
    TooFewOpened(Vec<ReportId>),
}

/// Bytes of a header at most: 68 of version, suite and identifiers, 32 of the key, 3 varints of 5,
/// 2 of 3 and 3 floats; rounded up.
pub const MAX_HEADER_BYTES: usize = 192;

/// REPORT beside its words: version, round 16, context 32, identifier 16, seed 80, length up to 5.
pub const REPORT_OVERHEAD: usize = 1 + 16 + 32 + 16 + SealedSeed::BYTES + 5;

/// A report whose packed vector has so many bytes.
#[must_use]
pub const fn report_limit(packed_bytes: usize) -> usize {
    REPORT_OVERHEAD + packed_bytes
}

/// BATCH of so many reports: version, header with a length of 2, a count of 3, and 128 each.
#[must_use]
pub const fn batch_limit(reports: u16) -> usize {
    1 + 2 + MAX_HEADER_BYTES + 3 + reports as usize * SEALED_REPORT_BYTES
}

/// A reply to so many reports of packed vectors of so many bytes: version, variant, digest 32, a
/// count of 3 and identifiers of 16, a length of 5 and the masks.
#[must_use]
pub const fn reply_limit(reports: u16, packed_bytes: usize) -> usize {
    1 + 1 + 32 + 3 + reports as usize * 16 + 5 + packed_bytes
}

const SEALED_REPORT_BYTES: usize = 16 + SealedSeed::BYTES + 32;

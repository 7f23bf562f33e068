//! How many bytes a receiver takes, each limit with its sum.

/// Smallest cohort that a secure sum makes sense for.
pub const MIN_COHORT: u16 = 3;

/// Largest cohort. A ROSTER of it has 96 KB, and its seeds and masks are a minute's work.
pub const MAX_COHORT: u16 = 1_000;

/// One sealed box: two shares of 32 bytes and a tag of 16.
pub const BOX_BYTES: usize = 2 * 32 + 16;

/// Coordinates of a masked vector, the weight included: 4 bytes each make 16 MiB, which stays
/// under the 32 MiB that one storage transaction and one copy of the body may hold in 128 MB.
pub const MAX_COORDINATES: usize = 4 * 1024 * 1024;

/// Labels of a task.
pub const MAX_LABELS: usize = 1024;

/// Bytes of one name or label.
pub const MAX_NAME_BYTES: usize = 256;

/// SHARE is the largest, and largest where everybody is everybody's neighbour: version, variant,
/// round id 16, out-list of 999 varints of up to 2 bytes and its length, two commitments of 32,
/// boxes of 999 x 80 and a length of 3: 1 + 1 + 16 + 2,000 + 64 + 79,923 = 82,005. OPEN is
/// 999 x 32 = 31,968. Rounded up.
pub const CLIENT_MESSAGE: usize = 84 * 1024;

/// ROSTER is the largest: a header of up to 160, and 1,000 x (96 + 256) with a token for each
/// client; DELIVER has 999 x 80 and 999 varints; ACKS 1,000 x 64. With lengths, bitmap of 125 and
/// variant under 353,000.
pub const AGGREGATOR_MESSAGE: usize = 360 * 1024;

/// UPLOAD beside its words: version, round id 16, index up to 3, signature 64, length up to 5.
pub const UPLOAD_OVERHEAD: usize = 1 + 16 + 3 + 64 + 5;

/// An upload whose packed vector has so many bytes.
#[must_use]
pub const fn upload(packed_bytes: usize) -> usize {
    UPLOAD_OVERHEAD + packed_bytes
}

/// A task's config: at most 1,024 labels of 256 bytes and a length of 2 each are 264,192; name,
/// digests and numbers under 1,024. Rounded up.
pub const TASK_CONFIG: usize = 272 * 1024;

/// Rounds that a task's status lists, newest last.
pub const MAX_HISTORY: usize = 256;

/// A task's status: its config and 256 summaries of at most 160 bytes (40,960), 512 for the rest.
pub const TASK_STATUS: usize = TASK_CONFIG + MAX_HISTORY * 160 + 512;

/// An operator's request: a config and some identifiers.
pub const OPERATOR_REQUEST: usize = TASK_CONFIG + 256;

/// A round's or a site's status.
pub const SMALL_STATUS: usize = 512;

/// A stored part of a round but its sum: a roster as in ROSTER is the largest; the settings are at
/// most a task's config and 128 bytes, the head 1,000 x 20 for links and counters, or a lobby of
/// 1,000 x 361.
pub const ROUND_PART: usize = 368 * 1024;

//! Every limit of the edge worker, with its arithmetic and where it comes from.
//!
//! Limits of what travels (a message, a cohort, a payload) are in [`choir_shared::wire::limits`].

use choir_shared::wire::limits;
use worker::Request;

use crate::error::EdgeError;

/// One row of a stored value. SQLite in a Durable Object takes a row of up to 2 MB (2,097,152
/// bytes); half of that leaves room for its other columns and stays a power of two.
pub const ROW_BYTES: usize = 1 << 20;

/// The largest object. The platform takes a request body of 100 MB (100,000,000 bytes); a base
/// model of 22.7 million f32 parameters has under 91 MB with its header.
pub const OBJECT_MAX_BYTES: usize = 100_000_000;

/// The largest upload: 16 MiB of words and its head.
pub const UPLOAD_MAX_BYTES: usize = limits::upload(4 * limits::MAX_COORDINATES);

/// Upload bodies held at once in one isolate, which has 128 MB (122 MiB) for all of its objects.
/// Three of the largest are 48 MiB; while one is copied between the runtime and the module it
/// counts twice, so at worst 64 MiB, and 58 MiB are left for sums, states and the runtime.
pub const UPLOADS_IN_FLIGHT_BYTES: usize = 3 * UPLOAD_MAX_BYTES;

/// How long an upload waits for others that are stored with it, in milliseconds. A hundred uploads
/// within two seconds are stored some twenty times instead of a hundred; a client waits so much
/// longer for its answer, within a round of seconds.
pub const UPLOAD_BATCH_MS: u64 = 100;

/// Sockets of one round: each client of the cohort, one reconnection of each while its old socket
/// is not yet known to be dead, as many visitors who find the cohort full, and 16 for the smallest
/// cohorts. The largest cohort of 1,000 makes 3,016; the platform's own limit is 32,768 for one object.
#[must_use]
pub const fn sockets_of_round(cohort_size: u16) -> usize {
    3 * cohort_size as usize + 16
}

/// Rounds that a task can be given at once. At one round a minute this is a week.
pub const TASK_MAX_ROUNDS: u32 = 10_080;

/// Tasks that are listed, the newest last; a list of identifiers of 16 bytes stays below 16 KiB.
pub const LISTED_TASKS: usize = 1_000;

/// Tasks whose figures one request gathers, the newest: each is a call to another object, and the
/// smallest plan allows a request 50.
pub const METRICS_TASKS: usize = 40;

/// Evaluations that a report holds, the newest.
pub const REPORTED_EVALUATIONS: usize = limits::MAX_HISTORY;

/// A message between two objects: at most a task's settings or an operator's request, and some
/// identifiers.
pub const INTERNAL_MAX_BYTES: usize = limits::OPERATOR_REQUEST;

/// The least length of the operator's secret and of the token for metrics: 24 characters of base64 carry 144 bits.
pub const OPERATOR_SECRET_MIN_BYTES: usize = 24;

/// Time after which the way from a sum to a version is tried once more after so many failures, in
/// milliseconds: 5 s, then twice as long each time, at most 5 minutes. It takes four calls, each
/// usually well under a second.
#[must_use]
pub const fn closing_retry_ms(failures: u16) -> u32 {
    match failures {
        0 | 1 => 5_000,
        2..=6 => 5_000 << (failures - 1),
        _ => 300_000,
    }
}

/// Words of masks that one object expands in one event: about a second's work, of the 30 s that an
/// event may take. A cohort of 100 that loses a tenth has 550 masks, so 480,000 coordinates are
/// done without help.
pub const LANE_MASK_WORDS: usize = 1 << 28;

/// Bytes of what a lane is asked for: at most 1,000 self masks and, where half of the largest cohort
/// on the complete graph is lost, 250,000 pair masks, of 33 bytes each, and 9 more.
pub const LANE_MAX_BYTES: usize = 251_000 * 33 + 9;

/// Time after which lanes that have not answered are asked again, in milliseconds.
pub const LANE_RETRY_MS: u32 = 60_000;

/// How often making or storing the next version may fail before the round ends without a result:
/// 5 + 10 + 20 + 40 + 80 + 160 s and four times 300 s, about 25 minutes.
pub const CLOSING_FAILURES: u16 = 11;

/// The same where the adapter's object is missing or another: once more after 5 s, for a store that
/// answered wrongly, and no longer.
pub const HOPELESS_FAILURES: u16 = 2;

/// How long a round that is over still answers how it ended, in milliseconds: a day, for a visitor
/// who closed the lid. Then nothing of it is left.
pub const ENDED_KEPT_MS: u32 = 24 * 60 * 60 * 1000;

// The platform takes a frame of up to 32 MiB.
const _: () = assert!(limits::CLIENT_MESSAGE <= 32 << 20);

/// The length that a request declares for its body.
///
/// # Errors
/// [`EdgeError::LengthRequired`] without one, [`EdgeError::TooLarge`] above `max_bytes`.
pub fn declared_length(request: &Request, max_bytes: usize) -> Result<usize, EdgeError> {
    let header = request.headers().get("content-length")?;
    match header.and_then(|text| text.parse::<usize>().ok()) {
        None => Err(EdgeError::LengthRequired),
        Some(length) if length > max_bytes => Err(EdgeError::TooLarge),
        Some(length) => Ok(length),
    }
}

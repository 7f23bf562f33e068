//! Mode B: a sum by two aggregators that do not collude.
//!
//! A client masks its update with the stream of one seed, gives the masked vector to the *leader*,
//! and seals the seed to the *helper* (HPKE, RFC 9180), all in one message: a report. There is no
//! lobby and no second step, so a tab that closes after its report is counted, and one that closes
//! before is not missed. When enough reports are there, the leader hands their sealed seeds to the
//! helper as a batch; the helper answers with the sum of their masks, which the leader subtracts
//! from the sum of the vectors.
//!
//! The leader sees vectors and no seed, the helper seeds and no vector: what one of them learns
//! alone is the sum of a batch, whose least size the helper holds by itself. Both together learn
//! every update. Neither can tell whether a vector is an honest update; a sum out of range is
//! noticed, as in mode A.
//!
//! | module | what |
//! |---|---|
//! | [`header`] | what a report is bound to |
//! | [`messages`] | report, batch, reply, with their limits |
//! | [`seed`] | sealing a seed to the helper, and opening it |
//! | [`client`] | makes one report of one update |
//! | [`leader`] | collects reports, asks the helper, makes the sum |
//! | [`helper`] | answers one batch, once |
//!
//! Source: `draft-ietf-ppm-dap` for the roles and the rules of a batch; the sum is that of
//! [`crate::fixed_point`].

pub mod client;
pub mod header;
pub mod helper;
pub mod leader;
pub mod messages;
pub mod seed;

pub use client::{ReportClient, ReportError, ReportSetup};
pub use header::{ReportContext, ReportHeader};
pub use helper::{AnswerError, BatchLog, HelperKey, HelperTask, HelperTaskError};
pub use leader::{BatchSum, Leader, LeaderEffect, LeaderFault, Received};
pub use messages::{BatchAnswer, BatchRefusal, BatchReply, BatchRequest, Report, SealedReport};

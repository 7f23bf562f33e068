//! What clients and the aggregator say to each other in a round.
//!
//! Each message is `wire::encode` of one of these enums; a masked vector travels as [`Upload`].
//! The order of variants and fields is the wire format: append only.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::ids::{ClientIndex, Digest, PublicKey, RoundId, SignatureBytes, Timestamp, Version};
use crate::reject::RejectCode;

/// From a client, over its socket. Append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientMessage {
    /// JOIN: an update is ready; here are the session's fresh keys.
    Join {
        /// The round.
        round: RoundId,
        /// What the update started from.
        version: Version,
        /// Ed25519.
        signing_key: PublicKey,
        /// X25519, for sealed boxes.
        channel_key: PublicKey,
        /// X25519, for masks.
        mask_key: PublicKey,
        /// What the client believes the model to be.
        model_digest: Digest,
        /// The token for these keys, 256 bytes; empty where the task names no issuer.
        #[serde(with = "serde_bytes")]
        token: Vec<u8>,
    },
    /// SHARE: commitments and one sealed box for each neighbour.
    Share {
        /// The round.
        round: RoundId,
        /// The neighbours, ascending.
        out_list: Vec<ClientIndex>,
        /// Commitment to the seed of the self mask.
        commitment_b: Digest,
        /// Commitment to the seed of the mask key.
        commitment_s: Digest,
        /// One box of 80 bytes for each neighbour, in the out-list's order.
        #[serde(with = "serde_bytes")]
        boxes: Vec<u8>,
    },
    /// ACK: a signature over who shared and who survived.
    Ack {
        /// The round.
        round: RoundId,
        /// The signer.
        index: ClientIndex,
        /// Ed25519 over the digest of context, U2 and U3.
        signature: SignatureBytes,
    },
    /// OPEN: for each owner in U2 that chose the sender as neighbour, ascending, one share of 32
    /// bytes: of the self mask's seed if the owner survived, of the mask key's seed if not.
    Open {
        /// The round.
        round: RoundId,
        /// The shares, one after the other.
        #[serde(with = "serde_bytes")]
        shares: Vec<u8>,
    },
    /// A client of the roster is back on a new connection.
    Resume {
        /// The round.
        round: RoundId,
        /// The client.
        index: ClientIndex,
        /// Grows with each resumption.
        counter: u64,
        /// Ed25519 over "choir/resume", context, index, counter.
        signature: SignatureBytes,
    },
    /// The client goes.
    Leave {
        /// The round.
        round: RoundId,
    },
}

impl ClientMessage {
    /// The round that the message is for.
    #[must_use]
    pub const fn round(&self) -> RoundId {
        match self {
            Self::Join { round, .. }
            | Self::Share { round, .. }
            | Self::Ack { round, .. }
            | Self::Open { round, .. }
            | Self::Resume { round, .. }
            | Self::Leave { round } => *round,
        }
    }
}

/// From the aggregator, over the client's socket. Append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AggregatorMessage {
    /// How full the lobby is.
    Lobby {
        /// Clients in it.
        joined: u16,
        /// The round starts at once with this many.
        cohort_size: u16,
        /// The round starts at the deadline with this many.
        min_cohort: u16,
        /// The lobby's deadline, once somebody has joined.
        deadline: Option<Timestamp>,
    },
    /// ROSTER: the round has started.
    Roster {
        /// The round's settings, as hashed into the context.
        #[serde(with = "serde_bytes")]
        header: Vec<u8>,
        /// 96 bytes for each client: signing, channel and mask key, in join order; after them, where
        /// the task names an issuer, its token of 256. A client finds its place by its own keys.
        #[serde(with = "serde_bytes")]
        roster: Vec<u8>,
    },
    /// DELIVER: who shared, and the boxes of those of them that chose the receiver.
    Deliver {
        /// U2, bit 0 of byte 0 is index 0.
        #[serde(with = "serde_bytes")]
        shared: Vec<u8>,
        /// Who the boxes are from, ascending.
        senders: Vec<ClientIndex>,
        /// One box of 80 bytes for each sender.
        #[serde(with = "serde_bytes")]
        boxes: Vec<u8>,
    },
    /// SURVIVORS: whose masked update arrived.
    Survivors {
        /// U3, as a bitmap.
        #[serde(with = "serde_bytes")]
        survivors: Vec<u8>,
    },
    /// ACKS: who signed.
    Acks {
        /// The signers, as a bitmap.
        #[serde(with = "serde_bytes")]
        signers: Vec<u8>,
        /// 64 bytes for each signer, ascending.
        #[serde(with = "serde_bytes")]
        signatures: Vec<u8>,
    },
    /// DONE: the sum is published.
    Done {
        /// What came of the round.
        receipt: Receipt,
    },
    /// The round is over without a result.
    Aborted {
        /// Why.
        reason: AbortReason,
    },
    /// The last message was refused.
    Refused {
        /// Why.
        code: RejectCode,
        /// With a stale version: the current one.
        version: Option<Version>,
    },
}

/// What came of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The round.
    pub round: RoundId,
    /// The version that it made.
    pub version: Version,
    /// SHA-256 of the sum object: every word of the sum, little-endian.
    pub sum: Digest,
    /// Sum of the survivors' weights.
    pub total_weight: u32,
    /// Clients in the roster.
    pub clients: u16,
    /// Clients whose update is in the sum.
    pub survivors: u16,
}

/// Why a round ended without a result. Append only.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error,
)]
#[serde(rename_all = "snake_case")]
pub enum AbortReason {
    /// Fewer clients shared than the quorum needs.
    #[error("too few clients shared their seeds")]
    TooFewShares,
    /// Fewer masked updates arrived than the quorum or the threshold needs.
    #[error("too few masked updates arrived")]
    TooFewSurvivors,
    /// Fewer clients signed than the quorum needs.
    #[error("too few clients signed the survivors' list")]
    TooFewAcks,
    /// Some seed has fewer shares than the threshold.
    #[error("too few shares were opened")]
    TooFewOpened,
    /// Some seed does not match its commitment.
    #[error("opened shares do not match their commitments")]
    WrongShares,
    /// A coordinate of the sum is out of range: some vector was garbage.
    #[error("the sum is out of range")]
    SumOutOfRange,
    /// The operator stopped the task.
    #[error("the task was stopped")]
    Stopped,
    /// There was a sum, and the next version could not be made of it or not be stored.
    #[error("the next version could not be published")]
    NotPublished,
    /// The helper of a task with two aggregators refused the batch.
    #[error("the helper refused the batch")]
    HelperRefused,
}

impl AbortReason {
    /// The name in JSON and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooFewShares => "too_few_shares",
            Self::TooFewSurvivors => "too_few_survivors",
            Self::TooFewAcks => "too_few_acks",
            Self::TooFewOpened => "too_few_opened",
            Self::WrongShares => "wrong_shares",
            Self::SumOutOfRange => "sum_out_of_range",
            Self::Stopped => "stopped",
            Self::NotPublished => "not_published",
            Self::HelperRefused => "helper_refused",
        }
    }
}

/// UPLOAD: one masked vector, the body of an HTTP POST. The words are not copied when decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload<'a> {
    /// The round.
    pub round: RoundId,
    /// The sender.
    pub index: ClientIndex,
    /// Ed25519 over "flsa1/upload", context, index, SHA-256 of the packed words.
    pub signature: SignatureBytes,
    /// The masked vector, packed to the bits of the ring.
    #[serde(borrow, with = "serde_bytes")]
    pub words: &'a [u8],
}

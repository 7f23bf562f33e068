//! What known answers are computed of, and input that is none.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::ids::{self, Bytes32, Digest, RoundId, TaskId};
use crate::secure_sum::{Parameters, Token};
use crate::task::{Dp, Quantiser};

/// The given secrets.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KatInput {
    /// The task.
    pub task_id: TaskId,
    /// The round.
    pub round_id: RoundId,
    /// Task config, version and adapter.
    pub model_digest: Digest,
    /// Coordinates, the weight included.
    pub d: u32,
    /// Bits of the ring; 32 if left out.
    #[serde(default = "full_ring")]
    pub r: u8,
    /// Fixed point.
    pub quantiser: Quantiser,
    /// Differential privacy.
    pub dp: Dp,
    /// Smallest cohort.
    pub n_floor: u16,
    /// Assumed corrupt clients, in thousandths.
    pub g: u16,
    /// Clients that may be lost at random, in thousandths; 300 if left out. Not in the header: it
    /// only helps to choose `m` and `t`.
    #[serde(default = "usual_drop")]
    pub drop: u16,
    /// Neighbours of each client, in place of those computed.
    #[serde(default)]
    pub m: Option<u16>,
    /// Shares that reconstruct a seed, in place of those computed.
    #[serde(default)]
    pub t: Option<u16>,
    /// The clients, in roster order.
    pub clients: Vec<KatSecrets>,
    /// U2; everybody if left out.
    #[serde(default)]
    pub shared: Option<Vec<u16>>,
    /// U3; as U2 if left out.
    #[serde(default)]
    pub survivors: Option<Vec<u16>>,
}

const fn full_ring() -> u8 {
    32
}

const fn usual_drop() -> u16 {
    300
}

/// One client's secrets.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KatSecrets {
    /// Ed25519 seed.
    pub signing_secret: Bytes32,
    /// X25519 secret.
    pub channel_secret: Bytes32,
    /// Seed of the self mask.
    pub z_b: Bytes32,
    /// Seed of the mask key.
    pub z_s: Bytes32,
    /// Coefficients of x, x^2, ... of the polynomial of `z_b`.
    pub coefficients_b: Vec<Bytes32>,
    /// Likewise for `z_s`.
    pub coefficients_s: Vec<Bytes32>,
    /// The neighbours that hold its shares, ascending; all others on the complete graph if left out.
    #[serde(default)]
    pub out_list: Option<Vec<u16>>,
    /// The authenticator of the client's token, 512 hex digits, for an attested roster; not checked.
    #[serde(default)]
    pub token: Option<String>,
    /// The plain vector.
    #[serde(default)]
    pub update: Option<Vec<u32>>,
}

/// Input that makes no round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KatError {
    /// No parameters exist for this number of clients.
    #[error("the number of clients must be 3 to 1000 and leave a quorum")]
    Cohort,
    /// The given `m` or `t` makes no graph.
    #[error("m must be below the number of clients, and t from 1 to m")]
    Graph,
    /// There is no ring of so many bits.
    #[error("r must be 1 to 32")]
    Ring,
    /// A scalar is not canonical.
    #[error("client {0}: a scalar is not canonical")]
    Scalar(usize),
    /// There are not `t - 1` coefficients.
    #[error("client {client}: {expected} coefficients are needed")]
    Coefficients {
        /// The client.
        client: usize,
        /// `t - 1`.
        expected: usize,
    },
    /// The out-list is missing though the graph is not complete, or not `m` others in order.
    #[error("client {client}: an out_list of {expected} other clients, ascending, is needed")]
    OutList {
        /// The client.
        client: usize,
        /// `m`.
        expected: u16,
    },
    /// A token is not 256 bytes, or one client has a token and another none.
    #[error("client {0}: a token has 512 hex digits, and all clients have one or none has")]
    Token(usize),
    /// An update does not have `d` words.
    #[error("client {0}: the update does not have d words")]
    Update(usize),
    /// Two clients have equal keys, or a key is of small order.
    #[error("keys must be of large order and differ")]
    Keys,
    /// U2 or U3 names a client that is not there, or U3 one that is not in U2.
    #[error("shared and survivors must be subsets of the roster and of each other")]
    Sets,
}

impl KatInput {
    /// The round's parameters, `m` and `t` as given.
    pub(super) fn parameters(&self) -> Result<Parameters, KatError> {
        let clients = u16::try_from(self.clients.len()).map_err(|_| KatError::Cohort)?;
        let found = Parameters::new(clients, self.g, self.drop).ok_or(KatError::Cohort)?;
        let (m, t) = (
            self.m.unwrap_or(found.neighbours),
            self.t.unwrap_or(found.threshold),
        );
        if m >= clients || t == 0 || t > m {
            return Err(KatError::Graph);
        }
        Ok(Parameters {
            neighbours: m,
            threshold: t,
            ..found
        })
    }

    /// A token for each client, or none.
    pub(super) fn tokens(&self) -> Result<Vec<Token>, KatError> {
        let attested = self.clients.iter().any(|client| client.token.is_some());
        if !attested {
            return Ok(Vec::new());
        }
        let tokens = self.clients.iter().enumerate().map(|(client, secrets)| {
            let digits = secrets.token.as_deref().unwrap_or_default();
            let bytes = ids::from_hex(digits).map_err(|_| KatError::Token(client))?;
            Ok(Token(bytes))
        });
        tokens.collect()
    }
}

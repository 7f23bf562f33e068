//! Known answers: every value of a round for given secrets, so that an outside implementation can be
//! compared byte by byte.
//!
//! [`KatInput`] as JSON: all byte strings in hex, integers as numbers.
//!
//! ```json
//! {
//!   "task_id": "16 bytes", "round_id": "16 bytes", "model_digest": "32 bytes", "d": 4, "r": 32,
//!   "quantiser": {"levels": 65535, "bound": 1.0, "weight_max": 512},
//!   "dp": {"noise_multiplier": 0.0, "clip": 0.0, "honest": 0},
//!   "n_floor": 3, "g": 100,
//!   "clients": [{
//!     "signing_secret": "32 bytes", "channel_secret": "32 bytes",
//!     "z_b": "canonical scalar", "z_s": "canonical scalar",
//!     "coefficients_b": ["t-1 canonical scalars: of x, x^2, ..."], "coefficients_s": ["likewise"],
//!     "update": [1, 2, 3, 4]
//!   }],
//!   "shared": [0, 1, 2], "survivors": [0, 1, 2]
//! }
//! ```
//!
//! `update` has `d` words and may be left out; then there are no masked vectors and no sum. `shared`
//! and `survivors` are U2 and U3 and may be left out: everybody. `m`, `t` and `q` follow from the
//! number of clients and `g`.

use alloc::vec::Vec;

use curve25519_dalek::Scalar;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::ids::{Bytes32, Digest, PublicKey, RoundId, SignatureBytes, TaskId, to_hex};
use crate::secure_sum::{
    self, Bitmap, Commitment, Context, Header, MaskKey, PROTOCOL_VERSION, Parameters, Ring,
    RosterEntry, SUITE, SessionSecrets, Sign,
};
use crate::task::{Dp, Quantiser};

mod output;

pub use output::{KatBox, KatClient, KatOutput, KatPair, KatShare};

/// Words of each mask that are printed.
const MASK_WORDS: usize = 20;

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
    /// The plain vector.
    #[serde(default)]
    pub update: Option<Vec<u32>>,
}

/// Input that makes no round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KatError {
    /// No parameters exist for this number of clients.
    #[error("the number of clients must be 3 to 49 and leave a quorum")]
    Cohort,
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

struct Member {
    secrets: SessionSecrets,
    coefficients_b: Vec<Scalar>,
    coefficients_s: Vec<Scalar>,
}

struct Session {
    parameters: Parameters,
    roster: Vec<RosterEntry>,
    context: Context,
    members: Vec<Member>,
    shared: Bitmap,
    ring: Ring,
}

/// Every value of the round that these secrets make.
///
/// # Errors
/// [`KatError`] if the input makes no round.
pub fn kat(input: &KatInput) -> Result<KatOutput, KatError> {
    let clients = u16::try_from(input.clients.len()).map_err(|_| KatError::Cohort)?;
    let parameters = Parameters::new(clients, input.g, 300).ok_or(KatError::Cohort)?;
    let ring = Ring::new(input.r).ok_or(KatError::Ring)?;
    let members = input
        .clients
        .iter()
        .enumerate()
        .map(|(client, secrets)| member(client, secrets, input, &parameters))
        .collect::<Result<Vec<Member>, KatError>>()?;
    let roster: Vec<RosterEntry> = members
        .iter()
        .map(|member| member.secrets.public())
        .collect();
    if !secure_sum::check_keys(&roster) {
        return Err(KatError::Keys);
    }
    let header = header(input, &parameters).to_bytes();
    let context = Context::new(&header, &roster);
    let shared = set(clients, input.shared.as_deref())?;
    let survivors = match &input.survivors {
        Some(survivors) => set(clients, Some(survivors))?,
        None => shared.clone(),
    };
    if !survivors.is_subset(&shared) {
        return Err(KatError::Sets);
    }
    let session = Session {
        parameters,
        roster,
        context,
        members,
        shared,
        ring,
    };
    let d = secure_sum::ack_digest(&context, &session.shared, &survivors);
    let roster_bytes = RosterEntry::roster_bytes(&session.roster);
    Ok(KatOutput {
        n: clients,
        m: parameters.neighbours,
        t: parameters.threshold,
        q: parameters.quorum,
        header: to_hex(&header),
        roster: to_hex(&roster_bytes),
        roster_digest: Digest::of(&roster_bytes),
        ctx: Bytes32(*context.as_bytes()),
        clients: (0..clients)
            .map(|index| session.client(index, &input.clients[usize::from(index)], d))
            .collect::<Option<_>>()
            .ok_or(KatError::Keys)?,
        pairs: session.pairs().ok_or(KatError::Keys)?,
        shared: to_hex(session.shared.as_bytes()),
        survivors: to_hex(survivors.as_bytes()),
        d,
        sum: plain_sum(input, &survivors, ring),
    })
}

fn header(input: &KatInput, parameters: &Parameters) -> Header {
    Header {
        ver: PROTOCOL_VERSION,
        suite: SUITE,
        task_id: input.task_id,
        round_id: input.round_id,
        model_digest: input.model_digest,
        d: input.d,
        r: input.r,
        quantiser: input.quantiser,
        dp: input.dp,
        n_floor: input.n_floor,
        g: input.g,
        m: parameters.neighbours,
        t: parameters.threshold,
        q: parameters.quorum,
    }
}

fn member(
    client: usize,
    given: &KatSecrets,
    input: &KatInput,
    parameters: &Parameters,
) -> Result<Member, KatError> {
    let scalar = |bytes: &Bytes32| {
        Scalar::from_canonical_bytes(bytes.0)
            .into_option()
            .ok_or(KatError::Scalar(client))
    };
    let expected = usize::from(parameters.threshold) - 1;
    let coefficients = |given: &[Bytes32]| {
        if given.len() != expected {
            return Err(KatError::Coefficients { client, expected });
        }
        given.iter().map(scalar).collect()
    };
    if given
        .update
        .as_ref()
        .is_some_and(|update| update.len() != input.d as usize)
    {
        return Err(KatError::Update(client));
    }
    Ok(Member {
        secrets: SessionSecrets::from_parts(
            &given.signing_secret.0,
            Zeroizing::new(given.channel_secret.0),
            Zeroizing::new(scalar(&given.z_b)?),
            Zeroizing::new(scalar(&given.z_s)?),
        ),
        coefficients_b: coefficients(&given.coefficients_b)?,
        coefficients_s: coefficients(&given.coefficients_s)?,
    })
}

fn set(clients: u16, indices: Option<&[u16]>) -> Result<Bitmap, KatError> {
    match indices {
        Some(indices) if indices.iter().any(|&index| index >= clients) => Err(KatError::Sets),
        Some(indices) => Ok(Bitmap::from_fn(clients, |index| indices.contains(&index))),
        None => Ok(Bitmap::from_fn(clients, |_| true)),
    }
}

fn plain_sum(input: &KatInput, survivors: &Bitmap, ring: Ring) -> Option<Vec<u32>> {
    let mut sum = alloc::vec![0u32; input.d as usize];
    for index in survivors.iter() {
        let update = input.clients[usize::from(index)].update.as_ref()?;
        for (total, word) in sum.iter_mut().zip(update) {
            *total = total.wrapping_add(*word) & ring.mask();
        }
    }
    Some(sum)
}

impl Session {
    fn client(&self, index: u16, given: &KatSecrets, ack: Digest) -> Option<KatClient> {
        let member = &self.members[usize::from(index)];
        let (secrets, keys) = (&member.secrets, &self.roster[usize::from(index)]);
        let self_mask = secure_sum::self_mask_key(&self.context, &secrets.seed_b, index);
        let commit = |kind, seed| secure_sum::commitment(&self.context, index, kind, seed);
        let shares = self.shares(index);
        let masked = match (&given.update, self.shared.contains(index)) {
            (Some(update), true) => Some(self.mask(index, update)?),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = masked.as_ref().map(|words| self.ring.pack(words));
        let upload_signature = bytes.as_ref().map(|bytes| {
            let message = secure_sum::upload_message(&self.context, index, Digest::of(bytes));
            secure_sum::sign(&secrets.signing, &message)
        });
        Some(KatClient {
            index,
            signing_key: keys.signing_key,
            channel_key: keys.channel_key,
            mask_secret: Bytes32(*secrets.mask),
            mask_key: keys.mask_key,
            self_mask_key: Bytes32(*self_mask.expose()),
            self_mask: secure_sum::mask_words(&self_mask, MASK_WORDS, self.ring),
            commitment_b: commit(Commitment::SelfMask, &secrets.seed_b),
            commitment_s: commit(Commitment::MaskSecret, &secrets.seed_s),
            boxes: self.boxes(index, &shares)?,
            shares,
            upload_digest: bytes.as_deref().map(Digest::of),
            masked_update: masked,
            upload_signature,
            ack_signature: secure_sum::sign(&secrets.signing, &ack.0),
        })
    }

    fn others(&self, index: u16) -> impl Iterator<Item = u16> {
        (0..self.parameters.clients).filter(move |&other| other != index)
    }

    fn shares(&self, index: u16) -> Vec<KatShare> {
        let member = &self.members[usize::from(index)];
        let count = self.parameters.neighbours;
        let of_b = secure_sum::split(&member.secrets.seed_b, &member.coefficients_b, count);
        let of_s = secure_sum::split(&member.secrets.seed_s, &member.coefficients_s, count);
        self.others(index)
            .zip(of_b.iter().zip(&of_s))
            .map(|(to, (share_b, share_s))| KatShare {
                to,
                x: secure_sum::share_position(index, to),
                share_b: Bytes32(share_b.to_bytes()),
                share_s: Bytes32(share_s.to_bytes()),
            })
            .collect()
    }

    fn boxes(&self, index: u16, shares: &[KatShare]) -> Option<Vec<KatBox>> {
        let secret = &self.members[usize::from(index)].secrets.channel;
        let own = &self.roster[usize::from(index)].channel_key;
        shares
            .iter()
            .map(|share| {
                let mut plain = [0; 64];
                plain[..32].copy_from_slice(&share.share_b.0);
                plain[32..].copy_from_slice(&share.share_s.0);
                let from = (index, &**secret);
                let sealed =
                    secure_sum::seal_box(&self.context, &self.roster, from, share.to, &plain)?;
                let theirs = &self.roster[usize::from(share.to)].channel_key;
                let agreed = secure_sum::agree(secret, theirs)?;
                let key = secure_sum::share_box_key(&self.context, &agreed, own, theirs);
                Some(KatBox {
                    to: share.to,
                    key: Bytes32(*key),
                    sealed: to_hex(&sealed),
                })
            })
            .collect()
    }

    fn pair_key(&self, one: u16, other: u16) -> Option<(Bytes32, MaskKey)> {
        let keys: [&PublicKey; 2] =
            [one, other].map(|index| &self.roster[usize::from(index)].mask_key);
        let shared = secure_sum::agree(&self.members[usize::from(one)].secrets.mask, keys[1])?;
        let key = secure_sum::pair_mask_key(&self.context, &shared, keys[0], keys[1]);
        Some((Bytes32(*shared), key))
    }

    fn pairs(&self) -> Option<Vec<KatPair>> {
        let clients = self.parameters.clients;
        (0..clients)
            .flat_map(|i| (i + 1..clients).map(move |j| (i, j)))
            .map(|(i, j)| {
                let (shared_secret, key) = self.pair_key(i, j)?;
                Some(KatPair {
                    i,
                    j,
                    shared_secret,
                    key: Bytes32(*key.expose()),
                    mask: secure_sum::mask_words(&key, MASK_WORDS, self.ring),
                })
            })
            .collect()
    }

    fn mask(&self, index: u16, update: &[u32]) -> Option<Vec<u32>> {
        let mut words = update.to_vec();
        let seed = &self.members[usize::from(index)].secrets.seed_b;
        let key = secure_sum::self_mask_key(&self.context, seed, index);
        secure_sum::add_mask(&mut words, &key, Sign::Plus, self.ring);
        for other in self.shared.others(index) {
            let (_, key) = self.pair_key(index, other)?;
            let sign = secure_sum::pair_sign(index, other);
            secure_sum::add_mask(&mut words, &key, sign, self.ring);
        }
        words.iter_mut().for_each(|word| *word &= self.ring.mask());
        Some(words)
    }
}

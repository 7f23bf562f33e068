//! What known answers are printed as: byte strings in hex, words as numbers.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::ids::{Bytes32, Digest, PublicKey, SignatureBytes};

/// Every value of a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KatOutput {
    /// Clients.
    pub n: u16,
    /// Neighbours of each.
    pub m: u16,
    /// Shares that reconstruct a seed.
    pub t: u16,
    /// Signatures that let shares be opened.
    pub q: u16,
    /// The header's bytes.
    pub header: String,
    /// The roster's bytes.
    pub roster: String,
    /// SHA-256 of the roster.
    pub roster_digest: Digest,
    /// The context.
    pub ctx: Bytes32,
    /// Each client.
    pub clients: Vec<KatClient>,
    /// Each pair of neighbours: `i` is below `j`, and one of the two chose the other.
    pub pairs: Vec<KatPair>,
    /// U2 as a bitmap.
    pub shared: String,
    /// U3 as a bitmap.
    pub survivors: String,
    /// What survivors sign.
    pub d: Digest,
    /// The plain sum over U3, modulo 2^r.
    pub sum: Option<Vec<u32>>,
}

/// One client's values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KatClient {
    /// Its place in the roster.
    pub index: u16,
    /// Ed25519.
    pub signing_key: PublicKey,
    /// X25519, for boxes.
    pub channel_key: PublicKey,
    /// The X25519 secret that `z_s` makes.
    pub mask_secret: Bytes32,
    /// X25519, for masks.
    pub mask_key: PublicKey,
    /// SHA-256 of the three keys: the nonce of a token for them.
    pub token_nonce: Digest,
    /// ChaCha20 key of the self mask.
    pub self_mask_key: Bytes32,
    /// First words of the self mask.
    pub self_mask: Vec<u32>,
    /// Commitment to `z_b`.
    pub commitment_b: Digest,
    /// Commitment to `z_s`.
    pub commitment_s: Digest,
    /// The neighbours that hold its shares, ascending.
    pub out_list: Vec<u16>,
    /// Its seeds' shares, one for each of them.
    pub shares: Vec<KatShare>,
    /// The same, sealed.
    pub boxes: Vec<KatBox>,
    /// The masked vector's bytes, `ceil(d r / 8)`, as they are sent.
    pub upload: Option<String>,
    /// SHA-256 of the masked vector's bytes.
    pub upload_digest: Option<Digest>,
    /// The masked vector as words below 2^r, if an update was given and the client is in U2.
    pub masked_update: Option<Vec<u32>>,
    /// The upload's signature.
    pub upload_signature: Option<SignatureBytes>,
    /// Its signature over `d`.
    pub ack_signature: SignatureBytes,
}

/// One neighbour's shares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KatShare {
    /// The neighbour.
    pub to: u16,
    /// The point.
    pub x: u16,
    /// Share of `z_b`.
    pub share_b: Bytes32,
    /// Share of `z_s`.
    pub share_s: Bytes32,
}

/// One sealed box.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KatBox {
    /// The neighbour.
    pub to: u16,
    /// ChaCha20Poly1305 key.
    pub key: Bytes32,
    /// Ciphertext and tag.
    pub sealed: String,
}

/// One pair's mask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KatPair {
    /// Adds the mask.
    pub i: u16,
    /// Subtracts the mask.
    pub j: u16,
    /// X25519 of the two mask keys.
    pub shared_secret: Bytes32,
    /// ChaCha20 key of the mask.
    pub key: Bytes32,
    /// First words of the mask.
    pub mask: Vec<u32>,
}

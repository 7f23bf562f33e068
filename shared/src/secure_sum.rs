//! FLSA-1: a sum that only the sum is learned of.
//!
//! Double masking after Bonawitz et al. 2017, on a graph whose edges the clients choose (after Bell et
//! al. 2020; below 50 clients everybody chooses everybody), with a signed list of survivors
//! whose quorum is over the committed roster, and with the model's digest inside every mask key.
//! These modules are the pieces: pure functions over keys, bytes and scalars. Who calls them when
//! is in [`crate::round`]. Every label, salt and encoding here is normative.

mod bitmap;
mod context;
mod derive;
mod expansion;
mod keys;
mod mask;
mod parameters;
mod ring;
mod roster;
mod sealed;
mod shamir;
mod token;

pub use bitmap::Bitmap;
pub use context::{Context, Header, PROTOCOL_VERSION, SUITE};
pub use derive::{
    Commitment, ack_digest, commitment, mask_secret, pair_mask_key, resume_message, self_mask_key,
    share_box_key, upload_message,
};
pub use expansion::Expansion;
pub use keys::{
    LOW_ORDER_X25519, SessionKeys, agree, canonical_x25519, check_keys, sound_x25519, verify,
    x25519_public,
};
pub use mask::{MaskKey, Sign, add_mask, add_mask_from, mask_words, pair_sign};
pub use parameters::{Parameters, corrupt_clients, quorum};
pub use ring::Ring;
pub use roster::{Roster, RosterEntry, roster_from_bytes};
pub use sealed::{ShareBox, open_box, seal_box};
pub use shamir::{ShareError, interpolate, reconstruct, scalar_from_wide, split};
pub use token::{Issuer, Token, TokenError, token_nonce};

pub(crate) use keys::{SessionSecrets, random_scalar, sign};

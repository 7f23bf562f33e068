//! Everything that is derived by a label: keys by HKDF-SHA256, digests by SHA-256, messages to be
//! signed. Labels are ASCII without a terminator, integers little-endian.

use alloc::vec::Vec;

use curve25519_dalek::Scalar;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Bitmap, Context, MaskKey};
use crate::ids::{Digest, PublicKey};

/// What a commitment is to. The number is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Commitment {
    /// `z_b`, the seed of the self mask.
    SelfMask = 0,
    /// `z_s`, the seed of the mask key.
    MaskSecret = 1,
}

fn derive(salt: &[u8; 32], ikm: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0; 32]);
    // Panic safety: 32 bytes are one block of HKDF-SHA256, which gives up to 255.
    Hkdf::<Sha256>::new(Some(salt), ikm)
        .expand_multi_info(info, &mut *out)
        .expect("one block of output");
    out
}

/// Key of the mask between two clients, from the secret that they share.
#[must_use]
pub fn pair_mask_key(
    context: &Context,
    shared: &[u8; 32],
    one: &PublicKey,
    other: &PublicKey,
) -> MaskKey {
    let (lower, higher) = if one <= other {
        (one, other)
    } else {
        (other, one)
    };
    let info: [&[u8]; 3] = [b"flsa1/pair-mask", &lower.0, &higher.0];
    MaskKey::new(derive(context.as_bytes(), shared, &info))
}

/// Key of a client's own mask, from its seed `z_b`.
#[must_use]
pub fn self_mask_key(context: &Context, seed: &Scalar, index: u16) -> MaskKey {
    let bytes = Zeroizing::new(seed.to_bytes());
    let info: [&[u8]; 2] = [b"flsa1/self-mask", &index.to_le_bytes()];
    MaskKey::new(derive(context.as_bytes(), &*bytes, &info))
}

/// The X25519 secret `S`, from its seed `z_s`. The salt is 32 zero bytes: at JOIN there is no
/// context yet.
#[must_use]
pub fn mask_secret(seed: &Scalar) -> Zeroizing<[u8; 32]> {
    let bytes = Zeroizing::new(seed.to_bytes());
    derive(&[0; 32], &*bytes, &[b"flsa1/s-key"])
}

/// Key of the one box from one client to another, from the secret that their channel keys share.
#[must_use]
pub fn share_box_key(
    context: &Context,
    shared: &[u8; 32],
    from: &PublicKey,
    to: &PublicKey,
) -> Zeroizing<[u8; 32]> {
    derive(
        context.as_bytes(),
        shared,
        &[b"flsa1/share-box", &from.0, &to.0],
    )
}

/// What a client commits to before anyone sees a share of it.
#[must_use]
pub fn commitment(context: &Context, index: u16, kind: Commitment, seed: &Scalar) -> Digest {
    let seed = Zeroizing::new(seed.to_bytes());
    Digest::of_parts(&[
        b"flsa1/com",
        context.as_bytes(),
        &index.to_le_bytes(),
        &[kind as u8],
        &*seed,
    ])
}

/// `D`: what survivors sign, and what a quorum must have signed before any share is opened.
#[must_use]
pub fn ack_digest(context: &Context, shared: &Bitmap, survivors: &Bitmap) -> Digest {
    Digest::of_parts(&[
        b"flsa1/ack",
        context.as_bytes(),
        shared.as_bytes(),
        survivors.as_bytes(),
    ])
}

/// What the sender of a masked vector signs; `digest` is SHA-256 of the packed words.
#[must_use]
pub fn upload_message(context: &Context, index: u16, digest: Digest) -> Vec<u8> {
    [
        &b"flsa1/upload"[..],
        context.as_bytes(),
        &index.to_le_bytes(),
        &digest.0,
    ]
    .concat()
}

/// What a client signs to take up its place on a new connection.
#[must_use]
pub fn resume_message(context: &Context, index: u16, counter: u64) -> Vec<u8> {
    [
        &b"choir/resume"[..],
        context.as_bytes(),
        &index.to_le_bytes(),
        &counter.to_le_bytes(),
    ]
    .concat()
}

//! A session's keys: fresh for each round, checked when they come from others.

use alloc::collections::BTreeSet;

use curve25519_dalek::Scalar;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use x25519_dalek::StaticSecret;
use zeroize::{Zeroize, Zeroizing};

use super::{RosterEntry, derive};
use crate::entropy::{self, Entropy};
use crate::ids::{PublicKey, SignatureBytes};

mod low_order;

pub use low_order::{LOW_ORDER_X25519, canonical_x25519, sound_x25519};

/// Whether every key is canonical, of large order, and no two are equal.
#[must_use]
pub fn check_keys(entries: &[RosterEntry]) -> bool {
    let all: BTreeSet<&PublicKey> = entries.iter().flat_map(RosterEntry::keys).collect();
    all.len() == entries.len() * 3
        && entries.iter().all(|entry| {
            verifying_key(&entry.signing_key).is_some()
                && sound_x25519(&entry.channel_key)
                && sound_x25519(&entry.mask_key)
        })
}

fn verifying_key(key: &PublicKey) -> Option<VerifyingKey> {
    let parsed = VerifyingKey::from_bytes(&key.0).ok()?;
    let canonical = parsed.to_edwards().compress().to_bytes() == key.0;
    (canonical && !parsed.is_weak()).then_some(parsed)
}

/// X25519; nothing if the result is all zero.
#[must_use]
pub fn agree(secret: &[u8; 32], public: &PublicKey) -> Option<Zeroizing<[u8; 32]>> {
    let shared =
        StaticSecret::from(*secret).diffie_hellman(&x25519_dalek::PublicKey::from(public.0));
    shared
        .was_contributory()
        .then(|| Zeroizing::new(shared.to_bytes()))
}

/// The public key of an X25519 secret.
#[must_use]
pub fn x25519_public(secret: &[u8; 32]) -> PublicKey {
    PublicKey(x25519_dalek::PublicKey::from(&StaticSecret::from(*secret)).to_bytes())
}

/// Strict Ed25519 verification.
#[must_use]
pub fn verify(key: &PublicKey, message: &[u8], signature: &SignatureBytes) -> bool {
    verifying_key(key).is_some_and(|key| {
        key.verify_strict(message, &Signature::from_bytes(&signature.0))
            .is_ok()
    })
}

/// What a client keeps to itself in one session. Wiped when dropped, never printed.
pub(crate) struct SessionSecrets {
    pub(crate) signing: SigningKey,
    pub(crate) channel: Zeroizing<[u8; 32]>,
    pub(crate) seed_b: Zeroizing<Scalar>,
    pub(crate) seed_s: Zeroizing<Scalar>,
    pub(crate) mask: Zeroizing<[u8; 32]>,
}

impl SessionSecrets {
    pub(crate) fn generate(entropy: &mut dyn Entropy) -> Self {
        let signing = Zeroizing::new(entropy::array::<32>(entropy));
        let channel = Zeroizing::new(entropy::array::<32>(entropy));
        let seed_b = random_scalar(entropy);
        let seed_s = random_scalar(entropy);
        Self::from_parts(&signing, channel, seed_b, seed_s)
    }

    pub(crate) fn from_parts(
        signing: &[u8; 32],
        channel: Zeroizing<[u8; 32]>,
        seed_b: Zeroizing<Scalar>,
        seed_s: Zeroizing<Scalar>,
    ) -> Self {
        let mask = derive::mask_secret(&seed_s);
        Self {
            signing: SigningKey::from_bytes(signing),
            channel,
            seed_b,
            seed_s,
            mask,
        }
    }

    pub(crate) fn public(&self) -> RosterEntry {
        RosterEntry {
            signing_key: PublicKey(self.signing.verifying_key().to_bytes()),
            channel_key: x25519_public(&self.channel),
            mask_key: x25519_public(&self.mask),
        }
    }
}

/// A session's keys before its round is joined: what a token is asked for.
pub struct SessionKeys(pub(crate) SessionSecrets);

impl SessionKeys {
    /// Fresh keys, for one session.
    #[must_use]
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        Self(SessionSecrets::generate(entropy))
    }

    /// The public ones; [`token_nonce`](super::token_nonce) of these is the nonce of their token.
    #[must_use]
    pub fn public(&self) -> RosterEntry {
        self.0.public()
    }
}

pub(crate) fn sign(key: &SigningKey, message: &[u8]) -> SignatureBytes {
    SignatureBytes(key.sign(message).to_bytes())
}

pub(crate) fn random_scalar(entropy: &mut dyn Entropy) -> Zeroizing<Scalar> {
    let mut wide = entropy::array::<64>(entropy);
    let scalar = Zeroizing::new(Scalar::from_bytes_mod_order_wide(&wide));
    wide.zeroize();
    scalar
}

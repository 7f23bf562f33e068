//! Checking an issuer's tokens: RFC 9578, sections 6.2 (what is signed), 6.3 (verification) and 6.5
//! (the issuer's key), over the RSASSA-PSS of the crate `rsa`.

use alloc::vec::Vec;

use rsa::pss::{Signature, VerifyingKey};
use rsa::signature::Verifier;
use rsa::{BoxedUint, RsaPublicKey};
use sha2::Sha384;

use super::{Token, TokenError, token_nonce};
use crate::ids::Digest;
use crate::secure_sum::RosterEntry;
use crate::task::Attestation;

/// Checks the tokens of one issuer for one challenge.
#[derive(Clone, Debug)]
pub struct Issuer {
    key: VerifyingKey<Sha384>,
    key_id: Digest,
    challenge_digest: Digest,
}

/// The key's id stands for the key.
impl PartialEq for Issuer {
    fn eq(&self, other: &Self) -> bool {
        (self.key_id, self.challenge_digest) == (other.key_id, other.challenge_digest)
    }
}

impl Issuer {
    /// Bytes of what is signed: type, nonce, digest of the challenge, id of the key.
    pub const TOKEN_INPUT_BYTES: usize = 2 + 3 * 32;

    /// The issuer that a task names.
    ///
    /// # Errors
    /// [`TokenError`] if its key is not one of token type 2.
    pub fn new(attestation: &Attestation) -> Result<Self, TokenError> {
        let modulus = attestation
            .issuer_key
            .strip_prefix(&KEY_HEAD[..])
            .and_then(|rest| rest.strip_suffix(&KEY_TAIL[..]))
            .filter(|modulus| modulus.len() == Token::BYTES)
            .ok_or(TokenError::Encoding)?;
        // The head announces a number that fills its bytes.
        if modulus[0] < 0x80 {
            return Err(TokenError::Modulus);
        }
        let number = BoxedUint::from_be_slice_vartime(modulus);
        let key = RsaPublicKey::new(number, BoxedUint::from(EXPONENT))
            .map_err(|_| TokenError::Modulus)?;
        Ok(Self {
            key: VerifyingKey::new_with_salt_len(key, SALT_BYTES),
            key_id: attestation.issuer_key_id(),
            challenge_digest: attestation.challenge_digest,
        })
    }

    /// The DER SubjectPublicKeyInfo of a modulus, big-endian, with the exponent 65537.
    #[must_use]
    pub fn key_bytes(modulus: &[u8; Token::BYTES]) -> Vec<u8> {
        [&KEY_HEAD[..], modulus, &KEY_TAIL].concat()
    }

    /// What the issuer signs for a nonce: the `token_input` of RFC 9578.
    #[must_use]
    pub fn token_input(&self, nonce: &Digest) -> [u8; Self::TOKEN_INPUT_BYTES] {
        let mut input = [0; Self::TOKEN_INPUT_BYTES];
        let (token_type, digests) = input.split_at_mut(TOKEN_TYPE.len());
        token_type.copy_from_slice(&TOKEN_TYPE);
        let parts = [nonce, &self.challenge_digest, &self.key_id];
        for (place, part) in digests.chunks_exact_mut(32).zip(parts) {
            place.copy_from_slice(&part.0);
        }
        input
    }

    /// Whether this issuer made `token` for exactly these keys.
    #[must_use]
    pub fn verify(&self, keys: &RosterEntry, token: &Token) -> bool {
        self.verify_nonce(&token_nonce(keys), token)
    }

    /// Whether this issuer made `token` with this nonce.
    #[must_use]
    pub fn verify_nonce(&self, nonce: &Digest, token: &Token) -> bool {
        Signature::try_from(&token.0[..]).is_ok_and(|signature| {
            let input = self.token_input(nonce);
            self.key.verify(&input, &signature).is_ok()
        })
    }
}

/// Blind RSA, 2,048 bits.
const TOKEN_TYPE: [u8; 2] = [0, 2];
const EXPONENT: u64 = 65_537;
const SALT_BYTES: usize = 48;
/// All of the key before the modulus: id-RSASSA-PSS with SHA-384, MGF1 with SHA-384 and 48 bytes of
/// salt, then the lengths of a modulus of 2,048 bits whose highest bit is set.
const KEY_HEAD: [u8; 81] = [
    0x30, 0x82, 0x01, 0x52, 0x30, 0x3d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01,
    0x0a, 0x30, 0x30, 0xa0, 0x0d, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
    0x02, 0x02, 0xa1, 0x1a, 0x30, 0x18, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01,
    0x08, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0xa2, 0x03,
    0x02, 0x01, 0x30, 0x03, 0x82, 0x01, 0x0f, 0x00, 0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01,
    0x00,
];
/// The exponent 65537.
const KEY_TAIL: [u8; 5] = [0x02, 0x03, 0x01, 0x00, 0x01];

//! One-use tokens by which a third party vouches for each entry of a roster.
//!
//! Publicly verifiable tokens of Privacy Pass (RFC 9578, section 6: token type 2, blind RSA with
//! 2,048 bits, RFC 9474). The issuer signs blindly, so it cannot tell which round a token is used
//! in; the nonce is the digest of the entry's three keys, so a token is of use with these keys
//! only, and a roster with equal keys is refused. All the rest of the token follows from the task:
//! on the wire there is the signature alone.
//!
//! Only checking is here, in builds with the feature `attested`; without it every issuer is
//! refused, and so every task that names one. Getting a token (blinding, the request to the issuer)
//! is not part of this crate.

use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_bytes::{ByteBuf, Bytes};

use super::RosterEntry;
use crate::ids::{self, Digest};
use crate::task::Attestation;

#[cfg(feature = "attested")]
mod issuer;
#[cfg(not(feature = "attested"))]
#[path = "token/no_issuer.rs"]
mod issuer;

pub use issuer::Issuer;

/// The authenticator of a token: an RSASSA-PSS signature with SHA-384 and 48 bytes of salt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token(pub [u8; Self::BYTES]);

impl Token {
    /// Bytes of a token on the wire: those of the issuer's modulus.
    pub const BYTES: usize = 256;

    /// A token as it is on the wire; nothing if the length is another.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Bytes::new(&self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = ByteBuf::deserialize(deserializer)?;
        Self::from_bytes(&bytes).ok_or_else(|| de::Error::invalid_length(bytes.len(), &"a token"))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Token({}..)", ids::to_hex(&self.0[..8]))
    }
}

/// An issuer whose tokens cannot be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The bytes are not the one DER form that RFC 9578, section 6.5, gives a key of 2,048 bits
    /// with the exponent 65537.
    #[error("the issuer's key is not an RSASSA-PSS key of 2048 bits with SHA-384 and salt 48")]
    Encoding,
    /// The modulus is even or has fewer bits.
    #[error("the issuer's modulus is none of 2048 bits")]
    Modulus,
    /// This build has no feature `attested`.
    #[error("this build checks no tokens")]
    Unsupported,
}

/// The nonce of the token for `keys`: SHA-256 of the three, in the roster's order.
#[must_use]
pub fn token_nonce(keys: &RosterEntry) -> Digest {
    let [signing, channel, mask] = keys.keys();
    Digest::of_parts(&[&signing.0, &channel.0, &mask.0])
}

impl Attestation {
    /// SHA-256 of the issuer's key: how a token (`token_key_id`) and a policy name it.
    #[must_use]
    pub fn issuer_key_id(&self) -> Digest {
        Digest::of_parts(&[&self.issuer_key])
    }
}

//! Identifiers and digests: fixed-size bytes, shown as hex.
//!
//! In JSON and other text formats they are hex strings; in postcard they are the raw bytes without
//! a length.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeTuple};
use sha2::{Digest as _, Sha256};

/// Text that is not the hex form of an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HexError {
    /// The text has another length than two digits for each byte.
    #[error("expected {expected} hex digits")]
    Length {
        /// How many digits the type takes.
        expected: usize,
    },
    /// A character is not a hex digit.
    #[error("not a hex digit")]
    Digit,
}

/// Writes `bytes` in lower-case hex.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Reads exactly `N` bytes of hex, upper or lower case.
///
/// # Errors
/// [`HexError`] for a wrong length or a character that is no hex digit.
pub fn from_hex<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return Err(HexError::Length { expected: N * 2 });
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Ok(bytes)
}

fn digit(character: u8) -> Result<u8, HexError> {
    match character {
        b'0'..=b'9' => Ok(character - b'0'),
        b'a'..=b'f' => Ok(character - b'a' + 10),
        b'A'..=b'F' => Ok(character - b'A' + 10),
        _ => Err(HexError::Digit),
    }
}

/// Serde for `[u8; N]`: hex for people, the raw bytes else. For `#[serde(with = "ids::bytes")]`.
pub mod bytes {
    use super::{Deserialize, Deserializer, SerializeTuple, Serializer, de, fmt, from_hex, to_hex};
    use alloc::borrow::Cow;

    /// Hex for people, `N` raw bytes else.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer, const N: usize>(
        value: &[u8; N],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(&to_hex(value));
        }
        let mut tuple = serializer.serialize_tuple(N)?;
        for byte in value {
            tuple.serialize_element(byte)?;
        }
        tuple.end()
    }

    /// The inverse of [`serialize`].
    ///
    /// # Errors
    /// Those of the deserializer; text that is not `N` bytes of hex.
    pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        deserializer: D,
    ) -> Result<[u8; N], D::Error> {
        if deserializer.is_human_readable() {
            let text = Cow::<'de, str>::deserialize(deserializer)?;
            return from_hex(&text).map_err(de::Error::custom);
        }
        deserializer.deserialize_tuple(N, Raw::<N>)
    }

    struct Raw<const N: usize>;

    impl<'de, const N: usize> de::Visitor<'de> for Raw<N> {
        type Value = [u8; N];

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "{N} bytes")
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<[u8; N], A::Error> {
            let mut bytes = [0; N];
            for (position, byte) in bytes.iter_mut().enumerate() {
                *byte = seq
                    .next_element()?
                    .ok_or_else(|| de::Error::invalid_length(position, &self))?;
            }
            Ok(bytes)
        }
    }
}

macro_rules! byte_newtype {
    ($(#[$doc:meta])* $name:ident, $size:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $size]);

        impl $name {
            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $size] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&to_hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!(stringify!($name), "({})"), to_hex(&self.0))
            }
        }

        impl FromStr for $name {
            type Err = HexError;

            fn from_str(text: &str) -> Result<Self, HexError> {
                from_hex(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                bytes::serialize(&self.0, serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                bytes::deserialize(deserializer).map(Self)
            }
        }
    };
}

byte_newtype!(
    /// A standing job: one model, one kind of payload, one privacy setting.
    TaskId,
    16
);
byte_newtype!(
    /// One round of a task; also the name of the object that holds it.
    RoundId,
    16
);
byte_newtype!(
    /// A SHA-256 digest; also the key of the object with that content.
    Digest,
    32
);
byte_newtype!(
    /// A public key of one session: Ed25519 or X25519, by its place.
    PublicKey,
    32
);
byte_newtype!(
    /// 32 bytes that are none of the above, in known answers.
    Bytes32,
    32
);
byte_newtype!(
    /// An Ed25519 signature.
    SignatureBytes,
    64
);
byte_newtype!(
    /// One report of a client to two aggregators, random.
    ReportId,
    16
);
byte_newtype!(
    /// A mask's seed, sealed by HPKE: an encapsulated key of 32 bytes, the seed's 32, a tag of 16.
    SealedSeed,
    80
);

impl SealedSeed {
    /// Bytes of one.
    pub const BYTES: usize = 80;
}

impl Digest {
    /// SHA-256 of `content`.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self::of_parts(&[content])
    }

    /// SHA-256 of the parts, one after the other.
    #[must_use]
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }
}

macro_rules! number_newtype {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, formatter)
            }
        }
    };
}

number_newtype!(
    /// Counts the global adapters of a task; each closed round makes the next.
    Version,
    u32
);
number_newtype!(
    /// A client's place in the roster of its round.
    ClientIndex,
    u16
);
number_newtype!(
    /// Milliseconds since the Unix epoch, as the caller's clock has it.
    Timestamp,
    u64
);
number_newtype!(
    /// One connection of a client. The caller gives them out and never twice in one round.
    ConnectionId,
    u64
);

impl Version {
    /// The version after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Timestamp {
    /// This moment and `milliseconds` more.
    #[must_use]
    pub const fn after(self, milliseconds: u32) -> Self {
        Self(self.0.saturating_add(milliseconds as u64))
    }
}

//! The only door for bytes from outside: a version byte, then postcard, nothing left over.
//!
//! The size is checked before anything is decoded; every limit stands in [`limits`].

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

pub mod limits;

/// First byte of every message and of every postcard body.
pub const WIRE_VERSION: u8 = 1;

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// More bytes than the receiver takes.
    #[error("message is larger than its limit")]
    TooLarge,
    /// The bytes end before the message does.
    #[error("message is truncated")]
    Truncated,
    /// Bytes are left after the message.
    #[error("bytes are left after the message")]
    TrailingBytes,
    /// The first byte names another wire version.
    #[error("unknown wire version {0}")]
    WireVersion(u8),
    /// The bytes do not follow the message's format.
    #[error("message is malformed")]
    Malformed,
}

/// Encodes `value` as it travels.
#[must_use]
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    encode_after(alloc::vec![WIRE_VERSION], value)
}

/// Plain postcard, for what is hashed rather than sent.
#[must_use]
pub fn encode_bare<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    encode_after(Vec::new(), value)
}

fn encode_after<T: Serialize + ?Sized>(start: Vec<u8>, value: &T) -> Vec<u8> {
    // Panic safety: a growing vector cannot be full, and no type of this crate has a sequence of
    // unknown length or fails in its own `Serialize`.
    postcard::to_extend(value, start).expect("own types encode")
}

/// Decodes one message that takes at most `max_len` bytes, borrowing from `bytes` where it can.
///
/// # Errors
/// [`WireError`], one variant for each way in which bytes can be wrong.
pub fn decode<'de, T: Deserialize<'de>>(bytes: &'de [u8], max_len: usize) -> Result<T, WireError> {
    if bytes.len() > max_len {
        return Err(WireError::TooLarge);
    }
    let (&version, body) = bytes.split_first().ok_or(WireError::Truncated)?;
    if version != WIRE_VERSION {
        return Err(WireError::WireVersion(version));
    }
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(WireError::TrailingBytes),
        Err(postcard::Error::DeserializeUnexpectedEnd) => Err(WireError::Truncated),
        Err(_) => Err(WireError::Malformed),
    }
}

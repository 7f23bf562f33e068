//! A roster as it is hashed and sent: the clients' keys in join order, with a token after each
//! client's where the task names an issuer.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::Token;
use crate::ids::PublicKey;

/// One client's public keys, as the roster has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterEntry {
    /// Ed25519.
    pub signing_key: PublicKey,
    /// X25519, for sealed boxes.
    pub channel_key: PublicKey,
    /// X25519, for masks.
    pub mask_key: PublicKey,
}

impl RosterEntry {
    /// Bytes of one entry.
    pub const BYTES: usize = 96;

    /// The keys in order.
    #[must_use]
    pub const fn keys(&self) -> [&PublicKey; 3] {
        [&self.signing_key, &self.channel_key, &self.mask_key]
    }

    /// An entry's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        for (place, key) in bytes.as_chunks_mut::<32>().0.iter_mut().zip(self.keys()) {
            *place = key.0;
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let ([signing, channel, mask], []) = bytes.as_chunks::<32>() else {
            return None;
        };
        Some(Self {
            signing_key: PublicKey(*signing),
            channel_key: PublicKey(*channel),
            mask_key: PublicKey(*mask),
        })
    }

    /// A roster without tokens: the entries, no length.
    #[must_use]
    pub fn roster_bytes(entries: &[Self]) -> Vec<u8> {
        entries.iter().flat_map(Self::to_bytes).collect()
    }
}

/// A cohort's entries in join order and, where they are attested, a token for each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster {
    /// The keys.
    pub entries: Vec<RosterEntry>,
    /// As many as entries, or none.
    pub tokens: Vec<Token>,
}

impl Roster {
    /// The bytes that are hashed and sent: after each entry its token, no length.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        if self.tokens.is_empty() {
            return RosterEntry::roster_bytes(&self.entries);
        }
        core::iter::zip(&self.entries, &self.tokens)
            .flat_map(|(entry, token)| entry.to_bytes().into_iter().chain(token.0))
            .collect()
    }

    /// Reads a roster that has tokens or has none; nothing if the length is no multiple of 352 or
    /// of 96.
    #[must_use]
    pub fn read(bytes: &[u8], attested: bool) -> Option<Self> {
        if !attested {
            return Some(Self {
                entries: roster_from_bytes(bytes)?,
                tokens: Vec::new(),
            });
        }
        let attested = bytes.chunks(RosterEntry::BYTES + Token::BYTES);
        let pairs = attested.map(|bytes| {
            let (keys, token) = bytes.split_at_checked(RosterEntry::BYTES)?;
            Some((RosterEntry::from_bytes(keys)?, Token::from_bytes(token)?))
        });
        let (entries, tokens) = pairs.collect::<Option<Vec<_>>>()?.into_iter().unzip();
        Some(Self { entries, tokens })
    }
}

/// Reads a roster without tokens; nothing if the length is no multiple of 96.
#[must_use]
pub fn roster_from_bytes(bytes: &[u8]) -> Option<Vec<RosterEntry>> {
    let entries = bytes.chunks(RosterEntry::BYTES);
    entries.map(RosterEntry::from_bytes).collect()
}

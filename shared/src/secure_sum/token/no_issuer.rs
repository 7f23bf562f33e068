//! The issuer of a build without the feature `attested`: there is none.

use super::{Token, TokenError};
use crate::secure_sum::RosterEntry;
use crate::task::Attestation;

/// Cannot be made: this build checks no tokens.
#[derive(Clone, Debug, PartialEq)]
pub enum Issuer {}

impl Issuer {
    /// Refuses.
    ///
    /// # Errors
    /// Always [`TokenError::Unsupported`].
    pub fn new(_: &Attestation) -> Result<Self, TokenError> {
        Err(TokenError::Unsupported)
    }

    /// Never called, as there is no issuer.
    #[must_use]
    pub fn verify(&self, _: &RosterEntry, _: &Token) -> bool {
        match *self {}
    }
}

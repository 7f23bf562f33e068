//! JOIN: fresh keys for one session, or those that an issuer vouched for.

use super::{Agreement, ClientEffect};
use crate::entropy::Entropy;
use crate::messages::ClientMessage;
use crate::secure_sum::{SessionKeys, SessionSecrets, Token};
use crate::update::FrozenUpdate;
use crate::wire;

/// In the lobby: keys and update are ready, nothing but public keys was sent.
pub(super) struct Lobby {
    pub(super) secrets: SessionSecrets,
    pub(super) update: FrozenUpdate,
    token: Option<Token>,
}

impl Lobby {
    pub(super) fn new(update: FrozenUpdate, entropy: &mut dyn Entropy) -> Self {
        Self {
            secrets: SessionSecrets::generate(entropy),
            update,
            token: None,
        }
    }

    pub(super) fn attested(update: FrozenUpdate, keys: SessionKeys, token: Token) -> Self {
        Self {
            secrets: keys.0,
            update,
            token: Some(token),
        }
    }

    /// After a broken connection: with other keys, so that the aggregator cannot tell, or with the
    /// same ones where a token holds them.
    pub(super) fn anew(self, entropy: &mut dyn Entropy) -> Self {
        match self.token {
            None => Self::new(self.update, entropy),
            Some(_) => self,
        }
    }

    pub(super) fn join(&self, agreement: &Agreement) -> ClientEffect {
        let keys = self.secrets.public();
        let token = self.token.as_ref();
        ClientEffect::Send(wire::encode(&ClientMessage::Join {
            round: agreement.round_id,
            version: agreement.version,
            signing_key: keys.signing_key,
            channel_key: keys.channel_key,
            mask_key: keys.mask_key,
            model_digest: agreement.model_digest,
            token: token.map_or_else(Default::default, |token| token.0.to_vec()),
        }))
    }
}

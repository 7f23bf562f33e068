//! Sealed boxes: two shares from one client to another, through an aggregator that cannot read
//! them. ChaCha20Poly1305; each key is used once, so the nonce is 0.

use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use zeroize::{Zeroize, Zeroizing};

use super::{Context, RosterEntry, agree, share_box_key};
use crate::wire::limits;

/// What a box holds: a share of `z_b`, then one of `z_s`.
pub type ShareBox = [u8; limits::BOX_BYTES];

fn associated_data(context: &Context, from: u16, to: u16) -> [u8; 36] {
    let mut data = [0; 36];
    data[..32].copy_from_slice(context.as_bytes());
    data[32..34].copy_from_slice(&from.to_le_bytes());
    data[34..].copy_from_slice(&to.to_le_bytes());
    data
}

/// Seals `shares` from client `from`, whose channel secret is given, to client `to`.
///
/// Nothing if the receiver's key is of small order.
#[must_use]
pub fn seal_box(
    context: &Context,
    roster: &[RosterEntry],
    (from, secret): (u16, &[u8; 32]),
    to: u16,
    shares: &[u8; 64],
) -> Option<ShareBox> {
    let (sender, receiver) = (roster.get(usize::from(from))?, roster.get(usize::from(to))?);
    let shared = agree(secret, &receiver.channel_key)?;
    let key = share_box_key(context, &shared, &sender.channel_key, &receiver.channel_key);
    let aad = associated_data(context, from, to);
    let sealed = ChaCha20Poly1305::new((&*key).into())
        .encrypt(
            &[0; 12].into(),
            Payload {
                msg: shares,
                aad: &aad,
            },
        )
        .ok()?;
    sealed.try_into().ok()
}

/// Opens a box from client `from` to client `to`, whose channel secret is given.
///
/// Nothing if it was not sealed so.
#[must_use]
pub fn open_box(
    context: &Context,
    roster: &[RosterEntry],
    from: u16,
    (to, secret): (u16, &[u8; 32]),
    sealed: &[u8],
) -> Option<Zeroizing<[u8; 64]>> {
    let (sender, receiver) = (roster.get(usize::from(from))?, roster.get(usize::from(to))?);
    let shared = agree(secret, &sender.channel_key)?;
    let key = share_box_key(context, &shared, &sender.channel_key, &receiver.channel_key);
    let aad = associated_data(context, from, to);
    let mut opened = ChaCha20Poly1305::new((&*key).into())
        .decrypt(
            &[0; 12].into(),
            Payload {
                msg: sealed,
                aad: &aad,
            },
        )
        .ok()?;
    let shares = <[u8; 64]>::try_from(opened.as_slice())
        .ok()
        .map(Zeroizing::new);
    opened.zeroize();
    shares
}

//! From ROSTER to SHARE: choose neighbours, commit to two fresh seeds and seal a share of each for
//! every neighbour.

use alloc::vec::Vec;

use curve25519_dalek::Scalar;
use zeroize::Zeroizing;

use super::membership::Membership;
use super::{Agreement, ClientEffect, ClientFault, Lobby, State, Step};
use crate::entropy::Entropy;
use crate::ids::ClientIndex;
use crate::messages::ClientMessage;
use crate::round::PhaseName;
use crate::secure_sum::{self, Commitment, SessionSecrets};
use crate::update::FrozenUpdate;
use crate::wire;

/// Has shared; waits for DELIVER.
pub(super) struct Sharing {
    pub(super) membership: Membership,
    pub(super) secrets: SessionSecrets,
    pub(super) update: FrozenUpdate,
    /// The neighbours that this client chose.
    pub(super) out_list: Vec<u16>,
    share: Vec<u8>,
}

impl Sharing {
    pub(super) fn start(
        agreement: &Agreement,
        lobby: Lobby,
        header: &[u8],
        roster: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Step {
        let Lobby {
            secrets, update, ..
        } = lobby;
        let own = secrets.public();
        let membership = Membership::new(agreement, header, roster, &own)?;
        let out_list = membership.choose_neighbours(entropy);
        let boxes = seal_shares(&membership, &out_list, &secrets, entropy)
            .ok_or(ClientFault::RosterKeys)?;
        let (context, index) = (&membership.context, membership.index);
        let share = wire::encode(&ClientMessage::Share {
            round: agreement.round_id,
            out_list: out_list.iter().copied().map(ClientIndex).collect(),
            commitment_b: secure_sum::commitment(
                context,
                index,
                Commitment::SelfMask,
                &secrets.seed_b,
            ),
            commitment_s: secure_sum::commitment(
                context,
                index,
                Commitment::MaskSecret,
                &secrets.seed_s,
            ),
            boxes,
        });
        let effects = alloc::vec![
            ClientEffect::Phase(PhaseName::ShareKeys),
            ClientEffect::Send(share.clone()),
        ];
        Ok((
            State::Sharing(Self {
                membership,
                secrets,
                update,
                out_list,
                share,
            }),
            effects,
        ))
    }

    /// ROSTER again: the same SHARE again, to the byte.
    pub(super) fn again(self, header: &[u8], roster: &[u8]) -> Step {
        if !self.membership.is(header, roster) {
            return Err(ClientFault::Equivocation.into());
        }
        let share = ClientEffect::Send(self.share.clone());
        Ok((State::Sharing(self), alloc::vec![share]))
    }
}

fn seal_shares(
    membership: &Membership,
    out_list: &[u16],
    secrets: &SessionSecrets,
    entropy: &mut dyn Entropy,
) -> Option<Vec<u8>> {
    let shares_b = split_fresh(membership, &secrets.seed_b, entropy);
    let shares_s = split_fresh(membership, &secrets.seed_s, entropy);
    let mut boxes = Vec::new();
    for (&to, (share_b, share_s)) in out_list.iter().zip(shares_b.iter().zip(shares_s.iter())) {
        let mut plain = Zeroizing::new([0; 64]);
        plain[..32].copy_from_slice(share_b.as_bytes());
        plain[32..].copy_from_slice(share_s.as_bytes());
        let from = (membership.index, &*secrets.channel);
        boxes.extend(secure_sum::seal_box(
            &membership.context,
            &membership.roster,
            from,
            to,
            &plain,
        )?);
    }
    Some(boxes)
}

fn split_fresh(
    membership: &Membership,
    secret: &Scalar,
    entropy: &mut dyn Entropy,
) -> Zeroizing<Vec<Scalar>> {
    let parameters = &membership.parameters;
    let coefficients = Zeroizing::new(
        (1..parameters.threshold)
            .map(|_| *secure_sum::random_scalar(entropy))
            .collect::<Vec<Scalar>>(),
    );
    Zeroizing::new(secure_sum::split(
        secret,
        &coefficients,
        parameters.neighbours,
    ))
}

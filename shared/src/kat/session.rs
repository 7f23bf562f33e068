//! The values of each client and of each pair of neighbours.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use curve25519_dalek::Scalar;
use zeroize::Zeroizing;

use super::{KatBox, KatClient, KatError, KatInput, KatPair, KatSecrets, KatShare};
use crate::ids::{Bytes32, Digest, to_hex};
use crate::secure_sum::{
    self, Bitmap, Commitment, Context, MaskKey, Parameters, Ring, RosterEntry, SessionSecrets, Sign,
};

/// Words of each mask that are printed.
const MASK_WORDS: usize = 20;

/// One client's secrets, checked.
pub(super) struct Member {
    secrets: SessionSecrets,
    coefficients_b: Vec<Scalar>,
    coefficients_s: Vec<Scalar>,
    out_list: Vec<u16>,
}

impl Member {
    pub(super) fn new(
        client: usize,
        given: &KatSecrets,
        input: &KatInput,
        parameters: &Parameters,
    ) -> Result<Self, KatError> {
        let scalar = |bytes: &Bytes32| {
            Scalar::from_canonical_bytes(bytes.0)
                .into_option()
                .ok_or(KatError::Scalar(client))
        };
        let expected = usize::from(parameters.threshold) - 1;
        let coefficients = |given: &[Bytes32]| {
            if given.len() != expected {
                return Err(KatError::Coefficients { client, expected });
            }
            given.iter().map(scalar).collect()
        };
        let words = given.update.as_ref().map(Vec::len);
        if words.is_some_and(|words| words != input.d as usize) {
            return Err(KatError::Update(client));
        }
        Ok(Self {
            secrets: SessionSecrets::from_parts(
                &given.signing_secret.0,
                Zeroizing::new(given.channel_secret.0),
                Zeroizing::new(scalar(&given.z_b)?),
                Zeroizing::new(scalar(&given.z_s)?),
            ),
            coefficients_b: coefficients(&given.coefficients_b)?,
            coefficients_s: coefficients(&given.coefficients_s)?,
            out_list: out_list(client, given, parameters)?,
        })
    }

    pub(super) fn public(&self) -> RosterEntry {
        self.secrets.public()
    }
}

fn out_list(
    client: usize,
    given: &KatSecrets,
    parameters: &Parameters,
) -> Result<Vec<u16>, KatError> {
    let (clients, expected) = (parameters.clients, parameters.neighbours);
    let other = |index: &u16| *index < clients && usize::from(*index) != client;
    match &given.out_list {
        None if expected == clients - 1 => Ok((0..clients).filter(other).collect()),
        Some(list)
            if list.len() == usize::from(expected)
                && list.iter().all(other)
                && list.windows(2).all(|pair| pair[0] < pair[1]) =>
        {
            Ok(list.clone())
        }
        _ => Err(KatError::OutList { client, expected }),
    }
}

/// Everything that a client's values follow from.
pub(super) struct Session {
    roster: Vec<RosterEntry>,
    context: Context,
    members: Vec<Member>,
    shared: Bitmap,
    ring: Ring,
    /// What each pair of neighbours has in common: the secret, and the key of its mask.
    pairs: BTreeMap<(u16, u16), (Bytes32, MaskKey)>,
}

impl Session {
    /// Nothing where two keys have no secret in common.
    pub(super) fn new(
        roster: Vec<RosterEntry>,
        context: Context,
        members: Vec<Member>,
        shared: Bitmap,
        ring: Ring,
    ) -> Option<Self> {
        let edges: BTreeSet<(u16, u16)> = (0..)
            .zip(&members)
            .flat_map(|(owner, member)| member.out_list.iter().map(move |&other| (owner, other)))
            .map(|(owner, other)| (owner.min(other), owner.max(other)))
            .collect();
        let pair = |(i, j): (u16, u16)| {
            let [own, theirs] = [i, j].map(|index| &roster[usize::from(index)].mask_key);
            let secret = secure_sum::agree(&members[usize::from(i)].secrets.mask, theirs)?;
            let key = secure_sum::pair_mask_key(&context, &secret, own, theirs);
            Some(((i, j), (Bytes32(*secret), key)))
        };
        Some(Self {
            pairs: edges.into_iter().map(pair).collect::<Option<_>>()?,
            roster,
            context,
            members,
            shared,
            ring,
        })
    }

    /// Nothing where two keys have no secret in common.
    pub(super) fn client(&self, index: u16, given: &KatSecrets, ack: Digest) -> Option<KatClient> {
        let member = &self.members[usize::from(index)];
        let (secrets, keys) = (&member.secrets, &self.roster[usize::from(index)]);
        let self_mask = secure_sum::self_mask_key(&self.context, &secrets.seed_b, index);
        let commit = |kind, seed| secure_sum::commitment(&self.context, index, kind, seed);
        let shares = member.shares();
        let masked = match (&given.update, self.shared.contains(index)) {
            (Some(update), true) => Some(self.mask(index, update)),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = masked.as_ref().map(|words| self.ring.pack(words));
        let upload_signature = bytes.as_ref().map(|bytes| {
            let message = secure_sum::upload_message(&self.context, index, Digest::of(bytes));
            secure_sum::sign(&secrets.signing, &message)
        });
        Some(KatClient {
            index,
            signing_key: keys.signing_key,
            channel_key: keys.channel_key,
            mask_secret: Bytes32(*secrets.mask),
            mask_key: keys.mask_key,
            token_nonce: secure_sum::token_nonce(keys),
            self_mask_key: Bytes32(*self_mask.expose()),
            self_mask: secure_sum::mask_words(&self_mask, MASK_WORDS, self.ring),
            commitment_b: commit(Commitment::SelfMask, &secrets.seed_b),
            commitment_s: commit(Commitment::MaskSecret, &secrets.seed_s),
            out_list: member.out_list.clone(),
            boxes: self.boxes(index, &shares)?,
            shares,
            upload: bytes.as_deref().map(to_hex),
            upload_digest: bytes.as_deref().map(Digest::of),
            masked_update: masked,
            upload_signature,
            ack_signature: secure_sum::sign(&secrets.signing, &ack.0),
        })
    }

    fn boxes(&self, index: u16, shares: &[KatShare]) -> Option<Vec<KatBox>> {
        let secret = &self.members[usize::from(index)].secrets.channel;
        let own = &self.roster[usize::from(index)].channel_key;
        shares
            .iter()
            .map(|share| {
                let mut plain = [0; 64];
                plain[..32].copy_from_slice(&share.share_b.0);
                plain[32..].copy_from_slice(&share.share_s.0);
                let from = (index, &**secret);
                let sealed =
                    secure_sum::seal_box(&self.context, &self.roster, from, share.to, &plain)?;
                let theirs = &self.roster[usize::from(share.to)].channel_key;
                let agreed = secure_sum::agree(secret, theirs)?;
                let key = secure_sum::share_box_key(&self.context, &agreed, own, theirs);
                Some(KatBox {
                    to: share.to,
                    key: Bytes32(*key),
                    sealed: to_hex(&sealed),
                })
            })
            .collect()
    }

    /// Every pair of neighbours.
    pub(super) fn pairs(&self) -> Vec<KatPair> {
        self.pairs
            .iter()
            .map(|(&(i, j), (shared_secret, key))| KatPair {
                i,
                j,
                shared_secret: *shared_secret,
                key: Bytes32(*key.expose()),
                mask: secure_sum::mask_words(key, MASK_WORDS, self.ring),
            })
            .collect()
    }

    fn mask(&self, index: u16, update: &[u32]) -> Vec<u32> {
        let mut words = update.to_vec();
        let seed = &self.members[usize::from(index)].secrets.seed_b;
        let key = secure_sum::self_mask_key(&self.context, seed, index);
        secure_sum::add_mask(&mut words, &key, Sign::Plus, self.ring);
        for other in self.shared.others(index) {
            let pair = (index.min(other), index.max(other));
            if let Some((_, key)) = self.pairs.get(&pair) {
                let sign = secure_sum::pair_sign(index, other);
                secure_sum::add_mask(&mut words, key, sign, self.ring);
            }
        }
        words.iter_mut().for_each(|word| *word &= self.ring.mask());
        words
    }
}

impl Member {
    /// One for each neighbour, at the points from 1 on.
    fn shares(&self) -> Vec<KatShare> {
        let count = self.out_list.len() as u16;
        let of_b = secure_sum::split(&self.secrets.seed_b, &self.coefficients_b, count);
        let of_s = secure_sum::split(&self.secrets.seed_s, &self.coefficients_s, count);
        (1..)
            .zip(&self.out_list)
            .zip(of_b.iter().zip(&of_s))
            .map(|((x, &to), (share_b, share_s))| KatShare {
                to,
                x,
                share_b: Bytes32(share_b.to_bytes()),
                share_s: Bytes32(share_s.to_bytes()),
            })
            .collect()
    }
}

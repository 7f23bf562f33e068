//! Clients that lie: with their keys, their shares, their vectors.

use std::collections::BTreeSet;

use choir_shared::ids::{ClientIndex, Digest, PublicKey, SignatureBytes};
use choir_shared::messages::{AbortReason, AggregatorMessage, ClientMessage, Upload};
use choir_shared::reject::RejectCode;
use choir_shared::round::{Event, PhaseName};
use choir_shared::secure_sum::{
    self, Bitmap, Commitment, Context, LOW_ORDER_X25519, RosterEntry, Sign, ack_digest, commitment,
    mask_secret, pair_mask_key, pair_sign, roster_from_bytes, seal_box, self_mask_key, split,
    upload_message, x25519_public,
};
use choir_shared::wire::{self, limits};
use curve25519_dalek::Scalar;
use curve25519_dalek::constants::EIGHT_TORSION;
use ed25519_dalek::{Signer, SigningKey};

use crate::table::{Out, Table};

fn decode(out: &Out) -> ClientMessage {
    wire::decode(out.bytes(), limits::CLIENT_MESSAGE).expect("a client's message")
}

fn join_with(out: &Out, change: impl FnOnce([&mut PublicKey; 3])) -> Out {
    let mut message = decode(out);
    if let ClientMessage::Join {
        signing_key,
        channel_key,
        mask_key,
        ..
    } = &mut message
    {
        change([signing_key, channel_key, mask_key]);
    }
    Out::Socket(wire::encode(&message))
}

#[test]
fn a_join_with_an_x25519_key_of_small_order_is_refused() {
    let (mut table, joins) = Table::new(4);
    for bytes in LOW_ORDER_X25519 {
        for place in [1, 2] {
            let join = join_with(&joins[0].1, |keys| *keys[place] = PublicKey(bytes));
            table.assert_refused(0, &join, RejectCode::BadKey);
        }
    }
}

#[test]
fn a_join_with_an_ed25519_key_that_is_not_canonical_or_of_small_order_is_refused() {
    let (mut table, joins) = Table::new(4);
    let small = EIGHT_TORSION.map(|point| point.compress().to_bytes());
    // y = p + 1, the same with the sign bit, and y = 0 with it.
    let mut prime_and_one = [0xff; 32];
    (prime_and_one[0], prime_and_one[31]) = (0xee, 0x7f);
    let mut signed = prime_and_one;
    signed[31] = 0xff;
    for bytes in small.into_iter().chain([prime_and_one, signed, [0xff; 32]]) {
        let join = join_with(&joins[0].1, |[key, ..]| *key = PublicKey(bytes));
        table.assert_refused(0, &join, RejectCode::BadKey);
    }
}

#[test]
fn a_join_with_equal_keys_is_refused() {
    let (mut table, joins) = Table::new(4);
    let own = join_with(&joins[0].1, |[_, channel, mask]| *mask = *channel);
    table.assert_refused(0, &own, RejectCode::BadKey);
    table.give(0, &joins[0].1).expect("JOIN");
    let mut taken = Vec::new();
    join_with(&joins[0].1, |keys| taken.extend(keys.map(|key| *key)));
    for place in 0..3 {
        let copied = join_with(&joins[1].1, |keys| *keys[place] = taken[place]);
        table.assert_refused(1, &copied, RejectCode::BadKey);
    }
    // One client's channel key as another's mask key.
    let crossed = join_with(&joins[1].1, |[.., mask]| *mask = taken[1]);
    table.assert_refused(1, &crossed, RejectCode::BadKey);
}

#[test]
fn an_out_list_that_is_too_long_is_refused() {
    let (mut table, joins) = Table::of(choir_shared::sim::head_task(60, 3, 6), 5);
    table.give_all(&joins);
    let shares = table.answers();
    let ClientMessage::Share {
        round,
        out_list,
        commitment_b,
        commitment_s,
        boxes,
    } = decode(&shares[0].1)
    else {
        panic!("SHARE")
    };
    let everybody: Vec<ClientIndex> = (1..60).map(ClientIndex).collect();
    assert!(out_list.len() < everybody.len());
    let share = |out_list: &[ClientIndex], boxes| {
        Out::Socket(wire::encode(&ClientMessage::Share {
            round,
            out_list: out_list.to_vec(),
            commitment_b,
            commitment_s,
            boxes,
        }))
    };
    let long = share(&everybody, vec![0; 59 * limits::BOX_BYTES]);
    table.assert_refused(0, &long, RejectCode::WrongLength);
    let short = share(
        &out_list[1..],
        boxes[..boxes.len() - limits::BOX_BYTES].to_vec(),
    );
    table.assert_refused(0, &short, RejectCode::WrongLength);
    let mut twice = out_list.clone();
    twice[1] = twice[0];
    let mut itself = out_list.clone();
    itself[0] = ClientIndex(0);
    let mut outside = out_list;
    *outside.last_mut().expect("neighbours") = ClientIndex(60);
    for bad in [twice, itself, outside] {
        let bad = share(&bad, boxes.clone());
        table.assert_refused(0, &bad, RejectCode::WrongNeighbours);
    }
}

#[test]
fn wrong_shares_are_found_by_the_commitment_and_named() {
    // Some of seven lie in every share. Where two do, four others hold a share and four are needed; where
    // three do, three.
    for (liars, sum) in [(2, true), (3, false)] {
        let (mut table, mut pending) = Table::at(PhaseName::Unmask, 7);
        for (_, out) in &mut pending[..liars] {
            let ClientMessage::Open { round, mut shares } = decode(out) else {
                panic!("OPEN")
            };
            shares.chunks_mut(32).for_each(|share| {
                share.copy_from_slice(&Scalar::from(99_u8).to_bytes());
            });
            *out = Out::Socket(wire::encode(&ClientMessage::Open { round, shares }));
        }
        table.give_all(&pending);
        if sum {
            let outcome = table.outcome.clone().expect("closed");
            assert_eq!(outcome.sum, table.plain_sum(&outcome.survivors));
            let named: BTreeSet<usize> = outcome
                .disputes
                .iter()
                .map(|dispute| table.roster[usize::from(dispute.holder)])
                .collect();
            let liars: BTreeSet<usize> = pending[..liars].iter().map(|(who, _)| *who).collect();
            assert_eq!(named, liars, "all liars and nobody else");
        } else {
            assert_eq!(table.round.abort_reason(), Some(AbortReason::WrongShares));
            assert!(table.outcome.is_none());
        }
    }
}

/// The last client of a cohort of five, with all its secrets in the test's hand.
struct Forger {
    table: Table,
    index: u16,
    signing: SigningKey,
    channel: [u8; 32],
    seed_b: Scalar,
    seed_s: Scalar,
    entries: Vec<RosterEntry>,
    context: Context,
}

const COHORT: u16 = 5;
const EVERYBODY: u8 = 0b11111;

impl Forger {
    /// In a round after ROSTER; the others' SHAREs are taken.
    fn new() -> Self {
        let (mut table, mut joins) = Table::new(COHORT);
        let index = COHORT - 1;
        let signing = SigningKey::from_bytes(&[1; 32]);
        let channel = [2; 32];
        let (seed_b, seed_s) = (Scalar::from(3_u8), Scalar::from(4_u8));
        let last = joins.last_mut().expect("JOINs");
        last.1 = join_with(&last.1, |[signing_key, channel_key, mask_key]| {
            signing_key.0 = signing.verifying_key().to_bytes();
            *channel_key = x25519_public(&channel);
            *mask_key = x25519_public(&mask_secret(&seed_s));
        });
        table.give_all(&joins);
        let roster = table.inbox.iter().find_map(|(_, message)| match message {
            AggregatorMessage::Roster { header, roster } => Some((header.clone(), roster.clone())),
            _ => None,
        });
        let (header, roster) = roster.expect("ROSTER");
        let entries = roster_from_bytes(&roster).expect("a roster");
        let context = Context::new(&header, &entries);
        let shares = Self::told_to_others(&mut table);
        table.give_all(&shares);
        Self {
            table,
            index,
            signing,
            channel,
            seed_b,
            seed_s,
            entries,
            context,
        }
    }

    fn told_to_others(table: &mut Table) -> Vec<(usize, Out)> {
        table
            .inbox
            .retain(|(client, _)| *client < usize::from(COHORT - 1));
        table.answers()
    }

    fn give(&mut self, message: &ClientMessage) {
        let out = Out::Socket(wire::encode(message));
        self.table
            .give(self.index.into(), &out)
            .expect("in the right form");
    }

    /// SHARE, with shares of the true seeds but for those that `change` changes.
    fn share(&mut self, change: impl Fn(usize, &mut [Scalar; 2])) {
        let deal = |seed| split(seed, &[Scalar::from(5_u8), Scalar::from(6_u8)], COHORT - 1);
        let (of_b, of_s) = (deal(&self.seed_b), deal(&self.seed_s));
        let mut boxes = Vec::new();
        for to in 0..COHORT - 1 {
            let place = usize::from(to);
            let mut pair = [of_b[place], of_s[place]];
            change(place, &mut pair);
            let mut shares = [0; 64];
            shares[..32].copy_from_slice(&pair[0].to_bytes());
            shares[32..].copy_from_slice(&pair[1].to_bytes());
            let from = (self.index, &self.channel);
            let sealed = seal_box(&self.context, &self.entries, from, to, &shares);
            boxes.extend_from_slice(&sealed.expect("sound keys"));
        }
        let (context, index) = (self.context, self.index);
        let commit = |kind, seed| commitment(&context, index, kind, seed);
        self.give(&ClientMessage::Share {
            round: self.table.round.setup().round_id,
            out_list: (0..COHORT - 1).map(ClientIndex).collect(),
            commitment_b: commit(Commitment::SelfMask, &self.seed_b),
            commitment_s: commit(Commitment::MaskSecret, &self.seed_s),
            boxes,
        });
    }

    /// What an honest client makes of `words`.
    fn masked(&self, mut words: Vec<u32>) -> Vec<u32> {
        let ring = self.table.task.ring();
        let key = self_mask_key(&self.context, &self.seed_b, self.index);
        secure_sum::add_mask(&mut words, &key, Sign::Plus, ring);
        let (secret, own) = (mask_secret(&self.seed_s), &self.entries[4].mask_key);
        for other in 0..COHORT - 1 {
            let theirs = &self.entries[usize::from(other)].mask_key;
            let shared = secure_sum::agree(&secret, theirs).expect("a sound key");
            let key = pair_mask_key(&self.context, &shared, own, theirs);
            secure_sum::add_mask(&mut words, &key, pair_sign(self.index, other), ring);
        }
        words
    }

    /// UPLOAD of these words; everybody signs and opens. How the round ends.
    fn finish(mut self, words: &[u32]) -> Table {
        let uploads = Self::told_to_others(&mut self.table);
        self.table.give_all(&uploads);
        let packed = self.table.task.ring().pack(words);
        let message = upload_message(&self.context, self.index, Digest::of(&packed));
        let upload = Upload {
            round: self.table.round.setup().round_id,
            index: ClientIndex(self.index),
            signature: SignatureBytes(self.signing.sign(&message).to_bytes()),
            words: &packed,
        };
        let taken = self
            .table
            .round
            .handle_upload(&wire::encode(&upload), self.table.now);
        assert!(taken.is_ok());
        let everybody = Bitmap::from_bytes(COHORT, &[EVERYBODY]).expect("a bitmap");
        let digest = ack_digest(&self.context, &everybody, &everybody);
        let survivors = AggregatorMessage::Survivors {
            survivors: vec![EVERYBODY],
        };
        let acks: Vec<_> = (0..4)
            .flat_map(|client| self.table.tell(client, survivors.clone()))
            .collect();
        self.table.give_all(&acks);
        self.give(&ClientMessage::Ack {
            round: self.table.round.setup().round_id,
            index: ClientIndex(self.index),
            signature: SignatureBytes(self.signing.sign(&digest.0).to_bytes()),
        });
        let opens = Self::told_to_others(&mut self.table);
        self.table.give_all(&opens);
        if self.table.outcome.is_none() && self.table.round.abort_reason().is_none() {
            let link = self.table.link(self.index.into());
            self.table.event(Event::Disconnected(link));
        }
        self.table
    }

    /// Values of 1 with this weight.
    fn words(&self, weight: u32) -> Vec<u32> {
        let mut words = vec![1; self.table.plain[0].len()];
        *words.last_mut().expect("a weight") = weight;
        words
    }
}

#[test]
fn a_client_that_is_played_by_hand_is_taken_for_an_honest_one() {
    // The control for the tests below.
    let mut forger = Forger::new();
    forger.share(|_, _| {});
    let words = forger.words(7);
    let masked = forger.masked(words.clone());
    let table = forger.finish(&masked);
    let mut expected = table.plain_sum(&[0, 1, 2, 3]);
    for (sum, word) in expected.iter_mut().zip(words) {
        *sum += word;
    }
    assert_eq!(table.outcome.expect("closed").sum, expected);
}

#[test]
fn an_inconsistent_dealer_aborts_the_round() {
    // Shares of another polynomial for every neighbour, or for two of four where three are needed.
    for wrong in [4, 2] {
        let mut forger = Forger::new();
        forger.share(|place, shares| {
            if place < wrong {
                *shares = [Scalar::from(100 + place as u64), Scalar::from(7_u8)];
            }
        });
        let masked = forger.masked(forger.words(7));
        let table = forger.finish(&masked);
        assert_eq!(table.round.abort_reason(), Some(AbortReason::WrongShares));
        assert!(table.outcome.is_none());
    }
    // One wrong share is left out.
    let mut forger = Forger::new();
    forger.share(|place, shares| {
        if place == 0 {
            *shares = [Scalar::from(100_u8); 2];
        }
    });
    let masked = forger.masked(forger.words(7));
    let table = forger.finish(&masked);
    assert!(table.outcome.is_some());
}

#[test]
fn a_garbage_vector_publishes_nothing() {
    let mut forger = Forger::new();
    forger.share(|_, _| {});
    // Not masked as agreed: with a mask that nobody can take off.
    let mut garbage = forger.masked(forger.words(7));
    let key = self_mask_key(&forger.context, &Scalar::from(77_u8), 4);
    let ring = forger.table.task.ring();
    secure_sum::add_mask(&mut garbage, &key, Sign::Plus, ring);
    let table = forger.finish(&garbage);
    assert_eq!(table.round.abort_reason(), Some(AbortReason::SumOutOfRange));
    assert!(table.outcome.is_none());
}

#[test]
fn a_weight_above_the_most_publishes_nothing() {
    let mut forger = Forger::new();
    forger.share(|_, _| {});
    let weight_max = forger.table.task.quantiser.weight_max;
    let words = forger.words(u32::from(COHORT) * weight_max);
    let table_end = {
        let masked = forger.masked(words);
        forger.finish(&masked)
    };
    let reason = table_end.round.abort_reason();
    assert_eq!(reason, Some(AbortReason::SumOutOfRange));
}

#[test]
fn a_weight_above_its_own_but_not_above_everybodys_is_not_noticed() {
    // The limit of the range check, as docs/threat-model.md says: in range, nothing is seen.
    let mut forger = Forger::new();
    forger.share(|_, _| {});
    let weight_max = forger.table.task.quantiser.weight_max;
    let masked = forger.masked(forger.words(weight_max + 1));
    let table = forger.finish(&masked);
    assert!(table.outcome.is_some());
}

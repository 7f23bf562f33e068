//! From opened shares to seeds, and from seeds to the masks that are still in the sum.

use alloc::vec::Vec;

use curve25519_dalek::Scalar;
use zeroize::Zeroizing;

use super::unmask::Unmask;
use super::{Dispute, Terms};
use crate::fixed_point;
use crate::messages::AbortReason;
use crate::secure_sum::{self, Commitment, Expansion, MaskKey, Ring, Sign};

/// Why seeds cannot be put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsolved {
    /// A seed has fewer shares than the threshold.
    TooFew,
    /// A seed does not match what its owner committed to.
    Wrong,
}

/// A canonical scalar of 32 bytes.
pub(super) fn scalar(bytes: &[u8]) -> Option<Scalar> {
    Scalar::from_canonical_bytes(bytes.try_into().ok()?).into_option()
}

/// Different choices of shares that are tried for one seed.
const ATTEMPTS: u32 = 64;

/// The seeds of a round: of the self masks of survivors, of the mask keys of those who dropped out.
pub(super) struct Seeds {
    self_masks: Vec<(u16, Zeroizing<Scalar>)>,
    mask_secrets: Vec<(u16, Zeroizing<[u8; 32]>)>,
    pub(super) disputes: Vec<Dispute>,
}

impl Seeds {
    /// Puts every seed together and checks it.
    pub(super) fn solve(round: &Unmask) -> Result<Self, Unsolved> {
        if !has_enough(round) {
            return Err(Unsolved::TooFew);
        }
        let mut seeds = Self {
            self_masks: Vec::new(),
            mask_secrets: Vec::new(),
            disputes: Vec::new(),
        };
        for (owner, shares) in opened_shares(round) {
            let wrong = if round.survivors.contains(owner) {
                let (seed, wrong) = self_seed(round, owner, &shares)?;
                seeds.self_masks.push((owner, seed));
                wrong
            } else {
                let (seed, wrong) = mask_seed(round, owner, &shares)?;
                seeds
                    .mask_secrets
                    .push((owner, secure_sum::mask_secret(&seed)));
                wrong
            };
            seeds.disputes.extend(disputes(round, owner, &wrong));
        }
        Ok(seeds)
    }

    /// The masks that are still in the sum, with the signs that their clients applied.
    pub(super) fn expansion(&self, round: &Unmask, ring: Ring) -> Result<Expansion, Unsolved> {
        let context = &round.members.context;
        let mut masks: Vec<(MaskKey, Sign)> = self
            .self_masks
            .iter()
            .map(|(owner, seed)| (secure_sum::self_mask_key(context, seed, *owner), Sign::Plus))
            .collect();
        for (dropped, secret) in &self.mask_secrets {
            let dropped_key = &round.members.entry(*dropped).mask_key;
            let neighbours = round
                .survivors
                .iter()
                .filter(|&survivor| round.sharing.is_edge(survivor, *dropped));
            for survivor in neighbours {
                let survivor_key = &round.members.entry(survivor).mask_key;
                let shared = secure_sum::agree(secret, survivor_key).ok_or(Unsolved::Wrong)?;
                let key = secure_sum::pair_mask_key(context, &shared, survivor_key, dropped_key);
                masks.push((key, secure_sum::pair_sign(survivor, *dropped)));
            }
        }
        Ok(Expansion::new(ring, masks))
    }
}

/// Whether for every owner a threshold of its neighbours has opened.
pub(super) fn has_enough(round: &Unmask) -> bool {
    let threshold = usize::from(round.members.parameters.threshold);
    let holders = |owner| {
        let shared = round.sharing.of(owner);
        let out_list = shared.map_or(&[][..], |shared| &shared.out_list);
        out_list
            .iter()
            .filter(|&&holder| round.has_opened(holder))
            .count()
    };
    round
        .sharers
        .iter()
        .all(|owner| holders(owner) >= threshold)
}

type Points = Zeroizing<Vec<(u16, Scalar)>>;

/// For each owner the shares of its seed that were opened, with their points.
fn opened_shares(round: &Unmask) -> Vec<(u16, Points)> {
    let mut owners: Vec<(u16, Points)> = round
        .sharers
        .iter()
        .map(|owner| (owner, Points::default()))
        .collect();
    for holder in round.survivors.iter() {
        let Some(opened) = round.opened[usize::from(holder)].as_ref() else {
            continue;
        };
        let mut shares = opened.chunks_exact(32);
        for (owner, points) in &mut owners {
            let point = round
                .sharing
                .of(*owner)
                .and_then(|shared| shared.point(holder));
            if let Some(point) = point {
                points.extend(shares.next().and_then(scalar).map(|share| (point, share)));
            }
        }
    }
    owners
}

/// A seed, and the points whose shares were found not to fit it.
type Found = (Zeroizing<Scalar>, Vec<u16>);

/// Who holds the shares of `owner` at these points.
fn disputes(round: &Unmask, owner: u16, points: &[u16]) -> impl Iterator<Item = Dispute> {
    let shared = round.sharing.of(owner);
    let out_list = shared.map_or(&[][..], |shared| &shared.out_list);
    points.iter().filter_map(move |point| {
        let holder = *out_list.get(usize::from(*point).checked_sub(1)?)?;
        Some(Dispute { owner, holder })
    })
}

fn self_seed(round: &Unmask, owner: u16, shares: &[(u16, Scalar)]) -> Result<Found, Unsolved> {
    let committed = round.sharing.of(owner).map(|shared| shared.commitment_b);
    search(round, shares, |seed| {
        let context = &round.members.context;
        Some(secure_sum::commitment(
            context,
            owner,
            Commitment::SelfMask,
            seed,
        )) == committed
    })
}

fn mask_seed(round: &Unmask, owner: u16, shares: &[(u16, Scalar)]) -> Result<Found, Unsolved> {
    let public = round.members.entry(owner).mask_key;
    search(round, shares, |seed| {
        secure_sum::x25519_public(&secure_sum::mask_secret(seed)) == public
    })
}

/// Puts a seed together. Where that is not the one that was committed to, some share is wrong: if
/// there are more than needed, other choices of them are tried.
fn search(
    round: &Unmask,
    shares: &[(u16, Scalar)],
    is_right: impl Fn(&Scalar) -> bool,
) -> Result<Found, Unsolved> {
    let threshold = usize::from(round.members.parameters.threshold);
    let attempts = if shares.len() > threshold {
        ATTEMPTS
    } else {
        1
    };
    let mut order: Points = Zeroizing::new(shares.to_vec());
    for attempt in 0..attempts {
        let seed = order
            .get(..threshold)
            .and_then(|chosen| secure_sum::reconstruct(chosen).ok())
            .map(Zeroizing::new);
        if let Some(seed) = seed.filter(|seed| is_right(seed)) {
            // Shares that were not needed are not looked at unless some was wrong.
            let (right, others) = order.split_at(threshold);
            let doubted = if attempt == 0 { &[][..] } else { others };
            let fits = |point, share| secure_sum::interpolate(right, point) == Ok(share);
            let wrong = doubted
                .iter()
                .filter(|(point, share)| !fits(*point, *share));
            return Ok((seed, wrong.map(|(point, _)| *point).collect()));
        }
        shuffle(&mut order, attempt);
    }
    Err(Unsolved::Wrong)
}

/// Another order for each attempt. Nothing hangs on its being hard to foresee: who sends wrong
/// shares can make a round fail in any case.
fn shuffle(order: &mut [(u16, Scalar)], attempt: u32) {
    let mut state = attempt.wrapping_mul(0x9e37_79b9) | 1;
    for place in (1..order.len()).rev() {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        order.swap(place, state as usize % (place + 1));
    }
}

/// The sum, if it can be one of this many updates.
pub(super) fn check_range(
    terms: &Terms,
    survivors: u16,
    sum: Vec<u32>,
) -> Result<Vec<u32>, AbortReason> {
    let task = &terms.setup.task;
    if fixed_point::in_range(&sum, &task.quantiser, &task.dp, survivors, terms.ring) {
        Ok(sum)
    } else {
        Err(AbortReason::SumOutOfRange)
    }
}

#[cfg(all(test, feature = "test-util"))]
mod tests {
    use super::*;
    use crate::sim;

    #[test]
    fn a_sum_out_of_range_is_noticed() {
        let terms = Terms::new(sim::round_setup(&sim::head_task(4, 3, 1))).expect("a sound task");
        let check = |values: [u32; 4], weight| {
            let sum: Vec<u32> = values.into_iter().chain([weight]).collect();
            check_range(&terms, 3, sum)
        };
        let top = 3 * 512 * 65_535;
        assert!(check([0, 1, top - 1, top], 3 * 512).is_ok());
        assert!(check([0; 4], 3).is_ok());
        for (values, weight) in [
            ([0, 0, 0, top + 1], 3 * 512),
            ([u32::MAX, 0, 0, 0], 3 * 512),
            ([0; 4], 3 * 512 + 1),
            ([0; 4], 2),
            // Above what clients of this weight can have added.
            ([0, 0, 0, 4 * 65_535], 3),
        ] {
            assert_eq!(check(values, weight), Err(AbortReason::SumOutOfRange));
        }
    }
}

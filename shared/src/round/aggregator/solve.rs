//! From opened shares to seeds, and from seeds to the plain sum.

use alloc::vec::Vec;

use curve25519_dalek::Scalar;
use zeroize::Zeroizing;

use super::Terms;
use super::unmask::Unmask;
use crate::messages::AbortReason;
use crate::secure_sum::{self, Commitment, Ring, Sign};

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

/// The seeds of a round: of the self masks of survivors, of the mask keys of those who dropped out.
pub(super) struct Seeds {
    self_masks: Vec<(u16, Zeroizing<Scalar>)>,
    mask_secrets: Vec<(u16, Zeroizing<[u8; 32]>)>,
}

impl Seeds {
    /// Puts every seed together and checks it.
    pub(super) fn solve(round: &Unmask) -> Result<Self, AbortReason> {
        let mut seeds = Self {
            self_masks: Vec::new(),
            mask_secrets: Vec::new(),
        };
        // Count first: most calls come before there are enough.
        for owner in round.sharers.iter() {
            if holders(round, owner).count() < usize::from(round.members.parameters.threshold) {
                return Err(Unsolved::TooFew.into());
            }
        }
        for owner in round.sharers.iter() {
            if round.survivors.contains(owner) {
                seeds.self_masks.push((owner, self_seed(round, owner)?));
            } else {
                seeds.mask_secrets.push((owner, mask_secret(round, owner)?));
            }
        }
        Ok(seeds)
    }

    /// Takes the masks off `sum`.
    pub(super) fn unmask(
        self,
        round: &Unmask,
        mut sum: Vec<u32>,
        ring: Ring,
    ) -> Result<Vec<u32>, AbortReason> {
        let (context, roster) = (&round.members.context, &round.members.roster);
        for (owner, seed) in &self.self_masks {
            let key = secure_sum::self_mask_key(context, seed, *owner);
            secure_sum::add_mask(&mut sum, &key, Sign::Minus, ring);
        }
        for (dropped, secret) in &self.mask_secrets {
            let dropped_key = &roster[usize::from(*dropped)].mask_key;
            for survivor in round.survivors.iter() {
                let survivor_key = &roster[usize::from(survivor)].mask_key;
                let shared =
                    secure_sum::agree(secret, survivor_key).ok_or(AbortReason::WrongShares)?;
                let key = secure_sum::pair_mask_key(context, &shared, survivor_key, dropped_key);
                let applied = secure_sum::pair_sign(survivor, *dropped);
                secure_sum::add_mask(&mut sum, &key, applied.flipped(), ring);
            }
        }
        sum.iter_mut().for_each(|word| *word &= ring.mask());
        Ok(sum)
    }
}

fn holders(round: &Unmask, owner: u16) -> impl Iterator<Item = u16> + '_ {
    round
        .survivors
        .others(owner)
        .filter(|&holder| round.has_opened(holder))
}

fn self_seed(round: &Unmask, owner: u16) -> Result<Zeroizing<Scalar>, Unsolved> {
    let committed = round.commitments[usize::from(owner)].ok_or(Unsolved::Wrong)?;
    search(round, owner, |seed| {
        let context = &round.members.context;
        secure_sum::commitment(context, owner, Commitment::SelfMask, seed) == committed
    })
}

fn mask_secret(round: &Unmask, owner: u16) -> Result<Zeroizing<[u8; 32]>, Unsolved> {
    let public = round.members.roster[usize::from(owner)].mask_key;
    let seed = search(round, owner, |seed| {
        secure_sum::x25519_public(&secure_sum::mask_secret(seed)) == public
    })?;
    Ok(secure_sum::mask_secret(&seed))
}

/// Puts a seed together. If a share was wrong and there are more than needed, leaves out one holder
/// after the other.
fn search(
    round: &Unmask,
    owner: u16,
    is_right: impl Fn(&Scalar) -> bool,
) -> Result<Zeroizing<Scalar>, Unsolved> {
    let threshold = usize::from(round.members.parameters.threshold);
    let shares: Vec<(u16, Scalar)> = holders(round, owner)
        .filter_map(|holder| {
            let share = scalar(round.share(owner, holder)?)?;
            Some((secure_sum::share_position(owner, holder), share))
        })
        .collect();
    let attempt = |left_out: Option<usize>| {
        let chosen: Vec<(u16, Scalar)> = shares
            .iter()
            .enumerate()
            .filter(|(place, _)| Some(*place) != left_out)
            .map(|(_, share)| *share)
            .take(threshold)
            .collect();
        let seed = secure_sum::reconstruct(&chosen).ok().map(Zeroizing::new)?;
        (chosen.len() == threshold && is_right(&seed)).then_some(seed)
    };
    core::iter::once(None)
        .chain((0..threshold.min(shares.len())).map(Some))
        .find_map(attempt)
        .ok_or(Unsolved::Wrong)
}

/// Whether every coordinate can be the sum of this many updates.
///
/// A vector made with a wrong key makes the sum uniform, and a coordinate of it is out of range with
/// probability above a half: what passes here passes by accident only with 2^-d.
pub(super) fn check_range(
    terms: &Terms,
    survivors: u16,
    sum: Vec<u32>,
) -> Result<Vec<u32>, AbortReason> {
    let quantiser = &terms.setup.task.quantiser;
    let (&weight, values) = sum.split_last().ok_or(AbortReason::SumOutOfRange)?;
    let weights = u32::from(survivors)..=u32::from(survivors) * quantiser.weight_max;
    let top = u64::from(weight) * u64::from(quantiser.levels);
    let in_range = weights.contains(&weight) && values.iter().all(|&word| u64::from(word) <= top);
    if in_range {
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

//! From distances to a text: how much a small distance says is measured on cohorts of the
//! attacker's own, and weighed against how frequent a token is anyway.
//!
//! Where an observation says nothing, every likelihood ratio is near 1 and what is left is the
//! guess of frequent words.

use super::texts::Prior;

/// Weight of the null distribution among the measured ranks, in ranks.
const SMOOTHING: f64 = 10.0;
/// Log likelihood ratio from which on a token may be taken twice, or be punctuation.
const STRONG: f64 = 3.0;

/// What the rank of a token's distance among all candidates says, as a log likelihood ratio.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Evidence {
    /// By the bit length of rank + 1.
    log_ratio: Vec<f64>,
}

impl Evidence {
    /// Learns from the ranks that true tokens had among `candidates`.
    pub(super) fn fit(ranks: &[usize], candidates: usize) -> Self {
        let bins = bin(candidates.saturating_sub(1)) + 1;
        let mut counts = vec![0.0; bins];
        for &rank in ranks {
            counts[bin(rank).min(bins - 1)] += 1.0;
        }
        let total = ranks.len() as f64;
        let log_ratio = counts
            .iter()
            .enumerate()
            .map(|(index, count)| {
                let size = ((1usize << (index + 1)) - 1).min(candidates) - ((1usize << index) - 1);
                let chance = size as f64 / candidates as f64;
                let share = (count + SMOOTHING * chance) / (total + SMOOTHING);
                (share / chance).ln()
            })
            .collect();
        Self { log_ratio }
    }

    fn of(&self, rank: usize) -> f64 {
        self.log_ratio
            .get(bin(rank))
            .or_else(|| self.log_ratio.last())
            .copied()
            .unwrap_or_default()
    }
}

/// Rank of each candidate by its distance, the nearest first.
pub(super) fn ranks(distances: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..distances.len()).collect();
    order.sort_by(|a, b| distances[*a].total_cmp(&distances[*b]));
    let mut ranks = vec![0; distances.len()];
    for (rank, index) in order.into_iter().enumerate() {
        ranks[index] = rank;
    }
    ranks
}

/// The tokens of one text, special ones left out: at each place the candidate that is most
/// probable after what was seen, the most certain place first.
///
/// `distances` has one list for each place, in the order of the prior's tokens.
pub(super) fn text(distances: &[Vec<f64>], prior: &Prior, evidence: &Evidence) -> Vec<u32> {
    let mut choices: Vec<(f64, f64, usize, usize)> = Vec::new();
    for (place, distances) in distances.iter().enumerate() {
        for (index, rank) in ranks(distances).into_iter().enumerate() {
            let ratio = evidence.of(rank);
            if prior.is_word[index] || ratio > STRONG {
                choices.push((prior.log_share[index] + ratio, ratio, place, index));
            }
        }
    }
    choices.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.2.cmp(&b.2)));
    let mut chosen: Vec<Option<usize>> = vec![None; distances.len()];
    let mut used = vec![false; prior.tokens.len()];
    for (_, ratio, place, index) in choices {
        if chosen[place].is_none() && (!used[index] || ratio > STRONG) {
            chosen[place] = Some(index);
            used[index] = true;
        }
    }
    chosen
        .into_iter()
        .flatten()
        .map(|index| prior.tokens[index])
        .collect()
}

/// Ranks 0, 1 to 2, 3 to 6, and so on.
fn bin(rank: usize) -> usize {
    (rank + 1).ilog2() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_without_information_say_nothing() {
        let uniform: Vec<usize> = (0..1000).collect();
        let evidence = Evidence::fit(&uniform, 1000);
        for rank in [0, 5, 300, 999] {
            assert!(evidence.of(rank).abs() < 1e-9, "{rank}");
        }
    }

    #[test]
    fn ranks_that_were_always_first_say_much() {
        let evidence = Evidence::fit(&[0; 90], 1000);
        // Nine tenths of the mass, and a tenth of the null's, on one of a thousand.
        assert!((evidence.of(0) - (0.9001f64 / 0.001).ln()).abs() < 1e-9);
        assert!((evidence.of(500) - 0.1f64.ln()).abs() < 1e-9);
    }

    #[test]
    fn the_nearest_comes_first() {
        assert_eq!(ranks(&[0.5, 0.1, 0.9]), [1, 0, 2]);
    }
}

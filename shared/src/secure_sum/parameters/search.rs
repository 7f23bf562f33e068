//! The fewest neighbours of a sparse graph that are enough.
//!
//! Of `n` clients `c` are corrupt, `h = n - c` honest; every honest client chooses `m` of the others
//! uniformly, and `t` of its choices reconstruct its seeds. A pair `(m, t)` is enough if
//!
//! 1. no client chooses `t` corrupt ones: `n P[X >= t] < 2^-40`, `X` corrupt among `m` of `n - 1`;
//! 2. no client loses more than `m - t` of its choices where as many clients are lost at random as
//!    the task allows: `n P[Y < t] < 2^-10`, `Y` survivors among `m` of `n - 1`;
//! 3. the honest survivors do not fall into parts `A` and `B` without an edge between them, whose
//!    sums an aggregator could then see apart: it may let any `n - q` clients drop once it knows the
//!    graph. Each of `A` needs `t` choices in `A` or among the corrupt and none in `B`, each of `B`
//!    none in `A`. The union bound over all `A` of `a <= h/2` and all `B` must stay below 2^-40.
//!
//! Sums of products of binomials, after the hypergeometric analysis of the graph in "Secure
//! Single-Server Aggregation with (Poly)Logarithmic Overhead" (Bell and others 2020), section 3.
//! Everything is in base-2 logarithms; logarithms and powers come from `libm`, so that a tab and a
//! server get the same.

use alloc::vec::Vec;

use super::corrupt_clients;

/// Privacy: a bad graph at most once in 2^40.
const PRIVACY: f64 = -40.0;

/// Liveness: a failing cohort at most once in 2^10.
const FAILURE: f64 = -10.0;

/// Fewest neighbours that are tried.
const LEAST_NEIGHBOURS: usize = 4;

/// Summands below this are counted as this: a million of them are nothing beside 2^-40, and the sum
/// stays an upper bound.
const NEGLIGIBLE: f64 = -100.0;

/// `(m, t)`: the smallest `m < n - 1` that is enough with any `t`, and the smallest such `t`.
pub(super) fn sparse(
    clients: u16,
    quorum: u16,
    corrupt_permille: u16,
    drop_permille: u16,
) -> Option<(u16, u16)> {
    let count = usize::from(clients);
    let corrupt = corrupt_clients(clients, corrupt_permille) as usize;
    let lost = (count * usize::from(drop_permille) / 1000).min(count - 1);
    let search = Search {
        others: count - 1,
        corrupt,
        honest: count - corrupt,
        lost,
        eliminated: usize::from(clients - quorum),
        log_clients: libm::log2(count as f64),
        log_factorials: log_factorials(count),
    };
    let mut worst = 1;
    for neighbours in LEAST_NEIGHBOURS..count - 1 {
        // The first condition asks for a high threshold, the second for a low one, the third for a
        // high one: it need only be looked at for the highest, and then for the lowest that will do.
        let least = first(1..neighbours + 1, |t| search.hides(neighbours, t));
        let end = first(1..neighbours + 1, |t| !search.lives(neighbours, t));
        if least >= end || !search.connects(neighbours, end - 1, &mut worst) {
            continue;
        }
        let threshold = first(least..end - 1, |t| {
            search.connects(neighbours, t, &mut worst)
        });
        return Some((neighbours as u16, threshold as u16));
    }
    None
}

/// The first of `range` that has a property which all after it have too; its end if none has.
fn first(range: core::ops::Range<usize>, has: impl FnMut(usize) -> bool) -> usize {
    let (mut low, mut high, mut has) = (range.start, range.end, has);
    while low < high {
        let middle = usize::midpoint(low, high);
        if has(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

fn log_factorials(largest: usize) -> Vec<f64> {
    let logs = (0..=largest).map(|number| libm::log2(number.max(1) as f64));
    logs.scan(0.0, |sum, log| {
        *sum += log;
        Some(*sum)
    })
    .collect()
}

struct Search {
    /// `n - 1`: those whom a client chooses from.
    others: usize,
    /// `c`.
    corrupt: usize,
    /// `h`.
    honest: usize,
    /// Clients lost at random.
    lost: usize,
    /// `n - q`: clients that an aggregator may let drop.
    eliminated: usize,
    log_clients: f64,
    /// Of 0 to `n`.
    log_factorials: Vec<f64>,
}

impl Search {
    /// The number of ways to choose `k` of `n`.
    fn choose(&self, n: usize, k: usize) -> f64 {
        if k > n {
            return f64::NEG_INFINITY;
        }
        self.log_factorials[n] - self.log_factorials[k] - self.log_factorials[n - k]
    }

    /// The number of ways to draw `draws` of `marked` and `plain` with at least `least` marked.
    fn ways(&self, marked: usize, plain: usize, draws: usize, least: usize) -> f64 {
        let from = least.max(draws.saturating_sub(plain));
        let to = draws.min(marked);
        if from > to {
            return f64::NEG_INFINITY;
        }
        // Each summand from the one before; they fall ever faster once they fall.
        let (mut summand, mut sum) = (1.0, 1.0);
        for x in from..to {
            let up = (marked - x) * (draws - x);
            let down = (x + 1) * (plain + x + 1 - draws);
            summand *= up as f64 / down as f64;
            if sum + summand == sum {
                break;
            }
            sum += summand;
        }
        self.choose(marked, from) + self.choose(plain, draws - from) + libm::log2(sum)
    }

    /// The first condition.
    fn hides(&self, m: usize, t: usize) -> bool {
        let ways = self.ways(self.corrupt, self.others - self.corrupt, m, t);
        self.log_clients + ways - self.choose(self.others, m) < PRIVACY
    }

    /// The second: more than `m - t` are lost.
    fn lives(&self, m: usize, t: usize) -> bool {
        let ways = self.ways(self.lost, self.others - self.lost, m, m - t + 1);
        self.log_clients + ways - self.choose(self.others, m) < FAILURE
    }

    /// The third. `worst` is the size of `A` that refuted the last graph: it is tried first.
    fn connects(&self, m: usize, t: usize, worst: &mut usize) -> bool {
        let limit = libm::exp2(PRIVACY);
        if self.apart(*worst, m, t) >= limit {
            return false;
        }
        let mut sum = 0.0;
        for a in 1..=self.honest / 2 {
            let summand = self.apart(a, m, t);
            sum += summand;
            if sum >= limit {
                *worst = a;
                return false;
            }
        }
        true
    }

    /// A bound, not a logarithm, on the chance that some `A` of `a` clients is apart from some `B`;
    /// no more exact than it must be once it is at least 2^-40.
    fn apart(&self, a: usize, m: usize, t: usize) -> f64 {
        let total = self.choose(self.others, m);
        let inside = a - 1 + self.corrupt;
        let own = self.ways(inside, self.others - inside, m, t) - total;
        let sets = self.choose(self.honest, a);
        // Every member of A chooses t among A and the corrupt, whatever B is.
        let alone = sets + a as f64 * own.min(0.0);
        if alone < NEGLIGIBLE {
            return libm::exp2(alone);
        }
        let avoids = self.choose(self.others - a, m) - total;
        let mut ceiling: f64 = 0.0;
        let mut sum = 0.0;
        let least = a.max(self.honest.saturating_sub(self.eliminated + a));
        for b in least..=self.honest - a {
            let outside = self.honest - a - b;
            let both = sets + self.choose(self.honest - a, b) + b as f64 * avoids;
            let mut bound = both + a as f64 * ceiling;
            if bound >= NEGLIGIBLE {
                // Fewer outside leave fewer ways, so this holds for every larger B as well.
                ceiling = ceiling.min(self.ways(inside, outside, m, t) - total);
                bound = both + a as f64 * ceiling;
            }
            if bound >= PRIVACY {
                return libm::exp2(alone.min(PRIVACY));
            }
            sum += libm::exp2(bound.max(NEGLIGIBLE));
        }
        libm::exp2(alone).min(sum)
    }
}

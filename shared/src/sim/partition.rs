//! Dealing labelled examples out to clients, the same way for the same seed.
//!
//! Examples are known here by their place in the data and by their label alone.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::random::Stream;

/// How the shares of the clients differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Partition {
    /// Every client has the same mixture.
    Even,
    /// Each label's examples are shared out by a draw from Dirichlet(alpha) (Hsu et al. 2019).
    Dirichlet {
        /// Small: few labels a client. Large: nearly [`Self::Even`].
        alpha: f64,
    },
    /// Each client holds nine tenths of its own part of the labels and little of the others.
    Labels,
    /// The examples in the order of their labels are cut into equal shards, and each client gets
    /// some of them (McMahan et al. 2017, section 3).
    Shards {
        /// Shards of a client.
        per_client: usize,
    },
}

/// Data that cannot be dealt out.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum PartitionError {
    /// A client, or a shard, would stay empty.
    #[error("{examples} examples are too few for {shares} shares")]
    TooFew {
        /// How many there are.
        examples: usize,
        /// Shares wanted.
        shares: usize,
    },
    /// No number above zero.
    #[error("Dirichlet's alpha must be a positive number, found {0}")]
    Alpha(f64),
}

/// Deals out the places of examples with these labels to `clients` shares, each shuffled and none
/// empty.
///
/// # Errors
/// [`PartitionError`] where that cannot be.
pub fn deal(
    labels: &[u32],
    partition: Partition,
    clients: usize,
    seed: u64,
) -> Result<Vec<Vec<usize>>, PartitionError> {
    let examples = labels.len();
    let shares = match partition {
        Partition::Shards { per_client } => clients * per_client.max(1),
        _ => clients,
    };
    if clients == 0 || examples < shares {
        return Err(PartitionError::TooFew { examples, shares });
    }
    let mut stream = Stream::new(seed, "shares");
    let mut dealt = match partition {
        Partition::Shards { .. } => deal_shards(labels, clients, shares, &mut stream),
        Partition::Even => deal_groups(labels, clients, |_, _| vec![1.0 / clients as f64; clients]),
        Partition::Labels => deal_groups(labels, clients, |place, of| {
            mostly(place * clients / of, clients)
        }),
        Partition::Dirichlet { alpha } => {
            if !(alpha.is_finite() && alpha > 0.0) {
                return Err(PartitionError::Alpha(alpha));
            }
            deal_groups(labels, clients, |_, _| stream.dirichlet(alpha, clients))
        }
    };
    fill_empty(&mut dealt);
    for share in &mut dealt {
        stream.shuffle(share);
    }
    Ok(dealt)
}

/// Natural users: the places of each key's rows, read in one pass. The key with most rows comes
/// first, equal ones in the order of their names.
pub fn by_key(keys: impl IntoIterator<Item = String>) -> Vec<(String, Vec<usize>)> {
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (place, key) in keys.into_iter().enumerate() {
        groups.entry(key).or_default().push(place);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, places)| core::cmp::Reverse(places.len()));
    groups
}

/// Deals each label's places out by portions that `portions` yields for its rank among the labels.
fn deal_groups(
    labels: &[u32],
    clients: usize,
    mut portions: impl FnMut(usize, usize) -> Vec<f64>,
) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (place, &label) in labels.iter().enumerate() {
        groups.entry(label).or_default().push(place);
    }
    let count = groups.len();
    let mut shares = vec![Vec::new(); clients];
    for (rank, group) in groups.into_values().enumerate() {
        portion_out(&group, &portions(rank, count), rank, &mut shares);
    }
    shares
}

fn deal_shards(
    labels: &[u32],
    clients: usize,
    shards: usize,
    stream: &mut Stream,
) -> Vec<Vec<usize>> {
    let mut places: Vec<usize> = (0..labels.len()).collect();
    places.sort_by_key(|&place| labels[place]);
    let mut order: Vec<usize> = (0..shards).collect();
    stream.shuffle(&mut order);
    let mut shares = vec![Vec::new(); clients];
    for (turn, shard) in order.into_iter().enumerate() {
        let cut = |shard: usize| shard * places.len() / shards;
        shares[turn % clients].extend_from_slice(&places[cut(shard)..cut(shard + 1)]);
    }
    shares
}

fn mostly(owner: usize, clients: usize) -> Vec<f64> {
    let others = clients.saturating_sub(1) as f64;
    let other = if clients > 1 {
        (1.0 - OWN) / others
    } else {
        0.0
    };
    let portion = |client| {
        if client == owner {
            1.0 - other * others
        } else {
            other
        }
    };
    (0..clients).map(portion).collect()
}

/// Cuts a label's places by portions; where the first cut falls turns with the label, so that
/// rounding favours nobody.
fn portion_out(group: &[usize], portions: &[f64], turn: usize, shares: &mut [Vec<usize>]) {
    let clients = portions.len();
    let mut reached = 0.0;
    let mut from = 0;
    for step in 0..clients {
        let client = (step + turn) % clients;
        reached += portions[client];
        let cut = if step + 1 == clients {
            group.len()
        } else {
            libm::round(reached * group.len() as f64) as usize
        };
        let to = cut.clamp(from, group.len());
        shares[client].extend_from_slice(&group[from..to]);
        from = to;
    }
}

fn fill_empty(shares: &mut [Vec<usize>]) {
    while let Some(empty) = shares.iter().position(Vec::is_empty) {
        let Some(largest) = shares.iter_mut().max_by_key(|share| share.len()) else {
            return;
        };
        let Some(moved) = largest.pop() else { return };
        shares[empty].push(moved);
    }
}

/// The part of its own labels that a client holds under [`Partition::Labels`].
const OWN: f64 = 0.9;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    const EVERY: [Partition; 4] = [
        Partition::Even,
        Partition::Dirichlet { alpha: 0.3 },
        Partition::Labels,
        Partition::Shards { per_client: 2 },
    ];

    fn labels(labels: u32, each: u32) -> Vec<u32> {
        (0..labels * each).map(|n| n % labels).collect()
    }

    fn labels_of(share: &[usize], all: &[u32]) -> usize {
        let known: alloc::collections::BTreeSet<u32> = share.iter().map(|&i| all[i]).collect();
        known.len()
    }

    #[test]
    fn every_example_is_dealt_out_exactly_once() {
        let all = labels(7, 31);
        for partition in EVERY {
            let mut dealt = deal(&all, partition, 4, 3).unwrap().concat();
            dealt.sort_unstable();
            assert_eq!(dealt, (0..all.len()).collect::<Vec<_>>(), "{partition:?}");
        }
    }

    #[test]
    fn no_share_is_empty_and_a_seed_gives_the_same_shares() {
        let all = labels(2, 30);
        for partition in EVERY
            .into_iter()
            .chain([Partition::Dirichlet { alpha: 0.01 }])
        {
            let shares = deal(&all, partition, 20, 11).unwrap();
            assert!(
                shares.iter().all(|share| !share.is_empty()),
                "{partition:?}"
            );
            assert_eq!(shares, deal(&all, partition, 20, 11).unwrap());
            assert_ne!(shares, deal(&all, partition, 20, 12).unwrap());
        }
    }

    #[test]
    fn shards_give_each_client_few_labels_and_small_alpha_fewer_than_large() {
        let all = labels(10, 100);
        let most = |partition| {
            let shares = deal(&all, partition, 10, 5).unwrap();
            shares
                .iter()
                .map(|share| labels_of(share, &all))
                .max()
                .unwrap()
        };
        assert!(most(Partition::Shards { per_client: 2 }) <= 2);
        let mean = |alpha| {
            let shares = deal(&all, Partition::Dirichlet { alpha }, 10, 5).unwrap();
            shares
                .iter()
                .map(|share| labels_of(share, &all))
                .sum::<usize>()
        };
        assert!(mean(0.05) < mean(1.0) && mean(1.0) < mean(100.0));
        assert_eq!(most(Partition::Even), 10);
    }

    #[test]
    fn keys_are_grouped_in_one_pass_the_largest_first() {
        let keys = ["b", "a", "c", "a", "b", "a"].map(|key| key.to_string());
        let groups = by_key(keys);
        let names: Vec<&str> = groups.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(groups[0].1, [1, 3, 5]);
    }

    #[test]
    fn data_that_does_not_suffice_is_refused_by_its_numbers() {
        let too_few = PartitionError::TooFew {
            examples: 6,
            shares: 8,
        };
        let shards = Partition::Shards { per_client: 2 };
        assert_eq!(deal(&labels(2, 3), shards, 4, 1), Err(too_few));
        assert!(deal(&[], Partition::Even, 0, 1).is_err());
        for alpha in [0.0, -1.0, f64::NAN] {
            assert!(deal(&labels(2, 9), Partition::Dirichlet { alpha }, 2, 1).is_err());
        }
    }
}

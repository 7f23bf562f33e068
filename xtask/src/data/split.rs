//! Dealing examples out to tabs, the same way for the same seed.

use super::{Example, by_label};
use crate::failure::{Failure, Outcome};
use crate::random::Stream;
use std::str::FromStr;

/// How the shares of the tabs differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Split {
    /// Every tab has the same mixture.
    Even,
    /// Each label's examples are shared out by a draw from Dirichlet(alpha) (Hsu et al. 2019).
    Dirichlet(f64),
    /// Each tab holds nine tenths of its own part of the labels and little of the others.
    Labels,
}

impl FromStr for Split {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "iid" => Ok(Self::Even),
            None if text == "labels" => Ok(Self::Labels),
            None if text == "dirichlet" => Ok(Self::Dirichlet(0.5)),
            Some(("dirichlet", alpha)) => match alpha.parse() {
                Ok(alpha) if alpha > 0.0 => Ok(Self::Dirichlet(alpha)),
                _ => Err(format!("dirichlet needs a positive number, found {alpha}")),
            },
            _ => Err(format!(
                "no such split: {text} (dirichlet:0.5, labels, iid)"
            )),
        }
    }
}

/// Deals the examples out to `tabs` shares, each shuffled and none empty.
///
/// # Errors
/// `Data` where there are fewer examples than tabs.
pub(crate) fn deal(
    examples: &[Example],
    split: Split,
    tabs: usize,
    seed: u64,
) -> Outcome<Vec<Vec<Example>>> {
    if examples.len() < tabs {
        return Err(Failure::Data(format!(
            "{} examples for {tabs} tabs",
            examples.len()
        )));
    }
    let mut stream = Stream::new(seed, "shares");
    let mut shares = vec![Vec::new(); tabs];
    let groups = by_label(examples);
    let labels = groups.len();
    for (place, group) in groups.into_values().enumerate() {
        let portions = match split {
            Split::Even => vec![1.0 / tabs as f64; tabs],
            Split::Dirichlet(alpha) => stream.dirichlet(alpha, tabs),
            Split::Labels => mostly(place * tabs / labels, tabs),
        };
        for (tab, part) in portion_out(&group, &portions, place)
            .into_iter()
            .enumerate()
        {
            shares[tab].extend(part.into_iter().cloned());
        }
    }
    fill_empty(&mut shares);
    for share in &mut shares {
        stream.shuffle(share);
    }
    Ok(shares)
}

fn mostly(owner: usize, tabs: usize) -> Vec<f64> {
    let other = if tabs > 1 {
        (1.0 - OWN) / (tabs - 1) as f64
    } else {
        0.0
    };
    (0..tabs)
        .map(|tab| {
            if tab == owner {
                1.0 - other * (tabs - 1) as f64
            } else {
                other
            }
        })
        .collect()
}

/// Cuts a label's examples by portions; where the first cut falls turns with the label, so that
/// rounding favours nobody.
fn portion_out<'a>(group: &[&'a Example], portions: &[f64], turn: usize) -> Vec<Vec<&'a Example>> {
    let tabs = portions.len();
    let mut parts = vec![Vec::new(); tabs];
    let mut reached = 0.0;
    let mut from = 0;
    for step in 0..tabs {
        let tab = (step + turn) % tabs;
        reached += portions[tab];
        let last = step + 1 == tabs;
        let to = if last {
            group.len()
        } else {
            (reached * group.len() as f64).round() as usize
        };
        parts[tab] = group[from..to.max(from)].to_vec();
        from = to.max(from);
    }
    parts
}

fn fill_empty(shares: &mut [Vec<Example>]) {
    while let Some(empty) = shares.iter().position(Vec::is_empty) {
        let Some(largest) = shares.iter_mut().max_by_key(|share| share.len()) else {
            return;
        };
        let Some(moved) = largest.pop() else { return };
        shares[empty].push(moved);
    }
}

/// The part of its own labels that a tab holds under [`Split::Labels`].
const OWN: f64 = 0.9;

#[cfg(test)]
mod tests {
    use super::*;

    fn examples(labels: usize, each: usize) -> Vec<Example> {
        (0..labels * each)
            .map(|n| Example {
                text: n.to_string(),
                label: format!("label {:03}", n % labels),
            })
            .collect()
    }

    #[test]
    fn every_example_is_dealt_out_exactly_once() {
        let all = examples(7, 31);
        for split in [Split::Even, Split::Dirichlet(0.5), Split::Labels] {
            let mut dealt = deal(&all, split, 4, 3).unwrap().concat();
            dealt.sort();
            let mut expected = all.clone();
            expected.sort();
            assert_eq!(dealt, expected, "{split:?}");
        }
    }

    #[test]
    fn split_by_labels_gives_each_tab_mostly_its_own() {
        let shares = deal(&examples(8, 100), Split::Labels, 4, 1).unwrap();
        for (tab, share) in shares.iter().enumerate() {
            let own = |e: &&Example| e.label[6..].parse::<usize>().unwrap() * 4 / 8 == tab;
            assert_eq!(share.iter().filter(own).count(), 180);
        }
    }

    #[test]
    fn no_share_is_empty_and_a_seed_gives_the_same_shares() {
        let all = examples(2, 6);
        let shares = deal(&all, Split::Dirichlet(0.05), 6, 11).unwrap();
        assert!(shares.iter().all(|share| !share.is_empty()));
        assert_eq!(shares, deal(&all, Split::Dirichlet(0.05), 6, 11).unwrap());
    }
}

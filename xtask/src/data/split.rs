//! Dealing examples out to tabs, the same way for the same seed.

use super::{Example, by_label};
use crate::failure::{Failure, Outcome};
use choir_shared::sim::partition::{self, Partition};
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

impl Split {
    const fn partition(self) -> Partition {
        match self {
            Self::Even => Partition::Even,
            Self::Dirichlet(alpha) => Partition::Dirichlet { alpha },
            Self::Labels => Partition::Labels,
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
    let names: Vec<&str> = by_label(examples).into_keys().collect();
    let rank = |example: &Example| names.partition_point(|name| *name < example.label.as_str());
    let labels: Vec<u32> = examples
        .iter()
        .map(|example| rank(example) as u32)
        .collect();
    let shares = partition::deal(&labels, split.partition(), tabs, seed)
        .map_err(|error| Failure::Data(error.to_string()))?;
    let share_of = |places: Vec<usize>| places.iter().map(|&at| examples[at].clone()).collect();
    Ok(shares.into_iter().map(share_of).collect())
}

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

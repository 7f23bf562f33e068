//! Labelled text: reading it, choosing labels, and dealing it out to tabs.

mod csv;
pub(crate) mod split;

use crate::failure::{AtPath, Failure, Outcome};
use choir_shared::sim::random::Stream;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// One text with its label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Example {
    /// What is classified.
    pub(crate) text: String,
    /// The right answer.
    pub(crate) label: String,
}

/// Examples to train on and examples that are held out.
#[derive(Clone, Debug)]
pub(crate) struct DataSet {
    /// Class names in order.
    pub(crate) labels: Vec<String>,
    /// To be dealt out to the tabs.
    pub(crate) train: Vec<Example>,
    /// Never seen by a tab.
    pub(crate) test: Vec<Example>,
}

/// How many of the labels take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LabelChoice {
    /// Every label.
    All,
    /// This many, chosen by the seed.
    Some(usize),
}

impl DataSet {
    /// Reads a folder with train.csv and test.csv, or one file split 80 to 20 by the seed.
    ///
    /// # Errors
    /// `File` or `Data` where nothing usable is there.
    pub(crate) fn read(source: &Path, choice: LabelChoice, seed: u64) -> Outcome<Self> {
        let (mut train, mut test) = if source.is_dir() {
            (
                read(&source.join("train.csv"))?,
                read(&source.join("test.csv"))?,
            )
        } else {
            let mut all = read(source)?;
            Stream::new(seed, "hold-out").shuffle(&mut all);
            let held_out = all.len() / 5;
            (all.split_off(held_out), all)
        };
        let labels = choose(&train, choice, seed);
        let known: BTreeSet<&str> = labels.iter().map(String::as_str).collect();
        train.retain(|example| known.contains(example.label.as_str()));
        test.retain(|example| known.contains(example.label.as_str()));
        if labels.len() < 2 || train.is_empty() || test.is_empty() {
            return Err(Failure::Data(format!(
                "{} has too little data",
                source.display()
            )));
        }
        Stream::new(seed, "train order").shuffle(&mut train);
        Ok(Self {
            labels,
            train,
            test,
        })
    }
}

/// Writes examples as CSV with a header.
///
/// # Errors
/// `File` where it cannot be written.
pub(crate) fn write(path: &Path, examples: &[Example]) -> Outcome<()> {
    let lines = examples.iter().map(|example| {
        format!(
            "{},{}\n",
            csv::quote(&example.text),
            csv::quote(&example.label)
        )
    });
    fs::write(
        path,
        core::iter::once("text,label\n".to_owned())
            .chain(lines)
            .collect::<String>(),
    )
    .at(path)
}

/// The examples of each label, in the labels' order.
pub(crate) fn by_label(examples: &[Example]) -> BTreeMap<&str, Vec<&Example>> {
    let mut groups: BTreeMap<&str, Vec<&Example>> = BTreeMap::new();
    for example in examples {
        groups.entry(&example.label).or_default().push(example);
    }
    groups
}

fn choose(train: &[Example], choice: LabelChoice, seed: u64) -> Vec<String> {
    let mut labels: Vec<String> = by_label(train).into_keys().map(str::to_owned).collect();
    if let LabelChoice::Some(count) = choice {
        Stream::new(seed, "labels").shuffle(&mut labels);
        labels.truncate(count);
        labels.sort();
    }
    labels
}

/// Reads one file; it holds at least one example.
///
/// # Errors
/// `File` or `Data` where it holds none.
pub(crate) fn read(path: &Path) -> Outcome<Vec<Example>> {
    let text = fs::read_to_string(path).at(path)?;
    let rows = match path.extension().and_then(|ending| ending.to_str()) {
        Some("json" | "jsonl" | "ndjson") => csv::json_lines(&text),
        Some("tsv" | "tab") => csv::table(&text, '\t'),
        _ => csv::table(&text, ','),
    };
    if rows.is_empty() {
        return Err(Failure::Data(format!(
            "{} has no rows with a text and a label",
            path.display()
        )));
    }
    Ok(rows)
}

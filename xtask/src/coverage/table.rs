//! The table of systems and methods, as `docs/algorithms.json` holds it.

use super::evidence::Evidence;
use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use serde::Deserialize;
use std::fs;

/// The field, and the doors into this project.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    /// What the rows are taken from.
    pub(super) sources: Vec<String>,
    /// Who can come in, and by which tests.
    pub(super) doors: Vec<Door>,
    /// One row per system or method.
    pub(super) rows: Vec<Row>,
}

/// A kind of user.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Door {
    /// Who.
    pub(super) door: String,
    /// What they do here.
    pub(super) what: String,
    /// The tests that show it; none where the door is shut.
    pub(super) tests: Vec<Evidence>,
}

impl Door {
    /// Whether a test shows it.
    pub(super) fn is_open(&self) -> bool {
        !self.tests.is_empty()
    }
}

/// A system or method of the field.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    /// The part of the field.
    pub(super) group: String,
    /// Its name.
    pub(super) system: String,
    /// What it does.
    pub(super) does: String,
    /// What it means here.
    pub(super) here: String,
    /// What of it travels under the mask.
    pub(super) sums: String,
    /// Where it stands.
    pub(super) state: State,
}

/// Where a row stands.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    /// It works, and a test shows it.
    Works {
        /// The test.
        test: Evidence,
        /// A command that a person would rather run.
        #[serde(default)]
        see: Option<String>,
    },
    /// It is to come.
    NotYet {
        /// What is missing.
        missing: String,
    },
    /// It cannot be had from sums alone.
    Cannot {
        /// Why.
        reason: String,
    },
}

impl Table {
    /// Reads the table.
    ///
    /// # Errors
    /// `Check` with the place where it is not as it should be.
    pub(super) fn read(paths: &Paths) -> Outcome<Self> {
        let file = paths.root.join("docs/algorithms.json");
        let text = fs::read_to_string(&file).at(&file)?;
        serde_json::from_str(&text)
            .map_err(|error| Failure::Check(format!("docs/algorithms.json: {error}")))
    }

    /// Rows in such a state.
    pub(super) fn count(&self, such: impl Fn(&State) -> bool) -> usize {
        self.rows.iter().filter(|row| such(&row.state)).count()
    }
}

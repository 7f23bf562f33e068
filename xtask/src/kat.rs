//! `cargo xtask kat`: every value of the protocol for given secrets, so that another
//! implementation can be compared byte for byte.

use crate::failure::{AtPath, Failure, Outcome};
use std::fs;
use std::path::Path;

/// Reads the input, computes, and writes the output, both JSON.
///
/// # Errors
/// `File` or `Data` where the input cannot be used.
pub(crate) fn run(input: &Path, output: &Path) -> Outcome<()> {
    let text = fs::read_to_string(input).at(input)?;
    let given = serde_json::from_str(&text).map_err(|error| unusable(input, error))?;
    let values = choir_shared::kat::kat(&given).map_err(|error| unusable(input, error))?;
    let text = serde_json::to_string_pretty(&values).map_err(|error| unusable(output, error))?;
    fs::write(output, text + "\n").at(output)
}

fn unusable(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::Data(format!("{}: {error}", path.display()))
}

//! Speakers of Shakespeare as clients, natively: training together against training in one place.

use crate::failure::{Failure, Outcome};
use crate::paths::Paths;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The evaluation's report; its picture goes to `svg`.
pub(super) fn run(paths: &Paths, shared: &Path, svg: Option<PathBuf>) -> Outcome<Value> {
    let mut arguments = vec!["lm-shakespeare".into()];
    if let Some(file) = svg {
        arguments.extend(["--svg".into(), file.into_os_string()]);
    }
    super::natively(paths, Some(shared), &arguments)
}

/// # Errors
/// `Check` where training together closes too little of the gap, or where there is none.
pub(super) fn check(result: &Value) -> Outcome<()> {
    if result["reached"] == json!(true) {
        return Ok(());
    }
    Err(Failure::Check(format!(
        "of a gap of {} bits per character (at least {}) {} are closed (at least {})",
        result["gap_bits"],
        result["least_gap_bits"],
        result["gap_closed"],
        result["least_gap_closed"]
    )))
}

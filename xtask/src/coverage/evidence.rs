//! A test that shows a row: where it stands, and the command that runs it alone.
//!
//! Only places count that `cargo xtask test` runs; they are those of `suite.rs`.

use crate::paths::Paths;
use serde::Deserialize;
use std::fs;

/// A test by its file and name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Evidence {
    /// The file, from the root of the checkout.
    file: String,
    /// The test's name: a function of Rust, the sentence of a Node test.
    name: String,
}

impl Evidence {
    /// The command that runs it.
    ///
    /// # Errors
    /// Why it does not count.
    pub(super) fn command(&self, paths: &Paths) -> Result<String, String> {
        let Self { file, name } = self;
        let source = fs::read_to_string(paths.root.join(file))
            .map_err(|error| format!("{file}: {error}"))?;
        let is_there = if file.ends_with(".rs") {
            has_function(&source, name, !file.starts_with(SCENARIOS))
        } else {
            source.contains(&format!("test(\"{name}\""))
                || source.contains(&format!("it(\"{name}\""))
        };
        if !is_there {
            return Err(format!("{file} has no test `{name}`"));
        }
        self.run_by_suite()
            .ok_or_else(|| format!("`cargo xtask test` does not run {file}"))
    }

    fn run_by_suite(&self) -> Option<String> {
        let Self { file, name } = self;
        if file.starts_with(SCENARIOS) {
            return Some("cargo xtask test".to_owned());
        }
        for (folder, command) in CARGO {
            let Some(rest) = file.strip_prefix(folder) else {
                continue;
            };
            let place = match rest.strip_prefix("tests/") {
                Some(test) => format!("--test {} ", test.split(['.', '/']).next()?),
                None => String::new(),
            };
            return Some(format!("{command} {place}{name}"));
        }
        let door = file
            .strip_prefix("e2e/doors/")
            .and_then(|file| file.strip_suffix(".test.mjs"));
        if let Some(door) = door {
            return Some(format!("cargo xtask doors {door}"));
        }
        NODE.iter()
            .any(|folder| file.starts_with(folder))
            .then(|| "cargo xtask test".to_owned())
    }
}

fn has_function(source: &str, name: &str, marked: bool) -> bool {
    let head = format!("fn {name}(");
    let Some(place) = source.find(&head) else {
        return false;
    };
    let before: Vec<&str> = source[..place]
        .lines()
        .rev()
        .take(ATTRIBUTE_LINES)
        .collect();
    !marked || before.iter().any(|line| line.contains("#[test]"))
}

/// A test's attribute stands within so many lines above its name.
const ATTRIBUTE_LINES: usize = 4;
/// Scenarios of the suite itself: plain functions.
const SCENARIOS: &str = "xtask/src/suite";
/// Crates, and how the suite tests them.
const CARGO: [(&str, &str); 4] = [
    (
        "shared/",
        "cargo test -p choir-shared --features test-util,observe",
    ),
    (
        "wasm-client/",
        "cargo test -p choir-wasm-client --features parity,native,protocol,attack,sim,evals",
    ),
    (
        "edge-aggregator/src/",
        "cargo test -p choir-edge-aggregator --lib",
    ),
    ("xtask/", "cargo test -p xtask"),
];
/// Folders of Node's tests.
const NODE: [&str; 3] = ["edge-aggregator/tests/", "e2e/tests/", "web/test/"];

#[cfg(test)]
mod tests {
    use super::has_function;

    #[test]
    fn only_a_function_marked_as_a_test_counts() {
        let source = "#[test]\nfn holds() {}\n\n\n\n\nfn helper() {}\n";
        assert!(has_function(source, "holds", true));
        assert!(!has_function(source, "helper", true));
        assert!(has_function(source, "helper", false));
        assert!(!has_function(source, "hold", true));
    }
}

//! No dependency is there in name only: each one that a crate declares stands in its sources.

use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::stamp::files_below;
use std::fs;
use std::path::Path;

/// The crates of this project.
const CRATES: [&str; 5] = [
    "shared",
    "shared/fuzz",
    "wasm-client",
    "edge-aggregator",
    "xtask",
];

/// Crates that only a macro's output names, and what in the sources makes it do so.
const IN_MACROS: [(&str, &str); 1] = [("wasm-bindgen-futures", "pub async fn")];

/// Checks every crate's manifest.
///
/// # Errors
/// `Check` with every dependency that no source names.
pub(super) fn check(paths: &Paths) -> Outcome<()> {
    let mut unused = Vec::new();
    for name in CRATES {
        let folder = paths.root.join(name);
        let manifest = folder.join("Cargo.toml");
        let declared = declared(&fs::read_to_string(&manifest).at(&manifest)?);
        let sources = sources(&folder)?;
        for dependency in declared {
            let by_macro = IN_MACROS.iter().find(|(name, _)| *name == dependency);
            if by_macro.is_some_and(|(_, mark)| sources.iter().any(|text| text.contains(mark))) {
                continue;
            }
            let word = dependency.replace('-', "_");
            if !sources.iter().any(|source| names(source, &word)) {
                unused.push(format!("{name} declares {dependency} and does not use it"));
            }
        }
    }
    if unused.is_empty() {
        Ok(())
    } else {
        Err(Failure::Check(unused.join("\n")))
    }
}

fn sources(folder: &Path) -> Outcome<Vec<String>> {
    let mut sources = Vec::new();
    for part in ["src", "tests", "benches", "examples"] {
        for file in files_below(&folder.join(part))? {
            if file.extension().is_some_and(|ending| ending == "rs") {
                sources.push(fs::read_to_string(&file).at(&file)?);
            }
        }
    }
    Ok(sources)
}

/// The names under every `[…dependencies]` table.
fn declared(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.trim_end().ends_with("dependencies]");
        } else if inside && !line.starts_with('#') {
            let name: String = line
                .chars()
                .take_while(|letter| letter.is_ascii_alphanumeric() || "-_".contains(*letter))
                .collect();
            if !name.is_empty() && !found.contains(&name) {
                found.push(name);
            }
        }
    }
    found
}

/// True where a line that is no comment names the crate.
fn names(source: &str, word: &str) -> bool {
    source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .any(|line| {
            line.match_indices(word).any(|(start, _)| {
                let is_letter = |letter: char| letter.is_alphanumeric() || letter == '_';
                let before = line[..start].chars().next_back();
                let after = line[start + word.len()..].chars().next();
                !before.is_some_and(is_letter) && !after.is_some_and(is_letter)
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_from_every_table() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\none.workspace = true\n# no\n\
                        two-b = \"1\"\n[features]\nf = []\n[target.'cfg(unix)'.dependencies]\none = \"1\"\n";
        assert_eq!(declared(manifest), ["one", "two-b"]);
    }

    #[test]
    fn a_name_counts_as_a_word_outside_of_comments() {
        assert!(names("use serde::Serialize;", "serde"));
        assert!(!names("use serde_json::Value;", "serde"));
        assert!(!names("// serde", "serde"));
    }
}

//! Rules of this project that no compiler knows: who may import whom, how long a file may be, what
//! may not stand in it.

use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::stamp::files_below;
use std::fs;
use std::path::Path;

/// Lines that a source file may have.
const LONGEST: usize = 400;
/// Endings of source files.
const SOURCES: [&str; 6] = ["rs", "ts", "mjs", "js", "wgsl", "css"];
/// Folders, and words that may not stand in their sources or manifests.
const IMPORTS: [(&str, &[&str]); 6] = [
    (
        "shared",
        &[
            "choir_wasm_client",
            "choir_edge_aggregator",
            "choir-wasm-client",
            "choir-edge-aggregator",
        ],
    ),
    (
        "shared/src",
        &["std::time", "js_sys", "web_sys", "wasm_bindgen", "wgpu"],
    ),
    (
        "wasm-client",
        &["choir_edge_aggregator", "choir-edge-aggregator"],
    ),
    (
        "edge-aggregator",
        &["choir_wasm_client", "choir-wasm-client"],
    ),
    ("web/packages/sdk", &["../demo", "../../demo"]),
    (
        "e2e",
        &[
            "../web/",
            "../wasm-client/",
            "../shared/",
            "../edge-aggregator/src",
        ],
    ),
];

/// Checks every source file.
///
/// # Errors
/// `Check` with every breach.
pub(super) fn check(paths: &Paths) -> Outcome<()> {
    let mut breaches = Vec::new();
    for folder in [
        "shared",
        "wasm-client",
        "edge-aggregator",
        "web",
        "e2e",
        "xtask",
    ] {
        for file in files_below(&paths.root.join(folder))? {
            let name = file.strip_prefix(&paths.root).unwrap_or(&file).to_owned();
            check_file(&file, &name, &mut breaches)?;
        }
    }
    if breaches.is_empty() {
        Ok(())
    } else {
        Err(Failure::Check(breaches.join("\n")))
    }
}

fn check_file(file: &Path, name: &Path, breaches: &mut Vec<String>) -> Outcome<()> {
    let ending = file
        .extension()
        .and_then(|ending| ending.to_str())
        .unwrap_or_default();
    let is_source = SOURCES.contains(&ending);
    if !is_source && ending != "toml" && ending != "json" {
        return Ok(());
    }
    let text = fs::read_to_string(file).at(file)?;
    let shown = name.display();
    if is_source && text.lines().count() > LONGEST {
        breaches.push(format!("{shown} has more than {LONGEST} lines"));
    }
    if ending == "rs" && !text.starts_with("//!") && !text.starts_with("#!") {
        breaches.push(format!("{shown} does not open with what it is (//!)"));
    }
    if name.file_name().is_some_and(|file| file == "mod.rs") {
        breaches.push(format!("{shown}: modules are named foo.rs beside foo/"));
    }
    if name
        .file_name()
        .is_some_and(|file| file == "package-lock.json")
        && text.contains("\"resolved\": \"http")
    {
        breaches.push(format!("{shown} names a registry"));
    }
    for (folder, words) in IMPORTS {
        for word in words
            .iter()
            .filter(|word| name.starts_with(folder) && imports(&text, word))
        {
            breaches.push(format!("{shown} may not use {word}"));
        }
    }
    Ok(())
}

/// True where a line that is no comment holds the word.
fn imports(text: &str, word: &str) -> bool {
    text.lines()
        .any(|line| !line.trim_start().starts_with("//") && line.contains(word))
}

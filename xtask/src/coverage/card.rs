//! The nine dependencies that this product is designed around, and where each does its job.

use crate::failure::{AtPath, Outcome};
use crate::paths::Paths;
use crate::stamp::files_below;
use std::fs;

/// A crate, the folder whose sources must use it, and the path by which they do.
const CARD: [(&str, &str, &str); 9] = [
    ("wasm-bindgen", "wasm-client", "wasm_bindgen::"),
    ("web-sys", "wasm-client", "web_sys::"),
    ("wgpu", "wasm-client", "wgpu::"),
    ("burn", "wasm-client", "burn::"),
    ("burn-wgpu", "wasm-client", "burn_wgpu::"),
    ("serde-wasm-bindgen", "wasm-client", "serde_wasm_bindgen::"),
    ("worker", "edge-aggregator", "worker::"),
    ("postcard", "shared", "postcard::"),
    ("getrandom", "wasm-client", "getrandom::"),
];

/// Each dependency, and the first source that uses it, where its crate also declares it.
///
/// # Errors
/// `File` where a manifest or source cannot be read.
pub(super) fn in_use(paths: &Paths) -> Outcome<Vec<(&'static str, Option<String>)>> {
    CARD.iter()
        .map(|(name, folder, word)| Ok((*name, used(paths, name, folder, word)?)))
        .collect()
}

fn used(paths: &Paths, name: &str, folder: &str, word: &str) -> Outcome<Option<String>> {
    let manifest = paths.root.join(folder).join("Cargo.toml");
    let text = fs::read_to_string(&manifest).at(&manifest)?;
    let declares = |line: &str| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    };
    if !text.lines().any(declares) {
        return Ok(None);
    }
    for file in files_below(&paths.root.join(folder).join("src"))? {
        if file.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let source = fs::read_to_string(&file).at(&file)?;
        // A comment that names a crate does not use it.
        let uses = |line: &str| names(line, word) && !line.trim_start().starts_with("//");
        if source.lines().any(uses) {
            let place = file.strip_prefix(&paths.root).unwrap_or(&file);
            return Ok(Some(place.display().to_string()));
        }
    }
    Ok(None)
}

/// Whether the line has the path, and not as the end of another crate's name.
fn names(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(place, _)| {
        line[..place]
            .chars()
            .next_back()
            .is_none_or(|before| !before.is_alphanumeric() && before != '_')
    })
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_longer_name_is_another_crate() {
        assert!(names("use wasm_bindgen::prelude::*;", "wasm_bindgen::"));
        assert!(!names("serde_wasm_bindgen::to_value(x)", "wasm_bindgen::"));
    }
}

//! Looks through everything that left the tabs and everything that the aggregator stored or logged
//! for the visitors' text and for their plain updates.

use crate::data;
use crate::failure::{AtPath, Failure, Outcome};
use crate::stamp::files_below;
use choir_shared::leak::{Detector, Plain};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Shorter texts could stand somewhere by chance.
const LEAST_TEXT: usize = 16;

/// Searches the folder of a headless run that was recorded.
///
/// # Errors
/// `Check` with what was found where, or where the search itself finds nothing it should.
pub(super) fn search(folder: &Path) -> Outcome<()> {
    let plain = plain_updates(folder)?;
    let texts = texts(folder)?;
    if plain.is_empty() || texts.is_empty() {
        return Err(Failure::Check(
            "the run left nothing to look for".to_owned(),
        ));
    }
    let updates: Vec<Plain<'_>> = plain
        .iter()
        .map(|words| Plain { words, values: &[] })
        .collect();
    let detector = Detector::new(&updates);
    works(&detector, &plain)?;
    let mut places = recordings(folder)?;
    if places.is_empty() {
        return Err(Failure::Check("nothing was recorded".to_owned()));
    }
    places.extend(files_below(&folder.join("aggregator"))?);
    let mut found = Vec::new();
    for place in &places {
        let content = fs::read(place).at(place)?;
        if let Some(leak) = detector.find(&content).first() {
            found.push(format!("{}: {leak:?}", place.display()));
        }
        if let Some(text) = contained(&content, &texts) {
            found.push(format!("{}: the text {text:?}", place.display()));
        }
    }
    eprintln!(
        "  {} files searched for {} plain updates and {} texts",
        places.len(),
        plain.len(),
        texts.len()
    );
    if found.is_empty() {
        Ok(())
    } else {
        Err(Failure::Check(found.join("\n")))
    }
}

/// The negative control: a plain update that is there is found, in either byte order.
fn works(detector: &Detector, plain: &[Vec<u32>]) -> Outcome<()> {
    for words in plain {
        let little: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let big: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        if detector.find(&little).is_empty() || detector.find(&big).is_empty() {
            return Err(Failure::Check(
                "the detector misses an update in the clear".to_owned(),
            ));
        }
    }
    Ok(())
}

fn plain_updates(folder: &Path) -> Outcome<Vec<Vec<u32>>> {
    let mut updates = Vec::new();
    for file in named(folder, "plain-")? {
        let bytes = fs::read(&file).at(&file)?;
        let words = bytes
            .chunks_exact(4)
            .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
            .collect();
        updates.push(words);
    }
    Ok(updates)
}

fn texts(folder: &Path) -> Outcome<BTreeSet<String>> {
    let mut texts = BTreeSet::new();
    for share in named(folder, "share-")? {
        let examples = data::read(&share)?;
        texts.extend(examples.into_iter().map(|example| example.text));
    }
    texts.retain(|text| text.len() >= LEAST_TEXT);
    Ok(texts)
}

fn recordings(folder: &Path) -> Outcome<Vec<PathBuf>> {
    named(folder, "tab-")
}

fn named(folder: &Path, start: &str) -> Outcome<Vec<PathBuf>> {
    let mut files = files_below(folder)?;
    files.retain(|file| {
        file.parent() == Some(folder)
            && file
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(start))
    });
    Ok(files)
}

/// The first of the texts that stands in the bytes.
fn contained<'a>(content: &[u8], texts: &'a BTreeSet<String>) -> Option<&'a str> {
    let starts: BTreeSet<[u8; 4]> = texts
        .iter()
        .filter_map(|text| text.as_bytes().first_chunk::<4>().copied())
        .collect();
    for (place, window) in content.windows(4).enumerate() {
        let start = [window[0], window[1], window[2], window[3]];
        if starts.contains(&start) {
            let rest = &content[place..];
            let text = texts.iter().find(|text| rest.starts_with(text.as_bytes()));
            if let Some(text) = text {
                return Some(text);
            }
        }
    }
    None
}

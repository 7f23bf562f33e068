//! What the model reads: prose of documentation, and the plays without what is held out of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{PretrainError, prose};
use crate::language::speakers::{self, SpeakersError};

/// One document of documentation in so many is held out.
const HELD_OUT_EVERY: usize = 50;
/// Fewest paragraphs of a document that counts.
const LEAST_PARAGRAPHS: usize = 3;
/// Bytes of a scene: the plays are one text, cut between speeches.
const SCENE_BYTES: usize = 4_000;
/// Parts of a path that hold lists of changes, not prose.
const CHANGES: [&str; 5] = ["changelog", "releases", "whats_new", "release", "announce"];

/// Texts to learn from, and texts to measure with.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Corpus {
    pub(crate) training: Vec<String>,
    /// Documentation that nobody reads before it is scored.
    pub(crate) held_out: Vec<String>,
}

impl Corpus {
    /// The documents below `folder`, and the plays of `plays` so many times.
    pub(crate) fn read(
        folder: &Path,
        plays: Option<&Path>,
        repeats: usize,
    ) -> Result<Self, PretrainError> {
        let mut corpus = Self::default();
        for (index, file) in files(folder)?.iter().enumerate() {
            let text = String::from_utf8_lossy(&bytes(file)?).into_owned();
            let paragraphs = prose::paragraphs(&text);
            if paragraphs.len() < LEAST_PARAGRAPHS {
                continue;
            }
            let documents = match index % HELD_OUT_EVERY {
                0 => &mut corpus.held_out,
                _ => &mut corpus.training,
            };
            documents.push(paragraphs.join("\n"));
        }
        if let Some(plays) = plays {
            let text = String::from_utf8_lossy(&bytes(plays)?).into_owned();
            let scenes = scenes(&text).map_err(|error| PretrainError::Content {
                path: plays.to_owned(),
                reason: error.to_string(),
            })?;
            for _ in 0..repeats {
                corpus.training.extend(scenes.iter().cloned());
            }
        }
        Ok(corpus)
    }
}

/// Plays as scenes of speeches, each with its speaker's name, in order; what is held out of a
/// speaker is left away, wherever its words stand.
pub(crate) fn scenes(text: &str) -> Result<Vec<String>, SpeakersError> {
    let speakers = speakers::speakers(text, 0)?;
    let held_out: BTreeMap<&str, BTreeSet<&str>> = speakers
        .iter()
        .map(|speaker| {
            let speeches = speaker.held_out.iter().map(String::as_str).collect();
            (speaker.name.as_str(), speeches)
        })
        .collect();
    let (mut scenes, mut scene) = (Vec::new(), String::new());
    for block in text.split("\n\n") {
        let Some((name, speech)) = block.trim().split_once(":\n") else {
            continue;
        };
        // A name with one speech has no part to learn from.
        let Some(held_out) = held_out.get(name) else {
            continue;
        };
        if held_out.contains(speech.trim()) {
            continue;
        }
        scene.push_str(&format!("{name}:\n{}\n\n", speech.trim()));
        if scene.len() >= SCENE_BYTES {
            scenes.push(core::mem::take(&mut scene));
        }
    }
    scenes.extend((!scene.is_empty()).then_some(scene));
    Ok(scenes)
}

/// The documents below a folder, by path.
fn files(folder: &Path) -> Result<Vec<PathBuf>, PretrainError> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let refused = |error| PretrainError::File {
            path: folder.clone(),
            error,
        };
        for entry in std::fs::read_dir(&folder).map_err(refused)? {
            let path = entry.map_err(refused)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if CHANGES.iter().any(|part| name.starts_with(part)) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|end| end == "rst" || end == "txt")
            {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn bytes(path: &Path) -> Result<Vec<u8>, PretrainError> {
    std::fs::read(path).map_err(|error| PretrainError::File {
        path: path.to_owned(),
        error,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn what_is_held_out_of_a_speaker_stands_in_no_scene() {
        let speech =
            |n: usize| format!("FIRST:\nSpeech number {n} of ten.\n\nSECOND:\nOnly {n}!\n");
        let text: Vec<String> = (0..10).map(speech).collect();
        let text = text.join("\n") + "\nTHIRD:\nOnce.\n";
        let scenes = scenes(&text).unwrap().concat();
        for speaker in speakers::speakers(&text, 0).unwrap() {
            assert!(!speaker.held_out.is_empty());
            for held_out in &speaker.held_out {
                assert!(!scenes.contains(held_out.as_str()), "{held_out}");
            }
            for trained in &speaker.training {
                assert!(scenes.contains(trained.as_str()), "{trained}");
            }
        }
        assert!(scenes.starts_with("FIRST:\nSpeech number 0 of ten.\n\nSECOND:\nOnly 0!\n\n"));
        assert!(!scenes.contains("Once."));
    }

    #[test]
    fn the_plays_held_out_speeches_are_in_no_scene() {
        let Some(shared) = std::env::var_os("CHOIR_SHARED") else {
            println!("skipped: CHOIR_SHARED names no folder with data/tinyshakespeare/input.txt");
            return;
        };
        let path = PathBuf::from(shared).join("data/tinyshakespeare/input.txt");
        let text = std::fs::read_to_string(path).unwrap();
        let scenes = scenes(&text).unwrap().concat();
        let mut speeches = 0;
        for speaker in speakers::speakers(&text, 5_000).unwrap() {
            for held_out in speaker.held_out {
                let whole = format!("{}:\n{held_out}\n\n", speaker.name);
                assert!(!scenes.contains(&whole), "{whole}");
                speeches += 1;
            }
        }
        println!(
            "{speeches} speeches held out, {} bytes to learn",
            scenes.len()
        );
        assert!(speeches > 500 && scenes.len() > 700_000);
    }
}

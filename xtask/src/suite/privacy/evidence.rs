//! What a witnessed run left behind, read into memory.

use crate::data;
use crate::demo::Witnessed;
use crate::failure::{AtPath, Failure, Outcome};
use crate::stamp::files_below;
use choir_shared::ids::{ClientIndex, Digest, RoundId, SignatureBytes};
use choir_shared::messages::Upload;
use choir_shared::wire;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Everything to search, and what to search for.
pub(super) struct Evidence {
    /// Where the run left it.
    pub(super) folder: PathBuf,
    /// Recordings of the tabs, states of the aggregator, its log: names and contents.
    pub(super) contents: Vec<(String, Vec<u8>)>,
    /// The visitors' texts.
    pub(super) texts: BTreeSet<String>,
    /// The two rounds.
    pub(super) rounds: [Round; 2],
}

/// One round of all tabs.
pub(super) struct Round {
    pub(super) id: RoundId,
    pub(super) tabs: Vec<Tab>,
}

/// One tab's part in a round.
pub(super) struct Tab {
    /// The plain integers.
    pub(super) words: Vec<u32>,
    /// The update's values.
    pub(super) values: Vec<f32>,
    /// Token ids of each text that it trained on.
    pub(super) rows: Vec<Vec<u32>>,
    /// What it uploaded.
    pub(super) masked: Vec<u8>,
}

impl Evidence {
    /// Reads what a run left.
    ///
    /// # Errors
    /// `File` or `Check` where something is missing.
    pub(super) fn read(witnessed: &Witnessed) -> Outcome<Self> {
        let folder = &witnessed.folder;
        let mut contents = Vec::new();
        let mut recordings = Vec::new();
        let mut texts = BTreeSet::new();
        for tab in 0.. {
            let recording = folder.join(format!("tab-{tab}.bin"));
            if !recording.exists() {
                break;
            }
            recordings.push(fs::read(&recording).at(&recording)?);
            let share = data::read(&folder.join(format!("share-{tab}.csv")))?;
            texts.extend(share.into_iter().map(|example| example.text));
        }
        for (tab, recording) in recordings.iter().enumerate() {
            contents.push((format!("what left tab {tab}"), recording.clone()));
        }
        for file in witnessed.states.iter().map(|state| files_below(state)) {
            for file in file? {
                let content = fs::read(&file).at(&file)?;
                let is_model = content.len() > SMALLEST_MODEL
                    && witnessed.published_before.contains(&Digest::of(&content));
                if !is_model {
                    let name = file.strip_prefix(folder).unwrap_or(&file);
                    contents.push((name.display().to_string(), content));
                }
            }
        }
        let [one, other] = witnessed.rounds;
        let rounds = [
            Round::read(folder, one, &recordings)?,
            Round::read(folder, other, &recordings)?,
        ];
        Ok(Self {
            folder: folder.clone(),
            contents,
            texts,
            rounds,
        })
    }
}

impl Round {
    fn read(folder: &Path, id: RoundId, recordings: &[Vec<u8>]) -> Outcome<Self> {
        let tabs = recordings
            .iter()
            .enumerate()
            .map(|(tab, recording)| Tab::read(folder, id, tab, recording))
            .collect::<Outcome<_>>()?;
        Ok(Self { id, tabs })
    }
}

impl Tab {
    fn read(folder: &Path, round: RoundId, tab: usize, recording: &[u8]) -> Outcome<Self> {
        let read = |name: &str| -> Outcome<Vec<u32>> {
            let file = folder.join(format!("{name}-{round}-{tab}.bin"));
            let bytes = fs::read(&file).at(&file)?;
            let words = bytes.chunks_exact(4);
            Ok(words
                .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
                .collect())
        };
        let words = read("plain")?;
        let tokens = read("tokens")?;
        let rows = read("starts")?
            .windows(2)
            .filter_map(|row| Some(tokens.get(row[0] as usize..row[1] as usize)?.to_vec()))
            .collect();
        let masked = upload(recording, round, words.len()).ok_or_else(|| {
            Failure::Check(format!("the upload of tab {tab} was not written down"))
        })?;
        Ok(Self {
            values: read("values")?.into_iter().map(f32::from_bits).collect(),
            words,
            rows,
            masked,
        })
    }
}

/// The masked words that a recording holds for that round.
fn upload(recording: &[u8], round: RoundId, words: usize) -> Option<Vec<u8>> {
    let length = wire::encode(&Upload {
        round,
        index: ClientIndex(0),
        signature: SignatureBytes([0; 64]),
        words: &vec![0; words * 4],
    })
    .len();
    recording
        .windows(length)
        .filter(|body| body[1..].starts_with(&round.0))
        .find_map(|body| {
            let upload: Upload<'_> = wire::decode(body, length).ok()?;
            (upload.words.len() == words * 4).then(|| upload.words.to_vec())
        })
}

/// Little-endian.
pub(super) fn bytes_of(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// The tokenizer's file is larger.
const SMALLEST_MODEL: usize = 400_000;

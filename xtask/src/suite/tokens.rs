//! Token ids: the page and the native tools read text by two different tokenizers, and one trains
//! what the other measures. Every text must have the same ids in both.

use super::counts::Counts;
use crate::data;
use crate::evaluator::Evaluator;
use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use crate::{program, setup};
use choir_shared::task::{TaskConfig, workload};
use choir_shared::wire;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A text, and where it stands.
struct Text {
    place: String,
    text: String,
}

/// Compares the ids of all texts there are.
pub(super) fn run(paths: &Paths, counts: &mut Counts) {
    let shared = env::var_os("CHOIR_SHARED").map(PathBuf::from);
    if shared.is_none() {
        counts.skip("token ids of Banking77: CHOIR_SHARED names no folder with it");
    }
    counts.check(
        "page and native tools give every text the same token ids",
        same_ids(paths, shared.as_deref()),
    );
}

fn same_ids(paths: &Paths, shared: Option<&Path>) -> Outcome<()> {
    let texts = texts(paths, shared)?;
    let folder = paths.out.join("tokens");
    fs::create_dir_all(&folder).at(&folder)?;
    let mut evaluator = Evaluator::start(paths)?;
    let step = Step::start(format!("token ids of {} texts", texts.len()));
    let agree = |page: &[Vec<u32>], native: &[Vec<u32>]| {
        first_difference(&texts, page, native).map_or(Ok(()), |text| Err(Failure::Check(text)))
    };
    for max_length in LENGTHS {
        step.detail(format!("at most {max_length} of a text"));
        let tokenizer = setup::model_files(paths).tokenizer;
        let reading = (tokenizer.as_path(), max_length.to_string());
        let page = page_ids(paths, &step, &folder, &texts, reading)?;
        agree(
            &page,
            &native_ids(&mut evaluator, &folder, &texts, max_length)?,
        )?;
    }
    step.detail("by the built-in decoder's tokenizer");
    let tokenizer = paths.decoder().join("tokenizer.json");
    let reading = (tokenizer.as_path(), PASSAGES.to_owned());
    let page = page_ids(paths, &step, &folder, &texts, reading)?;
    let all: Vec<&str> = texts.iter().map(|text| text.text.as_str()).collect();
    agree(&page, &evaluator.tokenize_passages(&tokenizer, &all)?)?;
    step.done("the same in the page and natively");
    Ok(())
}

/// The shipped sample, the hard texts, and Banking77 where it is at hand.
fn texts(paths: &Paths, shared: Option<&Path>) -> Outcome<Vec<Text>> {
    let mut texts = Vec::new();
    let hard = paths.root.join(HARD_TEXTS);
    let content = fs::read_to_string(&hard).at(&hard)?;
    let groups: BTreeMap<String, Vec<String>> = serde_json::from_str(&content)
        .map_err(|error| Failure::Data(format!("{HARD_TEXTS}: {error}")))?;
    for (group, members) in groups {
        for (index, text) in members.into_iter().enumerate() {
            let place = format!("{HARD_TEXTS}, {group}, text {}", index + 1);
            texts.push(Text { place, text });
        }
    }
    let banking = shared.into_iter().flat_map(|shared| {
        ["train.csv", "test.csv"].map(|name| shared.join("data/banking77").join(name))
    });
    for file in std::iter::once(paths.root.join(SAMPLE)).chain(banking) {
        for (index, example) in data::read(&file)?.into_iter().enumerate() {
            let place = format!("{}, example {}", file.display(), index + 1);
            let text = example.text;
            texts.push(Text { place, text });
        }
    }
    Ok(texts)
}

/// By the SDK's own source, in Node.
fn page_ids(
    paths: &Paths,
    step: &Step,
    folder: &Path,
    texts: &[Text],
    (tokenizer, reading): (&Path, String),
) -> Outcome<Vec<Vec<u32>>> {
    let file = folder.join("texts.jsonl");
    let lines: String = texts
        .iter()
        .map(|text| format!("{}\n", serde_json::Value::from(text.text.as_str())))
        .collect();
    fs::write(&file, lines).at(&file)?;
    let mut node = Command::new("node");
    node.current_dir(paths.root.join("web"))
        .arg("tools/token_ids.mjs")
        .arg(tokenizer)
        .arg(reading)
        .arg(&file);
    program::run(step, &mut node)?
        .lines()
        .map(|line| {
            serde_json::from_str(line)
                .map_err(|error| Failure::Data(format!("token_ids.mjs printed {line:?}: {error}")))
        })
        .collect()
}

/// By the evaluator.
fn native_ids(
    evaluator: &mut Evaluator,
    folder: &Path,
    texts: &[Text],
    max_length: u16,
) -> Outcome<Vec<Vec<u32>>> {
    let config = folder.join(format!("longest-{max_length}.task"));
    let task = TaskConfig {
        max_length,
        ..workload::encoder()
    };
    fs::write(&config, wire::encode(&task)).at(&config)?;
    let mut ids = Vec::with_capacity(texts.len());
    for part in texts.chunks(TEXTS_OF_A_JOB) {
        let part: Vec<&str> = part.iter().map(|text| text.text.as_str()).collect();
        ids.extend(evaluator.tokenize(&config, &part)?);
    }
    Ok(ids)
}

/// Names the first text whose ids differ.
fn first_difference(texts: &[Text], page: &[Vec<u32>], native: &[Vec<u32>]) -> Option<String> {
    let expected = texts.len();
    if page.len() != expected || native.len() != expected {
        let (page, native) = (page.len(), native.len());
        return Some(format!(
            "of {expected} texts the page read {page} and the native tools {native}"
        ));
    }
    let pairs = texts.iter().zip(page.iter().zip(native));
    let (text, (page, native)) = pairs
        .into_iter()
        .find(|(_, (page, native))| page != native)?;
    let agreeing = page.iter().zip(native).take_while(|(a, b)| a == b).count();
    let rest = |ids: &[u32]| ids[agreeing..].iter().take(SHOWN_IDS).copied().collect();
    let (page, native): (Vec<u32>, Vec<u32>) = (rest(page), rest(native));
    let shown: String = text.text.chars().take(SHOWN_CHARACTERS).collect();
    Some(format!(
        "{}, {shown:?}: token ids differ from the {}th on: the page has {page:?}, the native tools \
         {native:?}",
        text.place,
        agreeing + 1,
    ))
}

const HARD_TEXTS: &str = "web/test/hard_texts.json";
const SAMPLE: &str = "web/demo/sample/intents.csv";
/// Longest texts to cut to: one that cuts many, and the longest that the model takes.
const LENGTHS: [u16; 2] = [16, 512];
/// Reads texts as a decoder's passages, whole.
const PASSAGES: &str = "passages";
const TEXTS_OF_A_JOB: usize = 500;
const SHOWN_IDS: usize = 8;
const SHOWN_CHARACTERS: usize = 80;

#[cfg(test)]
mod tests {
    use super::{Text, first_difference};

    fn texts() -> [Text; 2] {
        ["first", "second"].map(|name| Text {
            place: name.to_owned(),
            text: format!("{name} text"),
        })
    }

    #[test]
    fn the_first_text_that_differs_is_named_with_the_ids_that_do() {
        let page = [vec![1, 2], vec![1, 5, 2]];
        let native = [vec![1, 2], vec![1, 6, 7, 2]];
        assert_eq!(first_difference(&texts(), &page, &page), None);
        let named = first_difference(&texts(), &page, &native).expect("a difference");
        assert!(named.starts_with("second, \"second text\""), "{named}");
        assert!(
            named.contains("[5, 2]") && named.contains("[6, 7, 2]"),
            "{named}"
        );
    }

    #[test]
    fn a_text_without_ids_is_a_difference() {
        let page = [vec![1, 2], vec![1, 2]];
        let named = first_difference(&texts(), &page, &page[..1]).expect("a difference");
        assert!(named.contains("2 and the native tools 1"), "{named}");
    }
}

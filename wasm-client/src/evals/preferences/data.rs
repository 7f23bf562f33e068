//! Pairs of HH-RLHF as rows.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::Settings;
use crate::evals::{EvalError, read};
use crate::language::dataset::{Row, prompt_and_response};
use crate::language::llama2c::{BEGIN, END, Llama2cTokenizer};
use crate::language::preferences::{Preference, Preferences};

/// The largest text that is taken out of the archive.
const LARGEST_TEXT: u64 = 64 << 20;

/// The file in the folder of shared data.
pub(super) fn path(shared: &Path) -> PathBuf {
    shared.join("data/hh_rlhf/harmless_base_test.jsonl.gz")
}

/// Reads the pairs.
///
/// # Errors
/// [`EvalError::File`], [`EvalError::Content`].
pub fn pairs(shared: &Path) -> Result<Preferences, EvalError> {
    let path = path(shared);
    let archive = read(&path)?;
    let mut text = String::new();
    let unpacked = GzDecoder::new(&archive[..])
        .take(LARGEST_TEXT)
        .read_to_string(&mut text);
    let content = |reason: String| EvalError::Content {
        path: path.clone(),
        reason,
    };
    unpacked.map_err(|error| content(error.to_string()))?;
    Preferences::read(&text).map_err(|error| content(error.to_string()))
}

/// The last tokens of a pair's prompt, the begin token first.
pub fn prompt(pair: &Preference, settings: &Settings, tokenizer: &Llama2cTokenizer) -> Vec<u32> {
    let prompt = tokenizer.encode(&pair.prompt, false);
    let cut = prompt.len().saturating_sub(settings.prompt_tokens);
    let mut tokens = vec![BEGIN];
    tokens.extend_from_slice(&prompt[cut..]);
    tokens
}

/// Both answers after the same end of the prompt, the chosen one first. An answer is cut at the
/// same length as the other; one that is not cut ends with the end token.
///
/// # Errors
/// [`EvalError::Content`] if an answer has no token.
pub fn rows(
    pair: &Preference,
    settings: &Settings,
    tokenizer: &Llama2cTokenizer,
) -> Result<[Row; 2], EvalError> {
    let prompt = prompt(pair, settings, tokenizer);
    let row = |answer: &str| {
        let mut answer = tokenizer.encode(answer.trim(), false);
        answer.push(END);
        answer.truncate(settings.response_tokens);
        let context = prompt.len() + settings.response_tokens;
        prompt_and_response(None, &prompt, &answer, context).map_err(|error| EvalError::Content {
            path: PathBuf::from("harmless_base_test.jsonl.gz"),
            reason: error.to_string(),
        })
    };
    Ok([row(&pair.chosen)?, row(&pair.rejected)?])
}

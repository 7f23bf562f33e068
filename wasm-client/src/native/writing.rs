//! Jobs of a language task: texts of speakers, version 0, and what an adapter is worth on a text.

use std::fs;
use std::path::Path;

use choir_shared::task::{AdapterLayout, Payload, TaskConfig};

use super::base::CpuEngine;
use super::text_tokenizer::TextTokenizer;
use super::{Answer, NativeError, read, read_floats, read_task, read_text, write_floats};
use crate::adapter::initial::{Sources, initial_adapter};
use crate::engine::cpu::CpuKernels;
use crate::language::bits::{bits_per_character, characters};
use crate::language::dataset::pack;
use crate::language::passages::{joined, passages};
use crate::language::speakers::{Speaker, speakers};
use crate::train::TrainError;
use crate::train::language_task::LanguageTaskTrainer;

/// Speakers with less to say are no clients.
const LEAST_BYTES: usize = 1_000;

/// What an adapter is scored with.
pub(super) struct Files<'a> {
    pub(super) task: &'a Path,
    pub(super) weights: &'a Path,
    pub(super) tokenizer: &'a Path,
    pub(super) adapter: &'a Path,
    pub(super) data: &'a Path,
}

/// Writes the texts of the speakers with most to say, and what of theirs is held out.
pub(super) fn deal(data: &Path, count: usize, out: &Path) -> Result<Answer, NativeError> {
    let mut found = speakers(&read_text(data)?, LEAST_BYTES)
        .map_err(|error| unusable(data, &error.to_string()))?;
    let bytes = |speaker: &Speaker| speaker.training.iter().map(String::len).sum::<usize>();
    found.sort_by_key(|speaker| core::cmp::Reverse(bytes(speaker)));
    if found.len() < count {
        return Err(unusable(data, &format!("it has {} speakers", found.len())));
    }
    found.truncate(count);
    for (number, speaker) in found.iter().enumerate() {
        let file = out.join(format!("speaker-{number}.txt"));
        write(&file, &joined(&speaker.training))?;
    }
    let held_out: Vec<String> = found
        .iter()
        .flat_map(|speaker| speaker.held_out.clone())
        .collect();
    write(&out.join("held-out.txt"), &joined(&held_out))?;
    Ok(Answer {
        count: Some(held_out.len()),
        names: Some(found.into_iter().map(|speaker| speaker.name).collect()),
        ..Answer::default()
    })
}

/// Writes version 0, by the task's seed.
pub(super) fn version_zero(task: &Path, out: &Path) -> Result<Answer, NativeError> {
    let task = language_task(task)?;
    let layout = AdapterLayout::new(&task)?;
    let values = initial_adapter(&task, &layout, Sources::default())?;
    Ok(Answer {
        count: Some(values.len()),
        digest: Some(write_floats(out, &values)?),
        ..Answer::default()
    })
}

/// The mean loss of a token of the text, and the bits of a character.
pub(super) fn score(files: &Files<'_>) -> Result<Answer, NativeError> {
    let task = language_task(files.task)?;
    let tokenizer = TextTokenizer::read(&task, files.tokenizer)?;
    let passages = passages(&read_text(files.data)?);
    let tokens: Vec<Vec<u32>> = passages
        .iter()
        .map(|passage| tokenizer.encode(passage))
        .collect::<Result<_, _>>()?;
    let tokens = tokens.iter().map(Vec::as_slice);
    let rows = pack(tokens, tokenizer.begin(), task.max_length.into())
        .map_err(|error| unusable(files.data, &error.to_string()))?;
    let mut trainer = LanguageTaskTrainer::new(CpuEngine::new(CpuKernels::new()), task)?;
    trainer.add_weights(&read(files.weights)?)?;
    trainer.finish_weights()?;
    trainer.set_adapter(&read_floats(files.adapter)?)?;
    let score = pollster::block_on(trainer.score(&rows))?;
    let characters = passages.iter().map(|passage| characters(passage)).sum();
    Ok(Answer {
        loss: Some(score.mean() as f32),
        bits_per_character: bits_per_character(score.nats, characters),
        count: Some(score.tokens),
        ..Answer::default()
    })
}

/// The token ids of each passage.
pub(super) fn tokenize(tokenizer: &Path, texts: &[String]) -> Result<Answer, NativeError> {
    let tokenizer = TextTokenizer::read_json(tokenizer)?;
    let ids = texts.iter().map(|text| tokenizer.encode(text));
    Ok(Answer {
        ids: Some(ids.collect::<Result<_, _>>()?),
        ..Answer::default()
    })
}

fn language_task(path: &Path) -> Result<TaskConfig, NativeError> {
    let task = read_task(path)?;
    task.check()?;
    if matches!(task.payload, Payload::Language(_)) {
        return Ok(task);
    }
    Err(TrainError::Kind {
        expected: "a decoder",
        found: "an encoder",
    }
    .into())
}

fn write(path: &Path, text: &str) -> Result<(), NativeError> {
    fs::write(path, text).map_err(|error| NativeError::File {
        path: path.to_owned(),
        error,
    })
}

fn unusable(path: &Path, reason: &str) -> NativeError {
    NativeError::Text {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

//! Native tools: the same model and training on a task's files, one JSON job a line.

use std::fs;
use std::path::Path;

use choir_shared::ids::Digest;
use choir_shared::task::{AdapterLayout, TaskConfig};
use choir_shared::wire::{self, limits};
use serde::Serialize;

use crate::adapter::initial::{Sources, centroid_head, initial_adapter, prompt_tokens};
use crate::train::batch::Examples;
use base::Base;
use data::Table;
use job::{Job, Start, Training};
use progress::Progress;

pub mod base;
pub mod data;
pub mod error;
pub mod job;
mod parts;
#[cfg(feature = "sim")]
pub(crate) mod picture;
mod progress;
pub(crate) mod run;
pub(crate) mod text_tokenizer;
mod writing;

pub use error::NativeError;

/// Length of a head's columns made of centroids: the loss of all-MiniLM-L6-v2 on Banking77 is lowest
/// near it (0.66; 1.1 at 2, 0.89 at 10).
pub const HEAD_SCALE: f32 = 4.0;

/// What a job answers with, one line of JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Answer {
    /// Share of right predictions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f32>,
    /// Mean cross-entropy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f32>,
    /// Examples measured, or values written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    /// Rows of the data whose label the task does not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<usize>,
    /// Texts that were cut to the task's length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncated: Option<usize>,
    /// SHA-256 of the file written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Bits of a character of a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits_per_character: Option<f64>,
    /// Names of speakers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
    /// Token ids of each text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<Vec<u32>>>,
}

/// Does jobs; keeps the model between them.
#[derive(Default)]
pub struct Evaluator {
    base: Option<Base>,
}

impl Evaluator {
    /// Does one job.
    ///
    /// # Errors
    /// [`NativeError`]; the next job can be done all the same.
    pub fn run(&mut self, job: &Job) -> Result<Answer, NativeError> {
        match job {
            Job::Evaluate { start, data } => {
                let (task, base) = self.open(start)?;
                let texts = Texts::read(&task, base, data)?;
                let mut trainer = run::trainer(&task, base, start, None)?;
                run::evaluate(&mut trainer, &texts)
            }
            Job::TrainAlone {
                start,
                data,
                test,
                training,
            } => {
                let Training { steps, seed, parts } = training;
                let (task, base) = self.open(start)?;
                let texts = Texts::read(&task, base, data)?;
                let test = Texts::read(&task, base, test)?;
                let mut trainer = run::trainer(&task, base, start, parts.as_deref())?;
                run::train(&mut trainer, texts.examples, *steps, *seed)?;
                let answer = run::evaluate(&mut trainer, &test)?;
                if let Some(out) = &start.out {
                    write_floats(out, &pollster::block_on(trainer.adapter())?)?;
                }
                Ok(answer)
            }
            Job::CentroidAccuracy { start, data, test } => {
                let (task, base) = self.open(start)?;
                let texts = Texts::read(&task, base, data)?;
                let test = Texts::read(&task, base, test)?;
                let payload = centroids(&task, base, &texts.examples)?;
                let head = head_of(&task, &payload, start)?;
                let mut trainer = run::head_trainer(&task, base, &head)?;
                run::evaluate(&mut trainer, &test)
            }
            Job::Centroids { start, data } => {
                let (task, base) = self.open(start)?;
                let texts = Texts::read(&task, base, data)?;
                let payload = centroids(&task, base, &texts.examples)?;
                written(start, &payload)
            }
            Job::InitialAdapter { start } => {
                let (task, base) = self.open(start)?;
                written(start, &version_zero(&task, base, start)?)
            }
            Job::DealSpeakers {
                data,
                speakers,
                out,
            } => writing::deal(data, *speakers, out),
            Job::InitialLanguageAdapter { task, out } => writing::version_zero(task, out),
            Job::ScoreText {
                task,
                weights,
                tokenizer,
                adapter,
                data,
            } => writing::score(&writing::Files {
                task,
                weights,
                tokenizer,
                adapter,
                data,
            }),
            Job::TokenizePassages { tokenizer, texts } => writing::tokenize(tokenizer, texts),
            Job::Tokenize { start, texts } => {
                let (task, base) = self.open(start)?;
                let (ids, truncated) = base.tokenize(texts, usize::from(task.max_length))?;
                Ok(Answer {
                    ids: Some(ids),
                    truncated: Some(truncated),
                    ..Answer::default()
                })
            }
        }
    }

    /// The task, and the model that it names, loaded if it is not the last one.
    fn open(&mut self, start: &Start) -> Result<(TaskConfig, &Base), NativeError> {
        let task = read_task(&start.task)?;
        let base = match self.base.take() {
            Some(base) if base.is(&start.model_dir, &task.base.shape) => base,
            _ => Base::load(&start.model_dir, &task.base.shape)?,
        };
        Ok((task, self.base.insert(base)))
    }
}

/// Labelled texts as token ids.
struct Texts {
    examples: Examples,
    skipped: usize,
    truncated: usize,
}

impl Texts {
    fn read(task: &TaskConfig, base: &Base, path: &Path) -> Result<Self, NativeError> {
        let table = Table::read(path, &task.labels)?;
        let (ids, truncated) = base.tokenize(&table.texts, usize::from(task.max_length))?;
        let examples = Examples::pack(ids.iter().map(Vec::as_slice), table.labels)?;
        Ok(Self {
            examples,
            skipped: table.skipped,
            truncated,
        })
    }
}

/// The centroids payload of these examples, with progress.
fn centroids(task: &TaskConfig, base: &Base, examples: &Examples) -> Result<Vec<f32>, NativeError> {
    let mut progress = Progress::new("texts embedded", examples.len());
    Ok(run::centroids(task, base, examples, |done| {
        progress.at(done, String::new);
    })?)
}

/// Version 0 of the task's adapter, or the adapter that the job starts from.
fn version_zero(task: &TaskConfig, base: &Base, start: &Start) -> Result<Vec<f32>, NativeError> {
    if let Some(path) = &start.adapter {
        return read_floats(path);
    }
    let layout = AdapterLayout::new(task)?;
    let prompt = base.word_embeddings(&prompt_tokens(task, &layout))?;
    let head = match &start.centroids {
        Some(path) => Some(head_of(task, &read_floats(path)?, start)?),
        None => None,
    };
    Ok(initial_adapter(
        task,
        &layout,
        Sources {
            prompt: &prompt,
            head: head.as_deref(),
        },
    )?)
}

fn head_of(task: &TaskConfig, payload: &[f32], start: &Start) -> Result<Vec<f32>, NativeError> {
    let (dim, labels) = (task.base.shape.dim as usize, task.labels.len());
    let scale = start.head_scale.unwrap_or(HEAD_SCALE);
    Ok(centroid_head(payload, dim, labels, scale)?)
}

fn read_task(path: &Path) -> Result<TaskConfig, NativeError> {
    let bytes = read(path)?;
    let task = if path
        .extension()
        .is_some_and(|extension| extension == "json")
    {
        serde_json::from_slice(&bytes).map_err(|error| NativeError::Task(error.to_string()))?
    } else {
        wire::decode::<TaskConfig>(&bytes, limits::TASK_CONFIG)
            .map_err(|error| NativeError::Task(error.to_string()))?
    };
    Ok(task)
}

fn read(path: &Path) -> Result<Vec<u8>, NativeError> {
    fs::read(path).map_err(|error| NativeError::File {
        path: path.to_owned(),
        error,
    })
}

/// A file of UTF-8.
pub(crate) fn read_text(path: &Path) -> Result<String, NativeError> {
    String::from_utf8(read(path)?).map_err(|_| NativeError::Text {
        path: path.to_owned(),
        reason: "it is no UTF-8".to_owned(),
    })
}

/// A file of little-endian f32.
fn read_floats(path: &Path) -> Result<Vec<f32>, NativeError> {
    let bytes = read(path)?;
    let (values, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(NativeError::Floats {
            path: path.to_owned(),
            bytes: bytes.len(),
        });
    }
    Ok(values
        .iter()
        .map(|value| f32::from_le_bytes(*value))
        .collect())
}

fn write_floats(path: &Path, values: &[f32]) -> Result<Digest, NativeError> {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    fs::write(path, &bytes).map_err(|error| NativeError::File {
        path: path.to_owned(),
        error,
    })?;
    Ok(Digest::of(&bytes))
}

fn written(start: &Start, values: &[f32]) -> Result<Answer, NativeError> {
    let out = start.out.as_deref().ok_or(NativeError::NoOutput)?;
    let digest = write_floats(out, values)?;
    Ok(Answer {
        count: Some(values.len()),
        digest: Some(digest),
        ..Answer::default()
    })
}

//! Lessons of a language task: the task's decoder, and rows of tokens of a client's own text, as a tab
//! makes them.

use std::path::{Path, PathBuf};

use choir_shared::ids::Digest;
use choir_shared::task::TaskConfig;

use super::error::ClientError;
use super::training::Lesson;
use super::updates::Update;
use crate::engine::cpu::CpuKernels;
use crate::language::dataset::{Row, pack};
use crate::native::NativeError;
use crate::native::base::CpuEngine;
use crate::native::text_tokenizer::TextTokenizer;
use crate::train::language_task::LanguageTaskTrainer;

/// A thread's decoder of one task.
pub(super) struct Writer {
    task: Digest,
    tokenizer: TextTokenizer,
    trainer: LanguageTaskTrainer<CpuEngine>,
}

impl Writer {
    /// Loads the decoder of a task from the files of `folder` that it names by their digests, whatever
    /// they are called.
    ///
    /// # Errors
    /// [`ClientError::BaseModel`] where one is not there.
    pub(super) fn open(folder: &Path, task: &TaskConfig) -> Result<Self, ClientError> {
        let files = Files::list(folder)?;
        let base = &task.base;
        let (_, weights) = files.find(base.weights, Some(base.weights_bytes))?;
        let (tokenizer, _) = files.find(base.tokenizer, None)?;
        let engine = CpuEngine::new(CpuKernels::new());
        let mut trainer = LanguageTaskTrainer::new(engine, task.clone())?;
        trainer.add_weights(&weights)?;
        trainer.finish_weights()?;
        Ok(Self {
            task: task.digest(),
            tokenizer: TextTokenizer::read(task, &tokenizer)?,
            trainer,
        })
    }

    /// Whether it is this task's.
    pub(super) fn is_of(&self, task: &TaskConfig) -> bool {
        self.task == task.digest()
    }

    /// Trains on these passages.
    ///
    /// # Errors
    /// [`ClientError::NoText`] where they make no row.
    pub(super) fn train(
        &mut self,
        lesson: &Lesson,
        passages: &[String],
    ) -> Result<Update, ClientError> {
        let rows = self.rows(passages, lesson.task.max_length.into())?;
        let examples = rows.len() as u32;
        self.trainer.set_adapter(&lesson.start)?;
        self.trainer.set_rows(rows, lesson.seed)?;
        let steps = u32::from(lesson.task.training.local_steps);
        let losses = pollster::block_on(self.trainer.steps(steps))?;
        let after = pollster::block_on(self.trainer.adapter())?;
        let moved = after.iter().zip(&lesson.start);
        Ok(Update {
            values: moved.map(|(after, before)| after - before).collect(),
            examples,
            steps,
            loss: losses.last().copied(),
        })
    }

    fn rows(&self, passages: &[String], context: usize) -> Result<Vec<Row>, ClientError> {
        let tokens: Vec<Vec<u32>> = passages
            .iter()
            .map(|passage| self.tokenizer.encode(passage))
            .collect::<Result<_, _>>()?;
        let tokens = tokens.iter().map(Vec::as_slice);
        let rows = pack(tokens, self.tokenizer.begin(), context);
        let mut rows = rows.map_err(|_| ClientError::NoText)?;
        rows.retain(|row| row.scored() > 0);
        if rows.is_empty() {
            return Err(ClientError::NoText);
        }
        Ok(rows)
    }
}

/// The files of a folder, with their sizes.
struct Files(Vec<(PathBuf, u64)>);

impl Files {
    fn list(folder: &Path) -> Result<Self, NativeError> {
        let failed = |error| NativeError::File {
            path: folder.to_owned(),
            error,
        };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let metadata = entry.metadata().map_err(failed)?;
            if metadata.is_file() && metadata.len() <= MOST_BYTES {
                files.push((entry.path(), metadata.len()));
            }
        }
        Ok(Self(files))
    }

    /// The file of this digest, and its bytes.
    fn find(&self, digest: Digest, bytes: Option<u64>) -> Result<(PathBuf, Vec<u8>), ClientError> {
        let likely = |&&(_, len): &&(PathBuf, u64)| bytes.is_none_or(|bytes| bytes == len);
        for (path, _) in self.0.iter().filter(likely) {
            let read = std::fs::read(path).map_err(|error| NativeError::File {
                path: path.clone(),
                error,
            })?;
            if Digest::of(&read) == digest {
                return Ok((path.clone(), read));
            }
        }
        Err(ClientError::BaseModel)
    }
}

/// No file of a task's base model is longer.
const MOST_BYTES: u64 = 1 << 32;

//! The base model of a task, loaded once: encoder, tokenizer, word embeddings.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use choir_shared::task::EncoderShape;
use tokenizers::Tokenizer;

use super::error::NativeError;
use super::progress::Progress;
use crate::engine::cpu::{CpuBuffer, CpuKernels};
use crate::engine::quantised::WeightPrecision;
use crate::engine::record::{Recorded, Value};
use crate::engine::{Engine, EngineError};
use crate::model::Encoder;
use crate::model::loader::EncoderLoader;

/// The engine of the native tools.
pub type CpuEngine = Recorded<CpuKernels>;

/// A loaded base model. Its tensors serve any number of engines.
pub struct Base {
    folder: PathBuf,
    precision: WeightPrecision,
    encoder: Encoder<Value<CpuBuffer>>,
    tokenizer: Tokenizer,
}

impl Base {
    /// Loads the model in `folder`.
    ///
    /// # Errors
    /// [`NativeError::File`], [`NativeError::Load`] or [`NativeError::Tokenizer`].
    pub fn load(folder: &Path, shape: &EncoderShape) -> Result<Self, NativeError> {
        Self::load_in(folder, shape, WeightPrecision::F32)
    }

    /// Loads the model in `folder` with its frozen matrices in this precision.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_in(
        folder: &Path,
        shape: &EncoderShape,
        precision: WeightPrecision,
    ) -> Result<Self, NativeError> {
        Ok(Self {
            folder: folder.to_owned(),
            precision,
            encoder: load_encoder(&folder.join("model.safetensors"), shape, precision)?,
            tokenizer: load_tokenizer(&folder.join("tokenizer.json"))?,
        })
    }

    /// Whether it is the model of this folder and shape.
    pub fn is(&self, folder: &Path, shape: &EncoderShape) -> bool {
        self.folder == folder && self.encoder.shape() == shape
    }

    /// What its frozen matrices are kept in.
    pub fn precision(&self) -> WeightPrecision {
        self.precision
    }

    /// The encoder, on tensors that every [`CpuEngine`] can use.
    pub fn encoder(&self) -> Encoder<Value<CpuBuffer>> {
        self.encoder.clone()
    }

    /// Token ids of texts, special tokens included: of more than `max_length` the first piece, as
    /// many as fit, and the last. Yields how many were cut.
    ///
    /// # Errors
    /// [`NativeError::Tokenizer`].
    pub fn tokenize<S: AsRef<str>>(
        &self,
        texts: &[S],
        max_length: usize,
    ) -> Result<(Vec<Vec<u32>>, usize), NativeError> {
        let texts: Vec<&str> = texts.iter().map(S::as_ref).collect();
        let encodings = self
            .tokenizer
            .encode_batch(texts, true)
            .map_err(tokenizer_error)?;
        let mut truncated = 0;
        let cut = |ids: &[u32]| match ids.split_last() {
            Some((last, before)) if ids.len() > max_length => {
                truncated += 1;
                [&before[..max_length.saturating_sub(1)], &[*last]].concat()
            }
            _ => ids.to_vec(),
        };
        let ids = encodings
            .iter()
            .map(|encoding| encoding.get_ids())
            .map(cut)
            .collect();
        Ok((ids, truncated))
    }

    /// Rows of the word embeddings, `[tokens, dim]`.
    ///
    /// # Errors
    /// [`EngineError::OutOfRange`] for a token outside the vocabulary.
    pub fn word_embeddings(&self, tokens: &[u32]) -> Result<Vec<f32>, EngineError> {
        let dim = self.encoder.shape().dim as usize;
        let table = self.encoder.word_table();
        let values = pollster::block_on(CpuEngine::new(CpuKernels::new()).read(table))?;
        let mut rows = Vec::with_capacity(tokens.len() * dim);
        for &token in tokens {
            let value = token as usize;
            let row = values
                .chunks_exact(dim)
                .nth(value)
                .ok_or(EngineError::OutOfRange {
                    what: "token id",
                    value,
                    limit: values.len() / dim,
                })?;
            rows.extend_from_slice(row);
        }
        Ok(rows)
    }
}

fn load_encoder(
    path: &Path,
    shape: &EncoderShape,
    precision: WeightPrecision,
) -> Result<Encoder<Value<CpuBuffer>>, NativeError> {
    let failed = |error| NativeError::File {
        path: path.to_owned(),
        error,
    };
    let mut engine = CpuEngine::new(CpuKernels::new());
    let mut loader = EncoderLoader::new(*shape).in_precision(precision);
    let mut file = File::open(path).map_err(failed)?;
    let total = file.metadata().map_err(failed)?.len() as usize;
    let mut progress = Progress::new("bytes of the model", total);
    let mut chunk = vec![0; 1 << 20];
    let mut done = 0;
    loop {
        let len = file.read(&mut chunk).map_err(failed)?;
        if len == 0 {
            return Ok(loader.finish()?);
        }
        loader.push(&mut engine, &chunk[..len])?;
        done += len;
        progress.at(done, String::new);
    }
}

/// The tokenizer without any padding or truncation that its file asks for.
fn load_tokenizer(path: &Path) -> Result<Tokenizer, NativeError> {
    let mut tokenizer = Tokenizer::from_file(path).map_err(tokenizer_error)?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(tokenizer_error)?;
    Ok(tokenizer)
}

fn tokenizer_error(error: tokenizers::Error) -> NativeError {
    NativeError::Tokenizer(error.to_string())
}

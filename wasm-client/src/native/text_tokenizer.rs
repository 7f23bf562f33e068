//! The tokenizer of a language task's decoder, of either kind.

use std::path::Path;

use choir_shared::task::{BaseFiles, Payload, TaskConfig};
use tokenizers::Tokenizer;

use super::{NativeError, read};
use crate::language::llama2c::{BEGIN, Llama2cTokenizer};

/// What the token before a text is called, the likeliest first, where the file puts none there.
const BEGINS: [&str; 4] = ["<|begin_of_text|>", "<s>", "<bos>", "<|endoftext|>"];

fn refused(error: &dyn core::fmt::Display) -> NativeError {
    NativeError::Tokenizer(error.to_string())
}

/// Text to tokens.
pub(crate) enum TextTokenizer {
    Llama2c(Llama2cTokenizer),
    /// With the token that begins a text.
    HuggingFace(Box<Tokenizer>, u32),
}

impl TextTokenizer {
    /// Reads the file of this task's decoder.
    pub(crate) fn read(task: &TaskConfig, path: &Path) -> Result<Self, NativeError> {
        let files = match &task.payload {
            Payload::Language(language) => language.files,
            _ => BaseFiles::HuggingFace,
        };
        if files == BaseFiles::HuggingFace {
            return Self::read_json(path);
        }
        let vocabulary = task.base.shape.vocabulary as usize;
        let tokenizer = Llama2cTokenizer::read(&read(path)?, vocabulary);
        Ok(Self::Llama2c(tokenizer.map_err(|error| refused(&error))?))
    }

    /// Reads a `tokenizer.json`.
    pub(crate) fn read_json(path: &Path) -> Result<Self, NativeError> {
        let tokenizer = Tokenizer::from_bytes(read(path)?).map_err(|error| refused(&error))?;
        let empty = tokenizer
            .encode("", true)
            .map_err(|error| refused(&error))?;
        let named = || BEGINS.iter().find_map(|name| tokenizer.token_to_id(name));
        let begin = empty.get_ids().first().copied().or_else(named);
        let begin = begin.ok_or_else(|| refused(&"it has no token that begins a text"))?;
        Ok(Self::HuggingFace(Box::new(tokenizer), begin))
    }

    /// The token before a text.
    pub(crate) fn begin(&self) -> u32 {
        match self {
            Self::Llama2c(_) => BEGIN,
            Self::HuggingFace(_, begin) => *begin,
        }
    }

    /// The tokens of a text, without that one.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>, NativeError> {
        match self {
            Self::Llama2c(tokenizer) => Ok(tokenizer.encode(text, false)),
            Self::HuggingFace(tokenizer, _) => tokenizer
                .encode(text, false)
                .map(|encoding| encoding.get_ids().to_vec())
                .map_err(|error| refused(&error)),
        }
    }
}

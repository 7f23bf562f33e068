//! The tokenizer of llama2.c's checkpoints, for JavaScript.

use wasm_bindgen::prelude::wasm_bindgen;

use super::error::ApiError;
use crate::language::llama2c::{self, BEGIN, END, TokenizerError};

/// Text to tokens and back.
#[wasm_bindgen]
pub struct Llama2cTokenizer {
    inner: llama2c::Llama2cTokenizer,
}

#[wasm_bindgen]
impl Llama2cTokenizer {
    /// Reads a `tok*.bin` of so many tokens.
    #[wasm_bindgen(constructor)]
    pub fn new(bytes: &[u8], vocabulary: usize) -> Result<Self, ApiError> {
        let inner = llama2c::Llama2cTokenizer::read(bytes, vocabulary)?;
        Ok(Self { inner })
    }

    /// A text's tokens, with the begin token before them or not.
    pub fn encode(&self, text: &str, begin: bool) -> Vec<u32> {
        self.inner.encode(text, begin)
    }

    /// The text of tokens.
    pub fn decode(&self, tokens: Vec<u32>) -> Result<String, ApiError> {
        Ok(self.inner.decode(&tokens)?)
    }

    /// The token at the start of a text.
    #[wasm_bindgen(getter)]
    pub fn begin(&self) -> u32 {
        BEGIN
    }

    /// The token at the end of a text.
    #[wasm_bindgen(getter)]
    pub fn end(&self) -> u32 {
        END
    }
}

impl From<TokenizerError> for ApiError {
    fn from(error: TokenizerError) -> Self {
        Self::new("bad-input", &error)
    }
}

//! The tokenizer of llama2.c's `tok*.bin` files (karpathy/llama2.c:run.c, `build_tokenizer`,
//! `encode`, `decode`): byte-pair merges by score over the code points of a text, with bytes for
//! code points that are no token.
//!
//! run.c looks at every pair before every merge. Here a heap holds the pairs, so that a long text
//! takes n log n steps; the merges and their order are the same.

mod decoding;
mod merges;

use std::collections::BTreeMap;

pub use decoding::Decoder;

/// The token at the start of a text.
pub const BEGIN: u32 = 1;
/// The token at the end of a text.
pub const END: u32 = 2;
/// The token of byte 0; the other bytes follow it.
const FIRST_BYTE: u32 = 3;
/// Three special tokens and the bytes.
const SMALLEST_VOCABULARY: usize = FIRST_BYTE as usize + 256;
/// Longest token that is accepted, in bytes.
const LONGEST_TOKEN: u32 = 1 << 10;

/// What can be wrong with a tokenizer's file or with tokens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// Not even the special tokens and the bytes would fit.
    #[error("a vocabulary of {0} tokens has no room for 3 special tokens and 256 bytes")]
    SmallVocabulary(usize),
    /// The file ended in this token.
    #[error("the tokenizer's file ends in token {0}")]
    Truncated(usize),
    /// A token's length cannot be right.
    #[error("token {token} of the tokenizer's file has {bytes} bytes; the longest has {longest}")]
    TokenLength {
        /// The token.
        token: usize,
        /// Its length in the file.
        bytes: u32,
        /// What the file says of the longest.
        longest: u32,
    },
    /// The file has more tokens than the vocabulary.
    #[error("the tokenizer's file goes on for {0} bytes after the vocabulary")]
    TrailingBytes(usize),
    /// There is no such token.
    #[error("token {token} is not in a vocabulary of {vocabulary}")]
    NoSuchToken {
        /// The token.
        token: u32,
        /// Number of tokens.
        vocabulary: usize,
    },
}

/// A vocabulary with its scores.
#[derive(Clone, Debug)]
pub struct Llama2cTokenizer {
    pieces: Vec<Vec<u8>>,
    scores: Vec<f32>,
    /// The tokens by their bytes; of two with the same bytes, the first.
    ids: BTreeMap<Vec<u8>, u32>,
}

impl Llama2cTokenizer {
    /// Reads a file: the longest token's length (i32), then for each token its score (f32), its
    /// length (i32) and its bytes, little-endian. The file does not say how many tokens it has.
    ///
    /// # Errors
    /// [`TokenizerError`] if the file is not one of a vocabulary of this size.
    pub fn read(bytes: &[u8], vocabulary: usize) -> Result<Self, TokenizerError> {
        if vocabulary < SMALLEST_VOCABULARY {
            return Err(TokenizerError::SmallVocabulary(vocabulary));
        }
        let mut file = File(bytes);
        let longest = file.word(0)?.min(LONGEST_TOKEN);
        let mut tokenizer = Self {
            pieces: Vec::new(),
            scores: Vec::new(),
            ids: BTreeMap::new(),
        };
        for token in 0..vocabulary {
            tokenizer.scores.push(f32::from_bits(file.word(token)?));
            let piece = file.piece(token, longest)?;
            tokenizer.ids.entry(piece.to_vec()).or_insert(token as u32);
            tokenizer.pieces.push(piece.to_vec());
        }
        match file.0.len() {
            0 => Ok(tokenizer),
            left => Err(TokenizerError::TrailingBytes(left)),
        }
    }

    /// Number of tokens.
    pub fn vocabulary(&self) -> usize {
        self.pieces.len()
    }

    /// The tokens of a text, after [`BEGIN`] if `begin`. A text that is not empty gets a space in
    /// front, as SentencePiece does by default (`add_dummy_prefix`).
    pub fn encode(&self, text: &str, begin: bool) -> Vec<u32> {
        let mut tokens = Vec::new();
        if begin {
            tokens.push(BEGIN);
        }
        if !text.is_empty() {
            self.push_code_point(' ', &mut tokens);
        }
        for code_point in text.chars() {
            self.push_code_point(code_point, &mut tokens);
        }
        self.merge(tokens)
    }

    /// The text of tokens. Bytes that are no UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// [`TokenizerError::NoSuchToken`].
    pub fn decode(&self, tokens: &[u32]) -> Result<String, TokenizerError> {
        let mut decoder = self.decoder(None);
        let mut text = String::new();
        for &token in tokens {
            text.push_str(&decoder.push(token)?);
        }
        text.push_str(&decoder.finish());
        Ok(text)
    }

    /// Decodes tokens as they come, after the token `previous`.
    pub fn decoder(&self, previous: Option<u32>) -> Decoder<'_> {
        Decoder::new(self, previous)
    }

    fn push_code_point(&self, code_point: char, tokens: &mut Vec<u32>) {
        let mut bytes = [0; 4];
        let bytes = code_point.encode_utf8(&mut bytes).as_bytes();
        match self.ids.get(bytes) {
            Some(&token) => tokens.push(token),
            None => tokens.extend(bytes.iter().map(|byte| u32::from(*byte) + FIRST_BYTE)),
        }
    }

    /// What a token stands for in the file.
    fn piece(&self, token: u32) -> Result<&[u8], TokenizerError> {
        self.pieces
            .get(token as usize)
            .map(Vec::as_slice)
            .ok_or(TokenizerError::NoSuchToken {
                token,
                vocabulary: self.pieces.len(),
            })
    }
}

/// What is left of a file.
struct File<'a>(&'a [u8]);

impl<'a> File<'a> {
    fn word(&mut self, token: usize) -> Result<u32, TokenizerError> {
        let (word, rest) = self
            .0
            .split_first_chunk()
            .ok_or(TokenizerError::Truncated(token))?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*word))
    }

    fn piece(&mut self, token: usize, longest: u32) -> Result<&'a [u8], TokenizerError> {
        let bytes = self.word(token)?;
        if bytes > longest {
            return Err(TokenizerError::TokenLength {
                token,
                bytes,
                longest,
            });
        }
        let (piece, rest) = self
            .0
            .split_at_checked(bytes as usize)
            .ok_or(TokenizerError::Truncated(token))?;
        self.0 = rest;
        Ok(piece)
    }
}

#[cfg(test)]
mod tests;

//! Tokens back to text, as they come: a code point goes out when its last byte is here.

use super::{BEGIN, END, Llama2cTokenizer, TokenizerError};

/// Decodes one token after the other.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    tokenizer: &'a Llama2cTokenizer,
    previous: Option<u32>,
    /// Bytes of a code point that is not complete.
    partial: Vec<u8>,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(tokenizer: &'a Llama2cTokenizer, previous: Option<u32>) -> Self {
        Self {
            tokenizer,
            previous,
            partial: Vec::new(),
        }
    }

    /// The text that is complete with this token, which may be none. The space of a token after
    /// [`BEGIN`] is left out; [`BEGIN`] and [`END`] have no text.
    ///
    /// # Errors
    /// [`TokenizerError::NoSuchToken`], and nothing has changed.
    pub fn push(&mut self, token: u32) -> Result<String, TokenizerError> {
        let mut piece = self.tokenizer.piece(token)?;
        let previous = self.previous.replace(token);
        if token == BEGIN || token == END {
            // What was not complete before it never will be.
            return Ok(self.finish());
        }
        if previous == Some(BEGIN) {
            piece = piece.strip_prefix(b" ").unwrap_or(piece);
        }
        match byte(piece) {
            Some(byte) => self.partial.push(byte),
            None => self.partial.extend_from_slice(piece),
        }
        Ok(self.take_complete())
    }

    /// What is left: U+FFFD if a code point is not complete.
    pub fn finish(&mut self) -> String {
        let rest = core::mem::take(&mut self.partial);
        String::from_utf8_lossy(&rest).into_owned()
    }

    fn take_complete(&mut self) -> String {
        let mut text = String::new();
        let mut complete = 0;
        for chunk in self.partial.utf8_chunks() {
            text.push_str(chunk.valid());
            complete += chunk.valid().len();
            let last = complete + chunk.invalid().len() == self.partial.len();
            if last && may_go_on(chunk.invalid()) {
                break;
            }
            if !chunk.invalid().is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
                complete += chunk.invalid().len();
            }
        }
        self.partial.drain(..complete);
        text
    }
}

/// Whether these bytes are the beginning of a code point.
fn may_go_on(bytes: &[u8]) -> bool {
    matches!(core::str::from_utf8(bytes), Err(error) if error.error_len().is_none())
}

/// The byte of a token like `<0x0A>`.
fn byte(piece: &[u8]) -> Option<u8> {
    let digits = piece.strip_prefix(b"<0x")?.strip_suffix(b">")?;
    let digits = core::str::from_utf8(digits).ok()?;
    let hexadecimal = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    hexadecimal
        .then(|| u8::from_str_radix(digits, 16).ok())
        .flatten()
}

//! Texts and token ids in the forms in which a careless program could send or log them.

use choir_shared::ids::to_hex;
use choir_shared::leak::encodings::{self, Encoding, Layout};
use std::collections::HashMap;

/// Bytes of a text that are looked for at once, at every place of it.
const TEXT_WINDOW: usize = 24;
/// Token ids that are looked for at once, at every place of a text's.
const TOKEN_WINDOW: usize = 6;
/// An accidental match has probability 2^-64 at each place of random bytes.
const KEY_BYTES: usize = 8;

/// What to look for.
#[derive(Default)]
pub(super) struct Patterns {
    patterns: Vec<(String, Vec<u8>)>,
    by_key: HashMap<[u8; KEY_BYTES], Vec<usize>>,
}

impl Patterns {
    /// A text as it is, in UTF-16, in base64, in hex, and as a part of an address.
    pub(super) fn add_text(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let escaped = escape(text);
        let wide = |order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect();
        self.add_windows(text, "text", bytes, TEXT_WINDOW);
        self.add_windows(text, "escaped text", escaped.as_bytes(), TEXT_WINDOW);
        let form = escaped.replace("%20", "+");
        self.add_windows(text, "form text", form.as_bytes(), TEXT_WINDOW);
        let little: Vec<u8> = wide(u16::to_le_bytes);
        let big: Vec<u8> = wide(u16::to_be_bytes);
        self.add_windows(text, "UTF-16 text", &little, 2 * TEXT_WINDOW);
        self.add_windows(text, "UTF-16 text", &big, 2 * TEXT_WINDOW);
        let hex = to_hex(bytes);
        self.add_windows(text, "hex text", hex.as_bytes(), 2 * TEXT_WINDOW);
        let upper = hex.to_ascii_uppercase();
        self.add_windows(text, "hex text", upper.as_bytes(), 2 * TEXT_WINDOW);
        for phase in 0..3 {
            let inner = base64(bytes.get(phase..).unwrap_or_default());
            self.add_windows(text, "base64 text", &inner, TEXT_WINDOW / 3 * 4);
        }
    }

    /// The token ids of one text as integers of 16 or 32 bits, as varints, and in text.
    pub(super) fn add_tokens(&mut self, row: &[u32]) {
        for window in row.windows(TOKEN_WINDOW.min(row.len()).max(1)) {
            let big: Vec<u8> = window
                .iter()
                .flat_map(|id| (*id as u16).to_be_bytes())
                .collect();
            self.add("token ids as u16", big);
            encodings::each(window, &[], 0, |encoding, bytes| {
                let sought = match encoding {
                    Encoding::Raw(layout) | Encoding::Hex(layout) | Encoding::Base64(layout) => {
                        matches!(
                            layout,
                            Layout::U32Little
                                | Layout::U32Big
                                | Layout::Packed(15 | 16)
                                | Layout::Varint
                        )
                    }
                    Encoding::DecimalWords => true,
                    _ => false,
                };
                if sought {
                    self.add("token ids", bytes);
                }
            });
        }
    }

    /// The name of something that stands in there.
    pub(super) fn find(&self, content: &[u8]) -> Option<&str> {
        content
            .windows(KEY_BYTES)
            .enumerate()
            .find_map(|(at, key)| {
                let key: [u8; KEY_BYTES] = key.try_into().ok()?;
                let known = self.by_key.get(&key)?;
                known.iter().find_map(|place| {
                    let (name, bytes) = &self.patterns[*place];
                    content[at..].starts_with(bytes).then_some(name.as_str())
                })
            })
    }

    /// Every window of a longer form, or the whole of a shorter one.
    fn add_windows(&mut self, text: &str, form: &str, bytes: &[u8], window: usize) {
        for part in bytes.windows(window.min(bytes.len()).max(1)) {
            self.add(&format!("{form} of {text:?}"), part.to_vec());
        }
    }

    fn add(&mut self, name: &str, bytes: Vec<u8>) {
        if let Some(key) = bytes.first_chunk::<KEY_BYTES>() {
            self.by_key
                .entry(*key)
                .or_default()
                .push(self.patterns.len());
            self.patterns.push((name.to_owned(), bytes));
        }
    }
}

/// As in the query of an address.
fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// Base64 of the whole groups of three bytes.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks_exact(3)
        .flat_map(|group| {
            let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
            [18, 12, 6, 0].map(|shift| ALPHABET[(bits >> shift & 63) as usize])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Where is the parcel that I sent on Monday?";

    fn patterns() -> Patterns {
        let mut patterns = Patterns::default();
        patterns.add_text(TEXT);
        patterns.add_tokens(&[101, 2073, 2003, 1996, 20463, 2008, 102]);
        patterns
    }

    #[test]
    fn a_part_of_a_text_is_found_in_every_form() {
        let part = &TEXT[5..35];
        let framed = [b"x", TEXT.as_bytes()].concat();
        let upper = to_hex(TEXT.as_bytes()).to_uppercase();
        let url = "q=Where%20is%20the%20parcel%20that%20I%20sent";
        let forms: [Vec<u8>; 7] = [
            part.as_bytes().to_vec(),
            part.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            part.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            base64(&framed),
            upper.into_bytes(),
            url.as_bytes().to_vec(),
            b"q=Where+is+the+parcel+that+I+sent".to_vec(),
        ];
        for form in forms {
            assert!(
                patterns()
                    .find(&[b"....", &form[..], b"...."].concat())
                    .is_some()
            );
        }
        assert_eq!(patterns().find(b"Where is the letter that I sent"), None);
    }

    #[test]
    fn token_ids_are_found_as_integers_and_as_text() {
        let ids = [2073u32, 2003, 1996, 20463, 2008, 102];
        let little: Vec<u8> = ids
            .iter()
            .flat_map(|id| (*id as u16).to_le_bytes())
            .collect();
        let big: Vec<u8> = ids.iter().flat_map(|id| id.to_be_bytes()).collect();
        for form in [&little[..], &big[..], b"[2073,2003,1996,20463,2008,102]"] {
            assert!(patterns().find(form).is_some());
        }
    }
}

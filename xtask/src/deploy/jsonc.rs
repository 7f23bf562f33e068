//! JSON with comments and trailing commas, as wrangler reads it.

use serde_json::Value;

/// Reads it; places in an error are those of the text.
///
/// # Errors
/// What the JSON parser says.
pub(super) fn parse(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(&plain(text))
}

/// The text with comments and trailing commas blanked out, so that every place stays where it is.
fn plain(text: &str) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    let mut at = 0;
    // The comma that only blanks and comments have followed so far.
    let mut comma = None;
    while at < letters.len() {
        let pair = (letters[at], letters.get(at + 1).copied().unwrap_or(' '));
        match pair {
            ('"', _) => {
                at = string_end(&letters, at);
                comma = None;
            }
            ('/', '/') => at = blank_until(&mut letters, at, &['\n']),
            ('/', '*') => at = blank_until(&mut letters, at, &['*', '/']),
            (',', _) => {
                comma = Some(at);
                at += 1;
            }
            ('}' | ']', _) => {
                if let Some(comma) = comma.take() {
                    letters[comma] = ' ';
                }
                at += 1;
            }
            (letter, _) => {
                if !letter.is_whitespace() {
                    comma = None;
                }
                at += 1;
            }
        }
    }
    letters.into_iter().collect()
}

/// The place after the string that begins at `at`.
fn string_end(letters: &[char], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(letter) = letters.get(at) {
        match letter {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    letters.len()
}

/// Blanks everything up to and with `end`, except line breaks.
fn blank_until(letters: &mut [char], from: usize, end: &[char]) -> usize {
    let rest = &letters[from..];
    let length = rest
        .windows(end.len())
        // `/*/` does not end a comment that it begins.
        .skip(if end.len() > 1 { 2 } else { 0 })
        .position(|part| part == end)
        .map_or(rest.len(), |place| {
            place + end.len() + if end.len() > 1 { 2 } else { 0 }
        });
    for letter in &mut letters[from..from + length] {
        if *letter != '\n' {
            *letter = ' ';
        }
    }
    from + length
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn comments_and_trailing_commas_are_no_part_of_the_value() {
        let text = "// head\n{ \"a\": [1, 2, /* two */ ], // end\n \"b\": 3, /*/ odd */ }\n";
        assert_eq!(parse(text).ok(), Some(json!({"a": [1, 2], "b": 3})));
    }

    #[test]
    fn strings_stay_as_they_are() {
        let text = r#"{ "a": "https://x.example/*,]\" // no", "b": ",}" }"#;
        let expected = json!({"a": "https://x.example/*,]\" // no", "b": ",}"});
        assert_eq!(parse(text).ok(), Some(expected));
    }

    #[test]
    fn an_error_names_the_place_in_the_text() {
        let error = parse("// one\n{\n  \"a\": oops\n}").err();
        assert_eq!(error.map(|error| error.line()), Some(3));
    }

    #[test]
    fn an_unfinished_string_is_an_error() {
        for text in ["{ \"a", "{ \"a\\", "{ \"a\": \"// }"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

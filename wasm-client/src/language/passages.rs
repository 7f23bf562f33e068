//! Plain text as passages between blank lines: what a client of a language task trains on and what its
//! adapter is measured on, the same in tabs and natively.

/// The passages of a text: what stands between blank lines, lines joined by `\n`.
pub fn passages(text: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    for line in text.lines() {
        let last = found.last_mut().filter(|_| !line.trim().is_empty());
        match last {
            None => found.push(String::new()),
            Some(passage) => {
                if !passage.is_empty() {
                    passage.push('\n');
                }
                passage.push_str(line);
            }
        }
    }
    found.retain(|passage| !passage.is_empty());
    found
}

/// A text of these passages.
pub fn joined(passages: &[String]) -> String {
    passages.join("\n\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passages_stand_between_blank_lines() {
        let text = "\nOne,\ntwo.\n\n \nThree.\r\n";
        assert_eq!(passages(text), ["One,\ntwo.", "Three."]);
        assert_eq!(passages(&joined(&passages(text))), passages(text));
        assert!(passages(" \n").is_empty());
    }
}

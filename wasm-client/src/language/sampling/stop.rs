//! The end of a text at a stop string. What may be the beginning of one is held back until it is
//! clear that it is not.

use super::SamplingError;

/// Looks for stop strings in a text that comes in pieces.
#[derive(Clone, Debug)]
pub struct StopStrings {
    strings: Vec<String>,
    held: String,
    stopped: bool,
}

/// Text that can be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// The text, which may be empty.
    pub text: String,
    /// The text ended here, before a stop string; there will be no more.
    pub stopped: bool,
}

impl StopStrings {
    /// # Errors
    /// [`SamplingError::EmptyStopString`].
    pub fn new(strings: Vec<String>) -> Result<Self, SamplingError> {
        if strings.iter().any(String::is_empty) {
            return Err(SamplingError::EmptyStopString);
        }
        Ok(Self {
            strings,
            held: String::new(),
            stopped: false,
        })
    }

    /// Takes the next piece. The text ends before the stop string that is complete first; how it
    /// was cut into pieces makes no difference.
    pub fn push(&mut self, piece: &str) -> Released {
        if self.stopped {
            return Released {
                text: String::new(),
                stopped: true,
            };
        }
        self.held.push_str(piece);
        let release = match self.first_complete() {
            Some(start) => {
                self.stopped = true;
                start
            }
            None => self.held.len() - self.beginning(),
        };
        let rest = self.held.split_off(release);
        let text = core::mem::replace(&mut self.held, rest);
        if self.stopped {
            self.held.clear();
        }
        Released {
            text,
            stopped: self.stopped,
        }
    }

    /// Ends the text: what was held back was no stop string.
    pub fn finish(&mut self) -> String {
        core::mem::take(&mut self.held)
    }

    /// Where the stop string starts that is complete first; of those with the same end, the
    /// longest.
    fn first_complete(&self) -> Option<usize> {
        let found = self.strings.iter().filter_map(|string| {
            let start = self.held.find(string.as_str())?;
            Some((start + string.len(), start))
        });
        found.min().map(|(_, start)| start)
    }

    /// Bytes at the end that are the beginning of a stop string, as many as there are.
    fn beginning(&self) -> usize {
        let of_one = |string: &String| {
            let beginnings = string.char_indices().map(|(end, _)| &string[..end]);
            beginnings
                .filter(|beginning| self.held.ends_with(beginning))
                .map(str::len)
                .max()
        };
        self.strings.iter().filter_map(of_one).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(strings: &[&str], pieces: &[&str]) -> (String, bool) {
        let strings = strings.iter().map(|&string| string.to_owned()).collect();
        let mut stop = StopStrings::new(strings).unwrap();
        let mut text = String::new();
        let mut stopped = false;
        for piece in pieces {
            let released = stop.push(piece);
            text.push_str(&released.text);
            stopped = released.stopped;
        }
        text.push_str(&stop.finish());
        (text, stopped)
    }

    #[test]
    fn what_may_be_a_stop_string_is_held_back() {
        let mut stop = StopStrings::new(vec!["\n\nHuman:".to_owned()]).unwrap();
        let released = |text: &str| Released {
            text: text.to_owned(),
            stopped: false,
        };
        assert_eq!(stop.push("Yes."), released("Yes."));
        assert_eq!(stop.push(" No\n"), released(" No"));
        assert_eq!(stop.push("\nHu"), released(""));
        assert_eq!(stop.push("ge\n"), released("\n\nHuge"));
        assert_eq!(
            stop.push("\nHuman: and"),
            Released {
                text: String::new(),
                stopped: true
            }
        );
        assert_eq!(
            stop.push("more"),
            Released {
                text: String::new(),
                stopped: true
            }
        );
        assert_eq!(stop.finish(), "");
    }

    #[test]
    fn what_was_held_back_comes_at_the_end() {
        assert_eq!(
            run(&["stop"], &["do not st"]),
            ("do not st".to_owned(), false)
        );
        assert_eq!(run(&[], &["a", "b"]), ("ab".to_owned(), false));
    }

    #[test]
    fn any_pieces_end_at_the_same_place() {
        let text = "aabaabc é€ xyabcd";
        for (strings, expected) in [
            (&["aabc"][..], "aab"),
            // "ab" is complete before "aab…" could be.
            (&["aabaabc", "ab"], "a"),
            (&["bc", "aabc"], "aab"),
            (&["€ x"], "aabaabc é"),
            (&["abcde"], text),
        ] {
            let found = run(strings, &[text]);
            assert_eq!(found, (expected.to_owned(), expected != text));
            for size in 1..8 {
                let letters: Vec<char> = text.chars().collect();
                let pieces: Vec<String> = letters
                    .chunks(size)
                    .map(|piece| piece.iter().collect())
                    .collect();
                let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
                assert_eq!(run(strings, &pieces), found, "{strings:?} by {size}");
            }
        }
    }

    #[test]
    fn an_empty_stop_string_is_refused() {
        let strings = vec!["a".to_owned(), String::new()];
        assert_eq!(
            StopStrings::new(strings).map(|_| ()),
            Err(SamplingError::EmptyStopString)
        );
    }
}

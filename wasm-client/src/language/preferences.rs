//! Pairs of answers of which people preferred one: Anthropic's HH-RLHF (Bai et al. 2022,
//! anthropics/hh-rlhf), a JSON object `{"chosen", "rejected"}` a line, each a whole conversation
//! with turns that begin with `\n\nHuman:` and `\n\nAssistant:`.
//!
//! The prompt is everything up to the last `\n\nAssistant:`; what follows is the response.

mod split;

use super::comparisons::Comparisons;
use super::message::Message;

pub use split::{PreferenceSplit, SplitError};

const HUMAN: &str = "\n\nHuman:";
const ASSISTANT: &str = "\n\nAssistant:";

/// What can be wrong with such a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreferencesError {
    /// A line is no such object.
    #[error("line {line} cannot be read as a preference: {reason}")]
    Json {
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        reason: serde_json::Error,
    },
    /// A conversation does not begin with a person or has no answer.
    #[error("line {0} has a conversation without a person's or an assistant's turn")]
    NoTurn(usize),
}

/// Two answers to a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preference {
    /// The conversation, with `\n\nAssistant:` at its end.
    pub prompt: String,
    /// The answer that was preferred, as it follows the prompt: with a space in front.
    pub chosen: String,
    /// The other one.
    pub rejected: String,
}

/// What is in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preferences {
    /// Pairs of answers to the same prompt.
    pub pairs: Vec<Preference>,
    /// How many were left out because the two have different prompts.
    pub different_prompts: usize,
    /// How many were left out because an answer is blank.
    pub blank_responses: usize,
}

/// How the length of an answer is counted, without white space around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Unicode code points.
    Characters,
    /// What white space separates.
    Words,
}

#[derive(serde::Deserialize)]
struct Entry {
    chosen: String,
    rejected: String,
}

impl Preferences {
    /// Reads a file's text; blank lines count as lines only.
    ///
    /// # Errors
    /// [`PreferencesError`] with the line.
    pub fn read(text: &str) -> Result<Self, PreferencesError> {
        let mut read = Self::default();
        for (index, line) in text.lines().enumerate() {
            if !line.trim().is_empty() {
                read.push(line, index + 1)?;
            }
        }
        Ok(read)
    }

    fn push(&mut self, json: &str, line: usize) -> Result<(), PreferencesError> {
        let entry: Entry =
            serde_json::from_str(json).map_err(|reason| PreferencesError::Json { line, reason })?;
        let parts = |text| parts(text).ok_or(PreferencesError::NoTurn(line));
        let (prompt, chosen) = parts(&entry.chosen)?;
        let (other, rejected) = parts(&entry.rejected)?;
        if prompt != other {
            self.different_prompts += 1;
        } else if chosen.trim().is_empty() || rejected.trim().is_empty() {
            self.blank_responses += 1;
        } else {
            self.pairs.push(Preference {
                prompt: prompt.to_owned(),
                chosen: chosen.to_owned(),
                rejected: rejected.to_owned(),
            });
        }
        Ok(())
    }
}

/// Prompt and response of a conversation.
fn parts(text: &str) -> Option<(&str, &str)> {
    let end = text.rfind(ASSISTANT)? + ASSISTANT.len();
    text.starts_with(HUMAN).then(|| text.split_at(end))
}

impl Preference {
    /// The turns of the prompt, for a model's own chat template. White space around a turn is left
    /// out; the assistant's turn that is to come is none of them.
    pub fn messages(&self) -> Vec<Message> {
        let mut messages: Vec<Message> = Vec::new();
        let mut rest = self.prompt.as_str();
        while let Some((role, content)) = turn(rest) {
            let end = next_turn(content).unwrap_or(content.len());
            messages.push(Message::new(role, content[..end].trim()));
            rest = &content[end..];
        }
        // The prompt ends with the heading of the turn that is to come.
        messages.pop();
        messages
    }
}

/// Role of the turn that a text begins with, and what follows its heading.
fn turn(text: &str) -> Option<(&str, &str)> {
    let role = |heading, role| text.strip_prefix(heading).map(|content| (role, content));
    role(HUMAN, "user").or_else(|| role(ASSISTANT, "assistant"))
}

fn next_turn(text: &str) -> Option<usize> {
    [HUMAN, ASSISTANT]
        .iter()
        .filter_map(|heading| text.find(heading))
        .min()
}

/// How often the rule "prefer the shorter answer" agrees with people. A model that learned no more
/// than it is no better.
pub fn shorter_is_chosen<'a>(
    pairs: impl IntoIterator<Item = &'a Preference>,
    length: Length,
) -> Comparisons {
    let count = |text: &str| match length {
        Length::Characters => text.trim().chars().count(),
        Length::Words => text.split_whitespace().count(),
    };
    // The shorter one is ahead.
    let outcome = |pair: &Preference| Some(count(&pair.rejected).cmp(&count(&pair.chosen)));
    Comparisons::of(pairs.into_iter().map(outcome))
}

#[cfg(test)]
mod tests;

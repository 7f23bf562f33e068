//! A model's own chat template: Jinja, as `tokenizer_config.json` has it in `chat_template`, or a file
//! of its own ([`ChatFiles`]).
//!
//! What a template may use is what Hugging Face's transformers gives it
//! (huggingface/transformers:src/transformers/utils/chat_template_utils.py): `messages`,
//! `add_generation_prompt`, `bos_token`, `eos_token`, `raise_exception`, `break` and `continue`,
//! blocks trimmed, and Python's methods of strings, lists and dictionaries as far as
//! minijinja-contrib has them. Not given: tools, documents, `tojson`, `strftime_now` (there is no
//! clock here) and `{% generation %}`. A template that comes to one of them is refused.
//!
//! A template is a stranger's program. Steps, depth and length have limits here; what one step may make
//! of nested lists and how deeply a chain of operators nests has none, so a tab renders in a thread with a
//! deadline, and in a module with a limit of its memory. Native tools render what their user gave them.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, Value};

use super::message::Message;
pub use files::{ChatFiles, ChatFilesError};

mod files;

const NAME: &str = "chat_template";
/// Steps after which a template is given up; a message takes some dozens, and each 64 bytes one. In a
/// tab that is a fraction of a second.
const STEPS: u64 = 1_000_000;
/// Depth of blocks and expressions: wasm has a small stack.
const DEPTH: usize = 100;
/// Bytes of a template; those of published models have a few thousand.
const LONGEST: usize = 200_000;

/// What can be wrong with a chat template, or with a conversation for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChatTemplateError {
    /// It is not Jinja.
    #[error("line {line} of the chat template: {reason}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// It is longer than any that is meant to be read.
    #[error("the chat template has {bytes} bytes, more than {LONGEST}")]
    TooLong {
        /// What it has.
        bytes: usize,
    },
    /// It would go on without end, or nearly so.
    #[error("line {line} of the chat template: given up after {STEPS} steps")]
    GivenUp {
        /// Line, from 1.
        line: usize,
    },
    /// It does something that cannot be done.
    #[error("line {line} of the chat template, with this conversation: {reason}")]
    Rendering {
        /// Line, from 1.
        line: usize,
        /// What cannot be done.
        reason: String,
    },
    /// It refused the conversation by `raise_exception`.
    #[error("line {line} of the chat template refuses this conversation: {message}")]
    Refused {
        /// Line, from 1.
        line: usize,
        /// What it says.
        message: String,
    },
}

impl ChatTemplateError {
    /// The template's line, from 1, where it is known.
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::TooLong { .. } => None,
            Self::Syntax { line, .. }
            | Self::GivenUp { line }
            | Self::Rendering { line, .. }
            | Self::Refused { line, .. } => Some(*line),
        }
    }

    /// What to do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Syntax { .. } | Self::TooLong { .. } => {
                "take the model's own files, or give another template"
            }
            Self::GivenUp { .. } => "give another template, or fewer messages",
            Self::Rendering { .. } => {
                "a template may use messages, add_generation_prompt, bos_token and eos_token; tools, \
                 documents, tojson and dates are not there: give another template"
            }
            Self::Refused { .. } => "change the messages as it says",
        }
    }
}

/// What a template did with `raise_exception`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

/// Names of a model's special tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens<'a> {
    /// Starts a text; undefined in the template if there is none.
    pub bos_token: Option<&'a str>,
    /// Ends a text; undefined in the template if there is none.
    pub eos_token: Option<&'a str>,
}

/// A template that was parsed.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
}

impl ChatTemplate {
    /// Parses a template.
    ///
    /// # Errors
    /// [`ChatTemplateError::Syntax`], [`ChatTemplateError::TooLong`].
    pub fn new(source: &str) -> Result<Self, ChatTemplateError> {
        let bytes = source.len();
        if bytes > LONGEST {
            return Err(ChatTemplateError::TooLong { bytes });
        }
        let environment = environment(source).map_err(|error| ChatTemplateError::Syntax {
            line: error.line().unwrap_or(1),
            reason: reason(&error),
        })?;
        Ok(Self { environment })
    }

    /// The text of a conversation, with the beginning of the assistant's next turn if
    /// `add_generation_prompt`.
    ///
    /// # Errors
    /// [`ChatTemplateError::Rendering`], [`ChatTemplateError::Refused`],
    /// [`ChatTemplateError::GivenUp`].
    pub fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
        tokens: SpecialTokens<'_>,
    ) -> Result<String, ChatTemplateError> {
        let mut context = vec![
            ("messages", messages.iter().map(value).collect()),
            ("add_generation_prompt", Value::from(add_generation_prompt)),
        ];
        context.extend(tokens.bos_token.map(|token| ("bos_token", token.into())));
        context.extend(tokens.eos_token.map(|token| ("eos_token", token.into())));
        self.environment
            .get_template(NAME)
            .and_then(|template| template.render(Value::from_pairs(context)))
            .map_err(|error| refusal(&error))
    }
}

fn value(message: &Message) -> Value {
    Value::from_pairs([
        ("role", message.role.as_str()),
        ("content", message.content.as_str()),
    ])
}

fn environment(source: &str) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    environment.set_fuel(Some(STEPS));
    environment.set_recursion_limit(DEPTH);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", raise_exception);
    environment.add_template_owned(NAME, source.to_owned())?;
    Ok(environment)
}

fn raise_exception(message: String) -> Result<Value, Error> {
    let error = Error::new(ErrorKind::InvalidOperation, message.clone());
    Err(error.with_source(Raised(message)))
}

fn refusal(error: &Error) -> ChatTemplateError {
    let line = error.line().unwrap_or(1);
    match raised(error) {
        Some(message) => ChatTemplateError::Refused { line, message },
        None if error.kind() == ErrorKind::OutOfFuel => ChatTemplateError::GivenUp { line },
        None => ChatTemplateError::Rendering {
            line,
            reason: reason(error),
        },
    }
}

/// What the template said when it refused, if that is the cause of the error.
fn raised(error: &Error) -> Option<String> {
    let mut cause = core::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(Raised(message)) = error.downcast_ref() {
            return Some(message.clone());
        }
        cause = error.source();
    }
    None
}

fn reason(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

#[cfg(test)]
mod tests;

//! What a chat model's files say of conversations: `tokenizer_config.json`, and `chat_template.jinja`
//! where the template has a file of its own, which then goes before the other.

use serde::Deserialize;
use serde_json::Value;

use super::SpecialTokens;

/// The one that is taken of several templates.
const DEFAULT: &str = "default";

/// What can be wrong with a chat model's files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChatFilesError {
    /// It is not the file that it should be.
    #[error("tokenizer_config.json cannot be read: {reason}")]
    NotAConfig {
        /// Where, and what is wrong there.
        reason: String,
    },
    /// A key has a value that it cannot have.
    #[error("{key} of tokenizer_config.json is neither {expected}")]
    BadKey {
        /// Which one.
        key: &'static str,
        /// What it may be.
        expected: &'static str,
    },
    /// There is no template.
    #[error(
        "tokenizer_config.json has no chat_template: give the text of chat_template.jinja, or take a \
         model that was made for conversations"
    )]
    NoTemplate,
    /// There are several templates, and none is the usual one.
    #[error(
        "the chat templates of this model are called {names}, and none `default`: give the text of \
         the one to use as chat_template.jinja"
    )]
    NoDefault {
        /// What they are called.
        names: String,
    },
}

/// A template, and the special tokens that it may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatFiles {
    /// The template's source.
    pub template: String,
    /// Starts a text.
    pub bos_token: Option<String>,
    /// Ends a text.
    pub eos_token: Option<String>,
}

/// The keys that are read of `tokenizer_config.json`.
#[derive(Deserialize)]
struct TokenizerConfig {
    #[serde(default)]
    chat_template: Value,
    #[serde(default)]
    bos_token: Value,
    #[serde(default)]
    eos_token: Value,
}

impl ChatFiles {
    /// Reads the text of `tokenizer_config.json`, and of `chat_template.jinja` if there is one.
    ///
    /// # Errors
    /// Each [`ChatFilesError`].
    pub fn read(
        tokenizer_config: &str,
        template_file: Option<String>,
    ) -> Result<Self, ChatFilesError> {
        let config: TokenizerConfig =
            serde_json::from_str(tokenizer_config).map_err(|error| ChatFilesError::NotAConfig {
                reason: error.to_string(),
            })?;
        let template = match template_file {
            Some(template) => template,
            None => template(config.chat_template)?,
        };
        Ok(Self {
            template,
            bos_token: token("bos_token", config.bos_token)?,
            eos_token: token("eos_token", config.eos_token)?,
        })
    }

    /// The special tokens.
    pub fn tokens(&self) -> SpecialTokens<'_> {
        SpecialTokens {
            bos_token: self.bos_token.as_deref(),
            eos_token: self.eos_token.as_deref(),
        }
    }
}

/// One template, or of a list of `{name, template}` the usual one.
fn template(value: Value) -> Result<String, ChatFilesError> {
    let named = match value {
        Value::Null => return Err(ChatFilesError::NoTemplate),
        Value::String(template) => return Ok(template),
        Value::Array(named) => named,
        _ => return Err(bad_template()),
    };
    let mut names = Vec::with_capacity(named.len());
    for entry in named {
        let [name, template] =
            ["name", "template"].map(|key| entry.get(key).and_then(Value::as_str));
        let (Some(name), Some(template)) = (name, template) else {
            return Err(bad_template());
        };
        if name == DEFAULT {
            return Ok(template.to_owned());
        }
        names.push(name.to_owned());
    }
    if names.is_empty() {
        return Err(ChatFilesError::NoTemplate);
    }
    Err(ChatFilesError::NoDefault {
        names: names.join(", "),
    })
}

fn bad_template() -> ChatFilesError {
    ChatFilesError::BadKey {
        key: "chat_template",
        expected: "text nor a list of {name, template}",
    }
}

/// A special token: its text, or an object that has it as `content`.
fn token(key: &'static str, value: Value) -> Result<Option<String>, ChatFilesError> {
    match value {
        Value::Null => Ok(None),
        Value::String(token) => Ok(Some(token)),
        value => match value.get("content").and_then(Value::as_str) {
            Some(token) => Ok(Some(token.to_owned())),
            None => Err(ChatFilesError::BadKey {
                key,
                expected: "text nor an object with its text as content",
            }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(config: &str) -> Result<ChatFiles, ChatFilesError> {
        ChatFiles::read(config, None)
    }

    #[test]
    fn tokens_are_text_or_objects() {
        let files = read(
            r#"{"chat_template": "T", "bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": false},
                "model_max_length": 1000000000000000019884624838656}"#,
        )
        .unwrap();
        assert_eq!(files.template, "T");
        assert_eq!(files.tokens().bos_token, Some("<s>"));
        assert_eq!(files.tokens().eos_token, Some("</s>"));
        let files = read(r#"{"chat_template": "T", "bos_token": null}"#).unwrap();
        assert_eq!(files.tokens(), SpecialTokens::default());
    }

    #[test]
    fn of_several_templates_the_default_is_taken() {
        let files = read(
            r#"{"chat_template": [{"name": "tool_use", "template": "A"},
                                  {"name": "default", "template": "B"}]}"#,
        );
        assert_eq!(files.unwrap().template, "B");
    }

    #[test]
    fn a_file_of_its_own_goes_first() {
        let files = ChatFiles::read(r#"{"chat_template": "T"}"#, Some("own".to_owned()));
        assert_eq!(files.unwrap().template, "own");
    }

    #[test]
    fn what_is_wrong_is_named_with_what_to_do() {
        let said = |config: &str| read(config).unwrap_err().to_string();
        assert!(said("{").starts_with("tokenizer_config.json cannot be read: EOF"));
        assert!(said("3").contains("cannot be read"));
        assert!(said("{}").contains("give the text of chat_template.jinja"));
        assert!(said(r#"{"chat_template": []}"#).contains("has no chat_template"));
        assert!(
            said(r#"{"chat_template": [{"name": "rag", "template": ""}]}"#)
                .contains("are called rag, and none `default`")
        );
        assert!(said(r#"{"chat_template": 3}"#).contains("a list of {name, template}"));
        assert!(said(r#"{"chat_template": "", "eos_token": 2}"#).contains("eos_token"));
    }
}

//! A chat model's template, for JavaScript: what its files say, and conversations as text.
//!
//! Nothing is kept from one call to the next. A template can nest so deeply that the stack ends, or take
//! more memory than it may, which ends this instance of the module: the SDK then goes on with a fresh one.

use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::error::{ApiError, to_js};
use crate::language::Message;
use crate::language::chat::{ChatFiles, ChatFilesError, ChatTemplate, ChatTemplateError};

/// [`ChatFiles`] in JavaScript.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct FilesView {
    template: String,
    bos_token: Option<String>,
    eos_token: Option<String>,
}

/// A message that may lack what it needs.
#[derive(Deserialize)]
struct MessageView {
    role: Option<String>,
    content: Option<String>,
}

/// An error with the line of the template, where it is known: `{code, message, line}`.
#[derive(Serialize)]
pub struct ChatError {
    code: &'static str,
    message: String,
    line: Option<usize>,
}

/// What the texts of `tokenizer_config.json` and, if there is one, of `chat_template.jinja` say:
/// `{template, bosToken, eosToken}`, of which the template is Jinja.
#[wasm_bindgen(js_name = readChatFiles)]
pub fn read_chat_files(
    tokenizer_config: &str,
    template_file: Option<String>,
) -> Result<JsValue, ChatError> {
    let files = ChatFiles::read(tokenizer_config, template_file)?;
    ChatTemplate::new(&files.template)?;
    Ok(to_js(&FilesView {
        template: files.template,
        bos_token: files.bos_token,
        eos_token: files.eos_token,
    })?)
}

/// The text of a conversation `[{role, content}, ...]` by what [`read_chat_files`] has yielded, with the
/// beginning of the assistant's next turn if asked for.
#[wasm_bindgen(js_name = renderChat)]
pub fn render_chat(
    files: JsValue,
    messages: JsValue,
    add_generation_prompt: bool,
) -> Result<String, ChatError> {
    let files: FilesView = serde_wasm_bindgen::from_value(files).map_err(ApiError::from)?;
    let files = ChatFiles {
        template: files.template,
        bos_token: files.bos_token,
        eos_token: files.eos_token,
    };
    let template = ChatTemplate::new(&files.template)?;
    Ok(template.render(
        &conversation(messages)?,
        add_generation_prompt,
        files.tokens(),
    )?)
}

fn conversation(messages: JsValue) -> Result<Vec<Message>, ApiError> {
    let messages: Vec<MessageView> = serde_wasm_bindgen::from_value(messages)?;
    let complete = messages.into_iter().enumerate().map(
        |(index, MessageView { role, content })| match (role, content) {
            (Some(role), Some(content)) => Ok(Message::new(role, content)),
            _ => {
                let reason = format!(
                    "message {} is not {{role, content}} with text in both: give it what it lacks",
                    index + 1
                );
                Err(ApiError::new("bad-input", &reason))
            }
        },
    );
    complete.collect()
}

impl From<ApiError> for ChatError {
    fn from(error: ApiError) -> Self {
        let (code, message) = error.into_parts();
        Self {
            code,
            message,
            line: None,
        }
    }
}

impl From<ChatFilesError> for ChatError {
    fn from(error: ChatFilesError) -> Self {
        ApiError::new("bad-model", &error).into()
    }
}

impl From<ChatTemplateError> for ChatError {
    fn from(error: ChatTemplateError) -> Self {
        let code = match error {
            ChatTemplateError::Refused { .. } => "refused",
            _ => "bad-model",
        };
        Self {
            code,
            message: format!("{error}: {}", error.remedy()),
            line: error.line(),
        }
    }
}

impl From<ChatError> for JsValue {
    fn from(error: ChatError) -> Self {
        let text = Self::from_str(&error.message);
        to_js(&error).unwrap_or(text)
    }
}

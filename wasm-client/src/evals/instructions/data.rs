//! Instructions as rows of which the response is scored.

use std::path::{Path, PathBuf};

use super::Settings;
use crate::evals::{EvalError, read};
use crate::language::dataset::{Row, prompt_and_response};
use crate::language::instructions::Split;
use crate::language::llama2c::{BEGIN, END, Llama2cTokenizer};
use crate::language::templates::{Example, Template};

/// Clients whose files there are.
pub const CLIENTS: usize = 10;

fn folder(shared: &Path) -> PathBuf {
    shared.join("data/dolly10")
}

fn content(shared: &Path, reason: String) -> EvalError {
    EvalError::Content {
        path: folder(shared),
        reason,
    }
}

/// Reads all files.
///
/// # Errors
/// [`EvalError::File`], [`EvalError::Content`].
pub fn split(shared: &Path) -> Result<Split, EvalError> {
    let text = |name: String| {
        let bytes = read(&folder(shared).join(&name))?;
        String::from_utf8(bytes).map_err(|error| content(shared, format!("{name}: {error}")))
    };
    let clients = (0..CLIENTS)
        .map(|client| text(format!("client_{client}.json")))
        .collect::<Result<Vec<String>, EvalError>>()?;
    let clients: Vec<&str> = clients.iter().map(String::as_str).collect();
    let test = text("global_test.json".to_owned())?;
    Split::read(&clients, &test).map_err(|error| content(shared, error.to_string()))
}

/// The last tokens of the prompt in Alpaca's template, the begin token first.
pub fn prompt(example: &Example, settings: &Settings, tokenizer: &Llama2cTokenizer) -> Vec<u32> {
    let prompt = Template::Alpaca.prompt(&example.instruction, &example.input);
    let prompt = tokenizer.encode(&prompt, false);
    let cut = prompt.len().saturating_sub(settings.prompt_tokens);
    let mut tokens = vec![BEGIN];
    tokens.extend_from_slice(&prompt[cut..]);
    tokens
}

/// The row of a prompt and the first tokens of its response. A response that is not cut ends with
/// the end token.
///
/// # Errors
/// [`EvalError::Content`] if the response has no token.
pub fn row(
    example: &Example,
    settings: &Settings,
    tokenizer: &Llama2cTokenizer,
) -> Result<Row, EvalError> {
    let prompt = prompt(example, settings, tokenizer);
    let response = Template::Alpaca.parts(example, "").response;
    let mut response = tokenizer.encode(&response, false);
    response.push(END);
    response.truncate(settings.response_tokens);
    let context = prompt.len() + response.len();
    prompt_and_response(None, &prompt, &response, context).map_err(|error| EvalError::Content {
        path: PathBuf::from("dolly10"),
        reason: error.to_string(),
    })
}

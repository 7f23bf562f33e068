//! The clients: speakers of tinyshakespeare with rows to train on and rows that nobody trains on.

use super::settings::Settings;
use crate::evals::{EvalError, read};
use crate::language::bits::characters;
use crate::language::dataset::{self, DatasetError, Row};
use crate::language::llama2c::Llama2cTokenizer;
use crate::language::speakers::{self, Speaker};

/// Stands between two speeches, as in the play.
const BETWEEN: &str = "\n\n";

/// One speaker.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// The speaker's name.
    pub name: String,
    /// To train on.
    pub training: Vec<Row>,
    /// To score.
    pub held_out: Vec<Row>,
    /// Characters of the text that `held_out` scores.
    pub characters: usize,
}

/// The speakers with at least [`Settings::least_bytes`] of speech, for a decoder with so many
/// positions.
///
/// # Errors
/// [`EvalError::File`] and [`EvalError::Content`] name the text; [`EvalError::Option`] where the
/// settings ask for more than text or decoder have.
pub fn clients(
    settings: &Settings,
    tokenizer: &Llama2cTokenizer,
    positions: usize,
) -> Result<Vec<Client>, EvalError> {
    let path = settings.shared.join("data/tinyshakespeare/input.txt");
    let content = |reason: String| EvalError::Content {
        path: path.clone(),
        reason,
    };
    let text = String::from_utf8(read(&path)?).map_err(|error| content(error.to_string()))?;
    let found = speakers::speakers(&text, settings.least_bytes);
    let mut found = found.map_err(|error| content(error.to_string()))?;
    if settings.validate {
        found = found.into_iter().filter_map(Speaker::for_choices).collect();
    }
    found.truncate(settings.most_clients);
    let clients = found
        .into_iter()
        .map(|speaker| client(settings, tokenizer, speaker));
    let clients: Result<Vec<Client>, DatasetError> = clients.collect();
    let clients = clients.map_err(|error| content(error.to_string()))?;
    fits(settings, &clients, positions)?;
    Ok(clients)
}

fn client(
    settings: &Settings,
    tokenizer: &Llama2cTokenizer,
    speaker: Speaker,
) -> Result<Client, DatasetError> {
    let held_out = speaker.held_out.join(BETWEEN);
    let rows =
        |text: &str, tokens: usize| dataset::sliding(&tokenizer.encode(text, true), tokens, tokens);
    Ok(Client {
        name: speaker.name,
        training: rows(&speaker.training.join(BETWEEN), settings.row)?,
        characters: characters(&held_out),
        held_out: rows(&held_out, settings.window)?,
    })
}

/// That every batch is whole, so that equal steps are equal examples.
fn fits(settings: &Settings, clients: &[Client], positions: usize) -> Result<(), EvalError> {
    let refuse = |reason: String| Err(EvalError::Option(reason));
    let longest = settings.row.max(settings.window) + settings.num_virtual_tokens;
    if longest > positions {
        return refuse(format!(
            "{longest} rows are more than {positions} positions"
        ));
    }
    if clients.len() < settings.cohort {
        return refuse(format!("there are {} clients only", clients.len()));
    }
    match clients
        .iter()
        .find(|client| client.training.len() < settings.batch)
    {
        Some(client) => refuse(format!("{} has less than a batch", client.name)),
        None => Ok(()),
    }
}

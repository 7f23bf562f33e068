//! Held-out losses by client, and what they come to.

use core::f64::consts::LN_2;

use super::data::Client;
use super::settings::Settings;
use super::workers;
use crate::evals::EvalError;
use crate::language::bits::bits_per_character;
use crate::model::decoder::DecoderAdapter;

/// Of every client, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores(pub Vec<ClientScore>);

/// Of one client's held-out text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClientScore {
    /// Sum of `-log2 p` over all tokens.
    pub bits: f64,
    /// Characters of the text.
    pub characters: usize,
}

impl Scores {
    /// Bits of all text over its characters.
    pub fn bits_per_character(&self) -> f64 {
        let bits: f64 = self.0.iter().map(|score| score.bits).sum();
        let characters = self.0.iter().map(|score| score.characters).sum();
        bits_per_character(bits * LN_2, characters).unwrap_or(f64::NAN)
    }
}

/// Scores every client's held-out text with the adapter that `values` gives for it.
///
/// # Errors
/// Those of the engine.
pub fn scores<'a>(
    settings: &Settings,
    adapter: &DecoderAdapter,
    clients: &[Client],
    values: &(dyn Fn(usize) -> &'a [f32] + Sync),
) -> Result<Scores, EvalError> {
    let jobs: Vec<usize> = (0..clients.len()).collect();
    let scores = workers::work(settings, adapter, jobs, |learner, at| {
        let client = &clients[at];
        let score = learner.score(values(at), &client.held_out)?;
        Ok(ClientScore {
            bits: score.nats / LN_2,
            characters: client.characters,
        })
    })?;
    Ok(Scores(scores))
}

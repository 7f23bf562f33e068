//! stories260K: its greedy text, and its loss against an independent forward pass
//! (`tests/miniatures/stories260k.py`, NumPy in f64).

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{CpuEngine, EvalError, Stories};
use crate::engine::cpu::CpuKernels;
use crate::engine::generation::GeneratingEngine;
use crate::generate::Continuation;
use crate::language::dataset;
use crate::language::llama2c::{BEGIN, Llama2cTokenizer};
use crate::language::sampling::{Sampler, Sampling};
use crate::model::Decoder;
use crate::train::language::LanguageTrainer;

/// What the other program found.
const REFERENCE: &str = include_str!("../../tests/miniatures/stories260k.json");

/// The reference.
#[derive(Clone, Debug, Deserialize)]
pub struct Reference {
    /// The first is what greedy decoding gives.
    pub texts: Vec<ReferenceText>,
}

/// A text with its tokens, the begin token included, and the mean of its tokens' losses.
#[derive(Clone, Debug, Deserialize)]
pub struct ReferenceText {
    /// The text.
    pub text: String,
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// In nats.
    pub mean_loss: f64,
}

impl Reference {
    /// Reads it.
    ///
    /// # Errors
    /// [`EvalError::Content`].
    pub fn read() -> Result<Self, EvalError> {
        serde_json::from_str(REFERENCE).map_err(|error| EvalError::Content {
            path: PathBuf::from("stories260k.json"),
            reason: error.to_string(),
        })
    }
}

/// What the evaluation prints.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The model.
    pub model: &'static str,
    /// The engine.
    pub engine: &'static str,
    /// Greedy decoding from the begin token gives the known text, word for word.
    pub greedy_matches: bool,
    /// What it gives.
    pub greedy_text: String,
    /// The tokenizer gives the reference's tokens.
    pub tokens_match: bool,
    /// Largest relative difference of a text's mean loss from the reference's.
    pub loss_error: f64,
    /// The losses, in nats.
    pub losses: Vec<f64>,
    /// Greedy tokens by wall time.
    pub tokens_per_second: f64,
}

/// Evaluates the model in the folder of shared data.
///
/// # Errors
/// [`EvalError`].
pub fn run(shared: &Path) -> Result<Report, EvalError> {
    let reference = Reference::read()?;
    let mut engine = CpuEngine::new(CpuKernels::new());
    let Stories { decoder, tokenizer } = Stories::read(shared, &mut engine)?;
    let expected = reference.texts.first().map_or("", |text| &text.text);
    let start = Instant::now();
    let tokens = expected.len();
    let (greedy_text, count) = pollster::block_on(greedy(
        &mut engine,
        &decoder,
        &tokenizer,
        expected.len(),
        tokens,
    ))?;
    let seconds = start.elapsed().as_secs_f64();
    let mut trainer = LanguageTrainer::new(engine, decoder, crate::bench::OPTIMIZER);
    let (mut losses, mut loss_error, mut tokens_match) = (Vec::new(), 0.0_f64, true);
    for text in &reference.texts {
        tokens_match &= tokenizer.encode(&text.text, true) == text.tokens;
        let rows =
            dataset::sliding(&text.tokens, 512, 512).map_err(|error| EvalError::Content {
                path: PathBuf::from("stories260k.json"),
                reason: error.to_string(),
            })?;
        let loss = pollster::block_on(trainer.score(&rows, 1))?.mean();
        loss_error = loss_error.max((loss - text.mean_loss).abs() / text.mean_loss);
        losses.push(loss);
    }
    Ok(Report {
        model: "stories260K",
        engine: "cpu",
        greedy_matches: greedy_text == expected,
        greedy_text,
        tokens_match,
        loss_error,
        losses,
        tokens_per_second: count as f64 / seconds,
    })
}

/// Greedy text from the begin token on, until it has `bytes` bytes or `most` tokens; and its tokens.
///
/// # Errors
/// [`EvalError`].
pub async fn greedy<E: GeneratingEngine>(
    engine: &mut E,
    decoder: &Decoder<E::Tensor>,
    tokenizer: &Llama2cTokenizer,
    bytes: usize,
    most: usize,
) -> Result<(String, usize), EvalError> {
    let mut continuation = Continuation::new(engine, decoder, decoder.shape().context)?;
    let mut sampler = Sampler::new(Sampling {
        temperature: 0.0,
        ..Sampling::default()
    })?;
    let mut decoding = tokenizer.decoder(Some(BEGIN));
    let (mut text, mut tokens) = (String::new(), vec![BEGIN]);
    while text.len() < bytes && tokens.len() <= most {
        let last = tokens.last().map_or(&[][..], core::slice::from_ref);
        let logits = continuation.read(engine, decoder, last).await?;
        let token = sampler.next(&logits, &tokens)?;
        text.push_str(&decoding.push(token)?);
        tokens.push(token);
    }
    Ok((text, tokens.len() - 1))
}

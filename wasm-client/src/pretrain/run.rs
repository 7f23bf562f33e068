//! The whole of it: corpus, tokenizer, training, files.

use std::time::{Duration, Instant};

use serde::Serialize;
use tokenizers::Tokenizer;

use super::corpus::Corpus;
use super::model::{WholeModel, initial};
use super::{PretrainError, Settings, federated, files, tokenizer};
use crate::language::bits::{bits_per_character, characters};
use crate::language::dataset::{Row, pack};
use crate::language::draws::Draws;
use crate::train::language::Score;

/// Between two lines of progress.
const INTERVAL: Duration = Duration::from_secs(10);

/// What was made, and of what.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Weights of the model.
    pub parameters: usize,
    /// Documents and scenes to learn from.
    pub documents: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Their tokens.
    pub tokens: usize,
    /// Tokens that were learned from, repetitions counted.
    pub tokens_seen: u64,
    /// Nats a token of documentation held out.
    pub held_out_loss: f64,
    /// The same in bits a character.
    pub held_out_bits: f64,
    /// The same after quantisation, read back from the file.
    pub held_out_bits_int8: f64,
    /// Nats a token before training.
    pub first_loss: f64,
    /// Bytes of the file of weights.
    pub file_bytes: usize,
    /// Training alone.
    pub seconds: f64,
    /// Settings.
    pub settings: Settings,
}

/// The texts as rows of tokens.
pub(super) struct Rows {
    pub(super) training: Vec<Row>,
    pub(super) held_out: Vec<Row>,
    characters: usize,
}

/// Makes the model and writes it; `say` gets lines of progress.
///
/// # Errors
/// [`PretrainError`].
pub fn run(settings: &Settings, say: &dyn Fn(&str)) -> Result<Report, PretrainError> {
    let shape = settings.shape()?;
    say("reading the corpus");
    let plays = Some(settings.plays.as_path()).filter(|path| !path.as_os_str().is_empty());
    let corpus = Corpus::read(&settings.documents, plays, settings.play_repeats)?;
    let bytes = corpus.training.iter().map(String::len).sum();
    say(&format!(
        "{} documents, {bytes} bytes; the tokenizer",
        corpus.training.len()
    ));
    let tokenizer = tokenizer::train(&corpus.training, settings.pieces)?;
    let rows = rows(settings, &tokenizer, &corpus)?;
    let tokens = rows.training.iter().map(Row::scored).sum();
    say(&format!("{tokens} tokens in {} rows", rows.training.len()));

    let weights = initial(&shape, settings.seed);
    let mut model = WholeModel::new(shape, &weights)?;
    let first = held_out(&mut model, settings, &rows)?;
    say(&format!(
        "{} weights, loss {:.4}",
        weights.len(),
        first.mean()
    ));
    let began = Instant::now();
    if settings.clients == 1 {
        train(&mut model, settings, &rows, say)?;
    } else {
        federated::train(&mut model, settings, &rows, say)?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let score = held_out(&mut model, settings, &rows)?;
    let weights = model.weights()?;
    let written = files::write(settings, &shape, &weights, &tokenizer)?;
    model.load(&written.dequantised)?;
    let quantised = held_out(&mut model, settings, &rows)?;
    let bits = |score: Score| bits_per_character(score.nats, rows.characters).unwrap_or(f64::NAN);
    Ok(Report {
        parameters: weights.len(),
        documents: corpus.training.len(),
        bytes,
        tokens,
        tokens_seen: settings.steps * (settings.batch * settings.context) as u64,
        held_out_loss: score.mean(),
        held_out_bits: bits(score),
        held_out_bits_int8: bits(quantised),
        first_loss: first.mean(),
        file_bytes: written.bytes,
        seconds,
        settings: settings.clone(),
    })
}

fn rows(
    settings: &Settings,
    tokenizer: &Tokenizer,
    corpus: &Corpus,
) -> Result<Rows, PretrainError> {
    let encode = |texts: &[String]| -> Result<Vec<Row>, PretrainError> {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let encodings = tokenizer
            .encode_batch(texts, false)
            .map_err(|error| PretrainError::Tokenizer(error.to_string()))?;
        let documents = encodings.iter().map(|encoding| encoding.get_ids());
        pack(documents, 0, settings.context)
            .map_err(|error| PretrainError::Setting(error.to_string()))
    };
    let rows = Rows {
        training: encode(&corpus.training)?,
        held_out: encode(&corpus.held_out)?,
        characters: corpus.held_out.iter().map(|text| characters(text)).sum(),
    };
    let least = settings.batch * settings.clients;
    if rows.training.len() < least || rows.held_out.is_empty() {
        let text = format!("the corpus has fewer than {least} rows, or nothing to hold out");
        return Err(PretrainError::Setting(text));
    }
    Ok(rows)
}

/// Rows in an order that the seed decides, anew each time all of them were had.
pub(super) struct Order {
    draws: Draws,
    waiting: Vec<usize>,
}

impl Order {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            draws: Draws::new("choir/pretrain-rows", seed),
            waiting: Vec::new(),
        }
    }

    pub(super) fn next<'a>(&mut self, rows: &'a [Row], count: usize) -> Vec<&'a Row> {
        while self.waiting.len() < count {
            let mut all: Vec<usize> = (0..rows.len()).collect();
            self.draws.shuffle(&mut all);
            self.waiting.splice(0..0, all);
        }
        let taken = self.waiting.split_off(self.waiting.len() - count);
        taken.into_iter().map(|at| &rows[at]).collect()
    }
}

fn train(
    model: &mut WholeModel,
    settings: &Settings,
    rows: &Rows,
    say: &dyn Fn(&str),
) -> Result<(), PretrainError> {
    let mut order = Order::new(settings.seed);
    let mut progress = Progress::new(settings, say);
    for step in 0..settings.steps {
        let rate = super::schedule::learning_rate(settings.learning_rate, step, settings.steps);
        let batch = order.next(&rows.training, settings.batch);
        let loss = model.train(&batch, &settings.optimizer(rate))?;
        progress.step(step + 1, loss);
    }
    Ok(())
}

/// A line every few seconds, with the mean loss since the last.
pub(super) struct Progress<'a> {
    say: &'a dyn Fn(&str),
    began: Instant,
    last: Instant,
    losses: Vec<f32>,
    steps: u64,
    tokens: f64,
}

impl<'a> Progress<'a> {
    pub(super) fn new(settings: &Settings, say: &'a dyn Fn(&str)) -> Self {
        let now = Instant::now();
        Self {
            say,
            began: now,
            last: now,
            losses: Vec::new(),
            steps: settings.steps,
            tokens: (settings.batch * settings.context) as f64,
        }
    }

    pub(super) fn step(&mut self, done: u64, loss: f32) {
        self.losses.push(loss);
        if self.last.elapsed() < INTERVAL && done < self.steps {
            return;
        }
        self.last = Instant::now();
        let mean = self.losses.iter().sum::<f32>() / self.losses.len() as f32;
        self.losses.clear();
        let seconds = self.began.elapsed().as_secs_f64();
        let left = seconds / done as f64 * (self.steps - done) as f64;
        (self.say)(&format!(
            "step {done} of {}: loss {mean:.4}, {:.0} tokens/s, {left:.0} s left",
            self.steps,
            self.tokens * done as f64 / seconds,
        ));
    }
}

/// The model on what nobody read.
pub(super) fn held_out(
    model: &mut WholeModel,
    settings: &Settings,
    rows: &Rows,
) -> Result<Score, PretrainError> {
    let mut sum = Score::default();
    for rows in rows.held_out.chunks(settings.batch) {
        let rows: Vec<&Row> = rows.iter().collect();
        let score = model.score(&rows)?;
        sum.nats += score.nats;
        sum.tokens += score.tokens;
    }
    Ok(sum)
}

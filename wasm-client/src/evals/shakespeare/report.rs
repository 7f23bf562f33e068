//! What the evaluation prints.

use serde::Serialize;

use super::alone::Alone;
use super::data::Client;
use super::federated::Federated;
use super::scores::{ClientScore, Scores};
use super::settings::Settings;
use crate::evals::EvalError;
use crate::language::dataset::Row;
use crate::language::intervals::{ClientSum, bootstrap_by_clients};

/// Least gain of central training over the base model, in bits per character, that leaves a gap
/// worth closing.
pub const LEAST_GAP: f64 = 0.1;
/// Least part of it that federated training is to close.
pub const LEAST_CLOSED: f64 = 0.7;
/// Resamples of an interval.
const RESAMPLES: usize = 2_000;

/// A number with its 95 % interval by clients.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Held-out losses in bits per character, how they came about, and what they come to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The model.
    pub model: &'static str,
    /// The engine.
    pub engine: &'static str,
    /// The base model.
    pub base: Estimate,
    /// Each client's own adapter on its own text.
    pub local: Estimate,
    /// The adapter that all trained together.
    pub federated_lora: Estimate,
    /// The soft prompt that all trained together.
    pub federated_prompt: Estimate,
    /// The adapter trained on all text in one place.
    pub central_lora: Estimate,
    /// `base - central_lora`.
    pub gap_bits: f64,
    /// Its interval.
    pub gap_bits_interval: [f64; 2],
    /// `(base - federated_lora) / (base - central_lora)`.
    pub gap_closed: f64,
    /// Its interval.
    pub gap_closed_interval: [f64; 2],
    /// Least `gap_bits`.
    pub least_gap_bits: f64,
    /// Least `gap_closed`.
    pub least_gap_closed: f64,
    /// Whether both are reached.
    pub reached: bool,
    /// The data.
    pub data: Data,
    /// Steps of each of the four trainings.
    pub steps: u32,
    /// Rows of each of them, with repetitions.
    pub examples: u64,
    /// `examples` over the rows that there are.
    pub epochs: f64,
    /// The rounds of LoRA.
    pub lora_rounds: Rounds,
    /// The rounds of the soft prompt.
    pub prompt_rounds: Rounds,
    /// The settings by their options' names.
    pub settings: Settings,
    /// From the start.
    pub seconds: f64,
}

/// The clients' text.
#[derive(Clone, Debug, Serialize)]
pub struct Data {
    /// Clients.
    pub clients: usize,
    /// Rows to train on.
    pub training_rows: usize,
    /// Tokens of those.
    pub training_tokens: usize,
    /// Tokens held out.
    pub held_out_tokens: usize,
    /// Characters held out.
    pub held_out_characters: usize,
}

/// Federated rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Rounds {
    /// Values of the adapter.
    pub values: usize,
    /// Held-out bits per character before the first round and after each.
    pub curve: Vec<f64>,
    /// Rounds whose secure sum was, integer for integer, the plain sum.
    pub secure_sums: u32,
    /// Largest distance of a secure mean's coordinate from the unrounded one.
    pub rounding_error: f32,
    /// Coordinates that were cut to the quantiser's bound.
    pub clipped: usize,
}

impl Rounds {
    fn of(run: &Federated) -> Self {
        Self {
            values: run.values.len(),
            curve: run.curve.clone(),
            secure_sums: run.secure_sums,
            rounding_error: run.rounding_error,
            clipped: run.clipped,
        }
    }
}

impl Data {
    fn of(clients: &[Client]) -> Self {
        let tokens = |rows: &[Row]| rows.iter().map(Row::scored).sum::<usize>();
        let all = |of: &dyn Fn(&Client) -> usize| clients.iter().map(of).sum();
        Self {
            clients: clients.len(),
            training_rows: all(&|client| client.training.len()),
            training_tokens: all(&|client| tokens(&client.training)),
            held_out_tokens: all(&|client| tokens(&client.held_out)),
            held_out_characters: all(&|client| client.characters),
        }
    }
}

/// All that was trained.
pub struct Trained {
    /// The base model.
    pub base: Scores,
    /// One trainer, and each client alone.
    pub alone: Alone,
    /// LoRA together.
    pub lora: Federated,
    /// A soft prompt together.
    pub prompt: Federated,
}

impl Report {
    /// Puts it together.
    ///
    /// # Errors
    /// [`EvalError::Option`] where nothing is held out.
    pub fn new(
        settings: &Settings,
        clients: &[Client],
        trained: &Trained,
        seconds: f64,
    ) -> Result<Self, EvalError> {
        let Trained {
            base,
            alone,
            lora,
            prompt,
        } = trained;
        let bits = |scores: &Scores| estimate(settings, scores.0.iter().map(per_character));
        let gained = |scores: &Scores| -> Vec<f64> {
            let pairs = base.0.iter().zip(&scores.0);
            pairs.map(|(base, score)| base.bits - score.bits).collect()
        };
        let (gain, closed) = (gained(&alone.central), gained(&lora.scores));
        let characters = base.0.iter().map(|score| score.characters as f64);
        let gap = gain.iter().zip(characters);
        let gap = estimate(settings, gap.map(|(&sum, count)| ClientSum { sum, count }))?;
        let part = closed.iter().zip(&gain);
        let part = part.map(|(&sum, &count)| ClientSum { sum, count });
        let closed = estimate(settings, part)?;
        let data = Data::of(clients);
        let examples = u64::from(settings.steps()) * settings.batch as u64;
        Ok(Self {
            model: "stories260K",
            engine: "cpu",
            base: bits(base)?,
            local: bits(&alone.local)?,
            federated_lora: bits(&lora.scores)?,
            federated_prompt: bits(&prompt.scores)?,
            central_lora: bits(&alone.central)?,
            gap_bits: gap.value,
            gap_bits_interval: [gap.low, gap.high],
            gap_closed: closed.value,
            gap_closed_interval: [closed.low, closed.high],
            least_gap_bits: LEAST_GAP,
            least_gap_closed: LEAST_CLOSED,
            reached: gap.value >= LEAST_GAP && closed.value >= LEAST_CLOSED,
            steps: settings.steps(),
            examples,
            epochs: examples as f64 / data.training_rows as f64,
            data,
            lora_rounds: Rounds::of(lora),
            prompt_rounds: Rounds::of(prompt),
            settings: settings.clone(),
            seconds,
        })
    }
}

fn per_character(score: &ClientScore) -> ClientSum {
    ClientSum {
        sum: score.bits,
        count: score.characters as f64,
    }
}

/// A ratio of sums over clients. Where a client adds nothing below the line, the interval is of
/// the others.
fn estimate(
    settings: &Settings,
    clients: impl Iterator<Item = ClientSum>,
) -> Result<Estimate, EvalError> {
    let clients: Vec<ClientSum> = clients.collect();
    let total = |of: fn(&ClientSum) -> f64| clients.iter().map(of).sum::<f64>();
    let interval = bootstrap_by_clients(&clients, RESAMPLES, settings.seed);
    let interval =
        interval.ok_or_else(|| EvalError::Option("no client has text held out".to_owned()))?;
    Ok(Estimate {
        value: total(|client| client.sum) / total(|client| client.count),
        low: interval.low,
        high: interval.high,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three clients with 10, 20 and 30 characters, all at so many bits per character.
    fn scores(bits: f64) -> Scores {
        let score = |characters: usize| ClientScore {
            bits: bits * characters as f64,
            characters,
        };
        Scores([10, 20, 30].map(score).to_vec())
    }

    fn federated(bits: f64) -> Federated {
        Federated {
            values: vec![0.0; 5],
            curve: vec![4.0, bits],
            scores: scores(bits),
            secure_sums: 1,
            rounding_error: 0.0,
            clipped: 0,
        }
    }

    fn report(lora: f64, central: f64) -> Report {
        let trained = Trained {
            base: scores(4.0),
            alone: Alone {
                central: scores(central),
                local: scores(3.5),
            },
            lora: federated(lora),
            prompt: federated(3.75),
        };
        Report::new(&Settings::default(), &[], &trained, 1.0).unwrap()
    }

    #[test]
    fn the_gap_is_what_central_training_gains() {
        let found = report(2.5, 2.0);
        assert!((found.gap_bits - 2.0).abs() < 1e-12);
        assert!((found.gap_closed - 0.75).abs() < 1e-12);
        assert!((found.gap_closed_interval[0] - 0.75).abs() < 1e-12);
        assert!((found.base.value - 4.0).abs() < 1e-12 && found.base.high < 4.0 + 1e-9);
        assert!(found.reached);
    }

    #[test]
    fn a_small_gap_or_a_small_part_of_it_is_not_enough() {
        assert!(!report(2.7, 2.0).reached);
        assert!(!report(3.95, 3.95).reached);
    }
}

//! Preferences of people learned by federated clients (FedDPO as Ye et al. 2024, OpenFedLLM, have
//! it): pairs of HH-RLHF, stories260K, direct preference optimisation of LoRA factors.
//!
//! The pairs are cut into parts by conversation. Each part is held out once, and five clients train
//! on the others, so that every pair is compared by a model that never saw its conversation
//! (cross-validation, Stone 1974). Learning rate and number of rounds are chosen in each fold anew,
//! by a part of its clients' own pairs; what is held out decides nothing.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::progress::Progress;
use super::{EvalError, workers};
use crate::language::comparisons::Comparisons;
use crate::language::dpo::{self, Pair, Score};
use crate::language::intervals::{Interval, wilson};
use crate::language::preferences::{
    Length, Preference, PreferenceSplit, SplitError, shorter_is_chosen,
};
use fold::Fold;
use training::{Attempt, Choice, Outcome};

pub mod data;
pub mod fold;
pub mod samples;
pub mod training;

/// How; as options, `--local-steps 8`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Only so many pairs, the first ones.
    pub most_pairs: Option<usize>,
    /// Parts of the pairs, each held out once.
    pub folds: usize,
    /// Clients of each training; all take part in every round.
    pub clients: usize,
    /// Part of each client's pairs that is not trained on and judges the rounds.
    pub validation_part: f64,
    /// Rounds of a training.
    pub rounds: usize,
    /// Steps of a client in a round.
    pub local_steps: usize,
    /// Pairs of a step.
    pub batch: usize,
    /// Learning rates of the first round, each tried; they fall linearly.
    pub learning_rates: Vec<f32>,
    /// Of the loss.
    pub beta: f64,
    /// Rank of the factors, on all linear layers.
    pub rank: u16,
    /// Rank times their scale.
    pub alpha: f32,
    /// Tokens of a prompt, the last ones.
    pub prompt_tokens: usize,
    /// Tokens of an answer, the first ones.
    pub response_tokens: usize,
    /// Answers that are drawn in each fold for the divergence.
    pub drawn_answers: usize,
    /// Tokens of a drawn answer at most.
    pub drawn_tokens: usize,
    /// Decides everything that is random.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            most_pairs: None,
            folds: 5,
            clients: 5,
            validation_part: 0.1,
            rounds: 4,
            local_steps: 12,
            batch: 8,
            learning_rates: vec![3e-4, 6e-4],
            beta: 0.1,
            rank: 8,
            alpha: 16.0,
            prompt_tokens: 24,
            response_tokens: 64,
            drawn_answers: 16,
            drawn_tokens: 64,
            seed: 1,
        }
    }
}

impl Settings {
    /// Steps of a fold's trainings.
    fn steps(&self) -> usize {
        self.learning_rates.len() * self.rounds * self.clients * self.local_steps
    }
}

/// An accuracy, ties one half, with its 95 % interval.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Accuracy {
    /// The share.
    pub accuracy: f64,
    /// Lower end of Wilson's interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Comparisons that neither answer won.
    pub tied: usize,
}

/// What the evaluation prints.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The model.
    pub model: &'static str,
    /// The engine.
    pub engine: &'static str,
    /// How it was done.
    pub settings: Settings,
    /// Values of the adapter.
    pub adapter_values: usize,
    /// Pairs in the file that have one prompt and two answers.
    pub pairs: usize,
    /// Pairs that were held out and compared.
    pub held_out: usize,
    /// How often the chosen answer's reward is above the other's.
    pub reward_accuracy: Accuracy,
    /// The same with rewards per token.
    pub reward_accuracy_per_token: Accuracy,
    /// By log-probability per token, of the base model.
    pub base_likelihood_accuracy: Accuracy,
    /// Of the rule "prefer the shorter answer" on the same pairs, by characters.
    pub length_rule: f64,
    /// By words.
    pub length_rule_by_words: f64,
    /// The interval is above both.
    pub above_length_rule: bool,
    /// Mean loss of the pairs held out; ln 2 is that of the base model.
    pub held_out_loss: f64,
    /// Nats per token that the trained model drew, over all folds.
    pub divergence_per_token: f64,
    /// Tokens by which that was estimated.
    pub drawn_tokens: usize,
    /// Each fold's trainings.
    pub attempts: Vec<Vec<Attempt>>,
    /// What was chosen of each fold's.
    pub choices: Vec<Choice>,
    /// Wall time.
    pub seconds: f64,
}

/// Trains and evaluates in the folder of shared data; `say` gets a line every few seconds.
///
/// # Errors
/// [`EvalError`].
pub fn run(
    shared: &Path,
    settings: &Settings,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Report, EvalError> {
    let mut pairs = data::pairs(shared)?.pairs;
    pairs.truncate(settings.most_pairs.unwrap_or(usize::MAX));
    let parts = PreferenceSplit::new(&pairs, settings.folds, 0, settings.seed);
    let parts = parts.map_err(split_error)?.clients;
    let mut folds = Vec::new();
    for place in 0..parts.len() {
        folds.push(Fold::new(&pairs, &parts, place, settings)?);
    }
    let steps = folds.len() * settings.steps();
    let progress = Progress::new(steps as u64, say);
    progress.begin("dpo-hh");
    let held_out: Vec<&Preference> = folds
        .iter()
        .flat_map(|fold| fold.held_out.clone())
        .collect();
    let outcomes = workers::work(folds, |fold| {
        pollster::block_on(training::run(&fold, shared, settings, &progress))
    })?;
    Ok(report(
        settings,
        &held_out,
        pairs.len(),
        outcomes,
        &progress,
    ))
}

fn report(
    settings: &Settings,
    held_out: &[&Preference],
    pairs: usize,
    outcomes: Vec<Outcome>,
    progress: &Progress<'_>,
) -> Report {
    let compared: Vec<Pair> = outcomes.iter().flat_map(|o| o.held_out.clone()).collect();
    let of_base: Vec<Pair> = compared.iter().map(without_adapter).collect();
    let rule = |length| shorter_is_chosen(held_out.iter().copied(), length);
    let [characters, words] = [Length::Characters, Length::Words]
        .map(|length| rule(length).accuracy().unwrap_or(f64::NAN));
    let reward_accuracy = accuracy(dpo::comparisons(&compared, Score::Reward));
    let drawn = |of: fn(&Outcome) -> &Vec<f64>| outcomes.iter().flat_map(of).copied();
    let policy: Vec<f64> = drawn(|o| &o.drawn.policy).collect();
    let reference: Vec<f64> = drawn(|o| &o.drawn.reference).collect();
    Report {
        model: "stories260K",
        engine: "cpu",
        settings: settings.clone(),
        adapter_values: outcomes.first().map_or(0, |outcome| outcome.adapter_values),
        pairs,
        held_out: compared.len(),
        reward_accuracy,
        reward_accuracy_per_token: accuracy(dpo::comparisons(&compared, Score::RewardPerToken)),
        base_likelihood_accuracy: accuracy(dpo::comparisons(&of_base, Score::LikelihoodPerToken)),
        length_rule: characters,
        length_rule_by_words: words,
        above_length_rule: reward_accuracy.low > characters.max(words),
        held_out_loss: dpo::mean_loss(&compared, settings.beta).unwrap_or(f64::NAN),
        divergence_per_token: dpo::divergence_per_token(&policy, &reference).unwrap_or(f64::NAN),
        drawn_tokens: policy.len(),
        choices: outcomes.iter().map(|outcome| outcome.choice).collect(),
        attempts: outcomes
            .into_iter()
            .map(|outcome| outcome.attempts)
            .collect(),
        seconds: progress.seconds(),
    }
}

/// What the base model says of the pair.
fn without_adapter(pair: &Pair) -> Pair {
    let mut pair = *pair;
    pair.chosen.policy = pair.chosen.reference;
    pair.rejected.policy = pair.rejected.reference;
    pair
}

fn accuracy(comparisons: Comparisons) -> Accuracy {
    let interval = wilson(comparisons.successes(), comparisons.count());
    let interval = interval.unwrap_or(Interval {
        low: 0.0,
        high: 1.0,
    });
    Accuracy {
        accuracy: comparisons.accuracy().unwrap_or(f64::NAN),
        low: interval.low,
        high: interval.high,
        tied: comparisons.tied,
    }
}

/// Too few pairs.
fn split_error(error: SplitError) -> EvalError {
    EvalError::Content {
        path: PathBuf::from("harmless_base_test.jsonl.gz"),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests;

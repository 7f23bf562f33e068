//! Instructions followed by federated clients (as Zhang et al. 2023, Shepherd, have it): Dolly's
//! instructions, ten clients by category, stories260K, low-rank factors, the loss of the response.
//!
//! Three arms start from the same version 0: the clients together (FedAvg), every client alone with
//! the steps it has in federated training, and one trainer of everybody's instructions with the
//! steps of all clients together.
//!
//! The rates were chosen with `--validate-by 8 --batch 4`, where the last eight instructions of each
//! client stand in for the test and nobody trains on them. Nats per response token there, 4.623
//! before training:
//!
//! | | together | alone | in one place |
//! |---|---|---|---|
//! | 0.005, 4 rounds of 8 steps | 3.521 | 3.677 | 3.215 |
//! | 0.015, 3 rounds of 16 steps | 3.445 | 3.873 | 3.384 |

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::progress::Progress;
use super::{EvalError, workers};
use crate::language::instructions::Split;
use training::{Arm, Job, Outcome};

pub mod answers;
pub mod data;
pub mod training;

/// How; as options, `--local-steps 8`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Rounds; all clients take part in each.
    pub rounds: usize,
    /// Steps of a client in a round.
    pub local_steps: usize,
    /// Instructions of a step.
    pub batch: usize,
    /// Learning rate of the first step of federated training; all fall linearly.
    pub federated_rate: f32,
    /// The same of a client alone, and of central training. Means of several clients move less.
    pub alone_rate: f32,
    /// Rank of the factors, on all linear layers.
    pub rank: u16,
    /// Rank times their scale.
    pub alpha: f32,
    /// Tokens of a prompt, the last ones.
    pub prompt_tokens: usize,
    /// Tokens of a response, the first ones.
    pub response_tokens: usize,
    /// Tokens of a greedy answer at most.
    pub answer_tokens: usize,
    /// Answers that the report shows.
    pub shown_answers: usize,
    /// Everything is done once for each.
    pub seeds: Vec<u64>,
    /// Puts some of the clients' own instructions in the test's place, so many of each, to choose
    /// the other settings by: they are trained on no more, and the test is not looked at.
    pub validate_by: Option<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rounds: 5,
            local_steps: 12,
            batch: 4,
            federated_rate: 1e-2,
            alone_rate: 5e-3,
            rank: 8,
            alpha: 16.0,
            prompt_tokens: 128,
            response_tokens: 128,
            answer_tokens: 64,
            shown_answers: 3,
            seeds: vec![1],
            validate_by: None,
        }
    }
}

/// What one seed gives.
#[derive(Clone, Debug, Serialize)]
pub struct Seed {
    /// The seed.
    pub seed: u64,
    /// Mean loss of the test's response tokens after federated training.
    pub loss_federated: f64,
    /// The same after training alone, mean over the clients.
    pub loss_local_mean: f64,
    /// Of each client.
    pub loss_local: Vec<f64>,
    /// After central training.
    pub loss_central: f64,
    /// After each round of federated training.
    pub curve: Vec<f64>,
    /// Mean ROUGE-L of the greedy answers after federated training.
    pub rouge_l_federated: f64,
    /// The first of them.
    pub answers: Vec<String>,
}

/// What the evaluation prints.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The model.
    pub model: &'static str,
    /// The engine.
    pub engine: &'static str,
    /// The format of the prompts.
    pub template: &'static str,
    /// How it was done.
    pub settings: Settings,
    /// Values of the adapter.
    pub adapter_values: usize,
    /// Instructions of each client.
    pub client_examples: Vec<usize>,
    /// Instructions of the test.
    pub test_examples: usize,
    /// Their response tokens, which are scored.
    pub test_tokens: usize,
    /// Steps of federated and of central training; a client alone has its part of them.
    pub steps: usize,
    /// Mean loss of the test's response tokens before training, in nats.
    pub loss_base: f64,
    /// Mean over the seeds, as the next ones.
    pub loss_federated: f64,
    /// Mean over the clients too.
    pub loss_local_mean: f64,
    /// Everybody's instructions in one place.
    pub loss_central: f64,
    /// Mean ROUGE-L of the greedy answers before training.
    pub rouge_l_base: f64,
    /// After federated training.
    pub rouge_l_federated: f64,
    /// The first answers before training.
    pub answers_base: Vec<String>,
    /// Each seed.
    pub seeds: Vec<Seed>,
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
    let mut split = data::split(shared)?;
    if let Some(count) = settings.validate_by {
        hide_the_test(&mut split, count);
    }
    let jobs = jobs(settings);
    let steps: usize = jobs.iter().map(|job| job.arm.steps(settings)).sum();
    let progress = Progress::new(steps as u64, say);
    progress.begin("instruct-dolly");
    let outcomes = workers::work(jobs.clone(), |job| {
        pollster::block_on(training::run(job, &split, shared, settings, &progress))
    })?;
    let outcomes = Outcomes(jobs.into_iter().zip(outcomes).collect());
    Ok(report(settings, &split, &outcomes, progress.seconds()))
}

/// The last instructions of each client become the test.
fn hide_the_test(split: &mut Split, count: usize) {
    split.test.all.clear();
    for client in &mut split.clients {
        let kept = client.all.len().saturating_sub(count);
        split.test.all.extend(client.all.split_off(kept));
    }
}

/// The longest first, so that no core waits for them at the end.
fn jobs(settings: &Settings) -> Vec<Job> {
    let arms = [Arm::Federated, Arm::Central].into_iter();
    let arms = arms.chain((0..data::CLIENTS).map(Arm::Local));
    let jobs = arms.flat_map(|arm| settings.seeds.iter().map(move |&seed| Job { arm, seed }));
    // Version 0 says the same for every seed.
    let base = settings.seeds.first().map(|&seed| Job {
        arm: Arm::Base,
        seed,
    });
    jobs.chain(base).collect()
}

struct Outcomes(Vec<(Job, Outcome)>);

impl Outcomes {
    /// Those of one arm.
    fn of(&self, arm: Arm, seed: Option<u64>) -> impl Iterator<Item = &Outcome> {
        let wanted = move |job: &Job| job.arm == arm && seed.is_none_or(|seed| seed == job.seed);
        self.0
            .iter()
            .filter(move |(job, _)| wanted(job))
            .map(|(_, outcome)| outcome)
    }

    fn first(&self, arm: Arm, seed: Option<u64>) -> Outcome {
        self.of(arm, seed).next().cloned().unwrap_or_default()
    }

    fn seed(&self, seed: u64) -> Seed {
        let federated = self.first(Arm::Federated, Some(seed));
        let local =
            (0..data::CLIENTS).map(|client| self.first(Arm::Local(client), Some(seed)).loss);
        let loss_local: Vec<f64> = local.collect();
        Seed {
            seed,
            loss_federated: federated.loss,
            loss_local_mean: mean(loss_local.iter().copied()),
            loss_local,
            loss_central: self.first(Arm::Central, Some(seed)).loss,
            curve: federated.curve,
            rouge_l_federated: federated.rouge_l.unwrap_or_default(),
            answers: federated.answers,
        }
    }
}

fn report(settings: &Settings, split: &Split, outcomes: &Outcomes, seconds: f64) -> Report {
    let base = outcomes.first(Arm::Base, None);
    let seeds: Vec<Seed> = settings
        .seeds
        .iter()
        .map(|&seed| outcomes.seed(seed))
        .collect();
    let over_seeds = |of: fn(&Seed) -> f64| mean(seeds.iter().map(of));
    Report {
        model: "stories260K",
        engine: "cpu",
        template: "alpaca",
        settings: settings.clone(),
        adapter_values: base.adapter_values,
        client_examples: split
            .clients
            .iter()
            .map(|client| client.all.len())
            .collect(),
        test_examples: split.test.all.len(),
        test_tokens: base.tokens,
        steps: Arm::Federated.steps(settings),
        loss_base: base.loss,
        loss_federated: over_seeds(|seed| seed.loss_federated),
        loss_local_mean: over_seeds(|seed| seed.loss_local_mean),
        loss_central: over_seeds(|seed| seed.loss_central),
        rouge_l_base: base.rouge_l.unwrap_or_default(),
        rouge_l_federated: over_seeds(|seed| seed.rouge_l_federated),
        answers_base: base.answers,
        seeds,
        seconds,
    }
}

/// Not a number without values.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values {
        sum += value;
        count += 1.0;
    }
    sum / count
}

#[cfg(test)]
mod tests;

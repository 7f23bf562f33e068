//! Federated training on a fold's clients, and the choice of what is compared on the pairs held out.

use std::path::Path;

use serde::Serialize;

use super::fold::Fold;
use super::samples::Drawn;
use super::{Settings, data, samples};
use crate::evals::EvalError;
use crate::evals::mean::Mean;
use crate::evals::progress::Progress;
use crate::evals::start::{Student, optimizer};
use crate::language::dpo::{self, Pair, Score};
use crate::language::preferences::Preference;
use crate::train::batch::Shuffle;
use crate::train::preferences::ReferredPair;

/// After a round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Round {
    /// Mean loss of the steps of the round, each before its update.
    pub training_loss: f64,
    /// Mean loss of the clients' validation pairs.
    pub validation_loss: f64,
    /// How often the chosen answer's reward is above the other's there.
    pub validation_accuracy: f64,
}

/// A training with one learning rate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attempt {
    /// The rate of its first round.
    pub learning_rate: f32,
    /// Round after round.
    pub rounds: Vec<Round>,
}

/// The version with the lowest validation loss of all attempts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// The rate it was trained with.
    pub learning_rate: f32,
    /// After how many rounds; none is the base model.
    pub round: usize,
    /// Its validation loss.
    pub validation_loss: f64,
}

/// What came of a fold.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Each learning rate's training.
    pub attempts: Vec<Attempt>,
    /// What was chosen of them.
    pub choice: Choice,
    /// What it says of the pairs held out.
    pub held_out: Vec<Pair>,
    /// Log-probabilities by it and by the reference of tokens that it drew.
    pub drawn: Drawn,
    /// Values of the adapter.
    pub adapter_values: usize,
}

/// Trains on the clients' pairs and compares the pairs held out, which decide nothing.
///
/// # Errors
/// [`EvalError`].
pub async fn run(
    fold: &Fold<'_>,
    shared: &Path,
    settings: &Settings,
    progress: &Progress<'_>,
) -> Result<Outcome, EvalError> {
    let student = Student::new(shared, settings.rank, settings.alpha, settings.seed)?;
    let adapter_values = student.start.len();
    let mut training = Training::new(student, fold, settings, progress).await?;
    let mut attempts = Vec::new();
    for &learning_rate in &settings.learning_rates {
        attempts.push(training.attempt(learning_rate).await?);
    }
    let Best { choice, adapter } = training.best.clone();
    training.student.trainer.set_adapter(&adapter)?;
    let held_out = training.referred(&fold.held_out).await?;
    let held_out = training.compared(&held_out).await?;
    let drawn = samples::draw(&mut training.student, fold, settings, progress).await?;
    Ok(Outcome {
        attempts,
        choice,
        held_out,
        drawn,
        adapter_values,
    })
}

/// The best version so far.
#[derive(Clone)]
struct Best {
    choice: Choice,
    adapter: Vec<f32>,
}

struct Training<'a> {
    student: Student,
    settings: &'a Settings,
    progress: &'a Progress<'a>,
    clients: Vec<Vec<ReferredPair>>,
    validation: Vec<ReferredPair>,
    best: Best,
    seed: u64,
}

impl<'a> Training<'a> {
    /// Asks the reference of every pair, once.
    async fn new(
        student: Student,
        fold: &Fold<'_>,
        settings: &'a Settings,
        progress: &'a Progress<'a>,
    ) -> Result<Self, EvalError> {
        let base = Choice {
            learning_rate: 0.0,
            round: 0,
            // Of a model that is its reference.
            validation_loss: core::f64::consts::LN_2,
        };
        let mut training = Self {
            best: Best {
                choice: base,
                adapter: student.start.clone(),
            },
            student,
            settings,
            progress,
            clients: Vec::new(),
            validation: Vec::new(),
            seed: fold.seed,
        };
        for pairs in &fold.clients {
            let referred = training.referred(pairs).await?;
            training.clients.push(referred);
        }
        training.validation = training.referred(&fold.validation.concat()).await?;
        Ok(training)
    }

    async fn referred(&mut self, pairs: &[&Preference]) -> Result<Vec<ReferredPair>, EvalError> {
        let mut referred = Vec::new();
        for pair in pairs {
            let [chosen, rejected] = data::rows(pair, self.settings, &self.student.tokenizer)?;
            referred.push(self.student.trainer.referred(chosen, rejected).await?);
            self.progress.work();
        }
        Ok(referred)
    }

    async fn compared(&mut self, pairs: &[ReferredPair]) -> Result<Vec<Pair>, EvalError> {
        let pairs: Vec<&ReferredPair> = pairs.iter().collect();
        Ok(self.student.trainer.compared(&pairs).await?)
    }

    /// A training from version 0.
    async fn attempt(&mut self, learning_rate: f32) -> Result<Attempt, EvalError> {
        let mut shuffles = self.shuffles();
        let mut global = self.student.start.clone();
        let mut rounds = Vec::new();
        for round in 1..=self.settings.rounds {
            let left = self.settings.rounds + 1 - round;
            let rate = learning_rate * left as f32 / self.settings.rounds as f32;
            self.student.trainer.set_optimizer(optimizer(rate));
            let (mut mean, mut said) = (Mean::default(), Vec::new());
            for (client, shuffle) in shuffles.iter_mut().enumerate() {
                self.student.trainer.set_adapter(&global)?;
                said.extend(self.on_client(client, shuffle).await?);
                let adapter = self.student.trainer.adapter().await?;
                mean.add(&adapter, self.clients[client].len());
            }
            global = mean.adapter().unwrap_or(global);
            self.student.trainer.set_adapter(&global)?;
            let score = self.score(&said).await?;
            rounds.push(score);
            self.keep_if_best(learning_rate, round, score, &global);
        }
        Ok(Attempt {
            learning_rate,
            rounds,
        })
    }

    fn shuffles(&self) -> Vec<Shuffle> {
        let clients = self.clients.iter().zip(0u64..);
        clients
            .map(|(pairs, place)| Shuffle::new(pairs.len(), (self.seed << 32) + place))
            .collect()
    }

    /// The client's steps of a round; yields what was said of their pairs before each.
    async fn on_client(
        &mut self,
        client: usize,
        shuffle: &mut Shuffle,
    ) -> Result<Vec<Pair>, EvalError> {
        let (settings, own) = (self.settings, &self.clients[client]);
        let mut said = Vec::new();
        for _ in 0..settings.local_steps {
            let drawn = shuffle.draw(settings.batch);
            let pairs: Vec<&ReferredPair> = drawn.iter().map(|&at| &own[at]).collect();
            let trainer = &mut self.student.trainer;
            said.extend(trainer.preference_step(&pairs, settings.beta).await?);
            self.progress.step();
        }
        Ok(said)
    }

    async fn score(&mut self, said: &[Pair]) -> Result<Round, EvalError> {
        let validation: Vec<&ReferredPair> = self.validation.iter().collect();
        let validation = self.student.trainer.compared(&validation).await?;
        let loss = |pairs: &[Pair]| dpo::mean_loss(pairs, self.settings.beta).unwrap_or(f64::NAN);
        let accuracy = dpo::comparisons(&validation, Score::Reward).accuracy();
        Ok(Round {
            training_loss: loss(said),
            validation_loss: loss(&validation),
            validation_accuracy: accuracy.unwrap_or(f64::NAN),
        })
    }

    fn keep_if_best(&mut self, learning_rate: f32, round: usize, score: Round, adapter: &[f32]) {
        let validation_loss = score.validation_loss;
        if validation_loss < self.best.choice.validation_loss {
            self.best = Best {
                choice: Choice {
                    learning_rate,
                    round,
                    validation_loss,
                },
                adapter: adapter.to_vec(),
            };
        }
    }
}

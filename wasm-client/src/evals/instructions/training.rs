//! The three ways to train, each from the same start with as many steps: clients together, clients
//! alone, and everybody's instructions in one place.

use std::path::Path;

use super::{Settings, answers, data};
use crate::evals::EvalError;
use crate::evals::mean::Mean;
use crate::evals::progress::Progress;
use crate::evals::start::{Student, optimizer};
use crate::language::dataset::Row;
use crate::language::instructions::{Instruction, Split};
use crate::train::batch::Shuffle;

/// Part of the first learning rate that is left at the end.
const LAST_RATE: f32 = 0.05;
/// Rows that are scored at once.
const SCORED_AT_ONCE: usize = 8;

/// Who trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// Nobody.
    Base,
    /// All clients, their adapters averaged after each round.
    Federated,
    /// One trainer with all clients' instructions and the steps of them all.
    Central,
    /// This client alone, with its own steps.
    Local(usize),
}

/// One training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Who trains.
    pub arm: Arm,
    /// Of everything that is random.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Mean loss of the test's response tokens at the end, in nats.
    pub loss: f64,
    /// The same after each round, of federated training.
    pub curve: Vec<f64>,
    /// Tokens of the test that are scored.
    pub tokens: usize,
    /// Mean ROUGE-L of greedy answers to the test; none of an arm that answers nothing.
    pub rouge_l: Option<f64>,
    /// The first of these answers.
    pub answers: Vec<String>,
    /// Values of the adapter.
    pub adapter_values: usize,
}

impl Arm {
    fn answers(self) -> bool {
        matches!(self, Self::Base | Self::Federated)
    }

    fn rate(self, settings: &Settings) -> f32 {
        match self {
            Self::Base | Self::Federated => settings.federated_rate,
            Self::Central | Self::Local(_) => settings.alone_rate,
        }
    }

    /// Its steps.
    pub fn steps(self, settings: &Settings) -> usize {
        let of_client = settings.rounds * settings.local_steps;
        match self {
            Self::Base => 0,
            Self::Federated | Self::Central => of_client * data::CLIENTS,
            Self::Local(_) => of_client,
        }
    }
}

/// Trains and scores.
///
/// # Errors
/// [`EvalError`].
pub async fn run(
    job: Job,
    split: &Split,
    shared: &Path,
    settings: &Settings,
    progress: &Progress<'_>,
) -> Result<Outcome, EvalError> {
    let student = Student::new(shared, settings.rank, settings.alpha, job.seed)?;
    let row = |asked: &Instruction| data::row(&asked.example, settings, &student.tokenizer);
    let test = split.test.all.iter().map(row).collect::<Result<_, _>>()?;
    let clients: Vec<&[Instruction]> = split.clients.iter().map(|c| &c.all[..]).collect();
    let mut training = Training {
        student,
        settings,
        progress,
        test,
        job,
    };
    let curve = match job.arm {
        Arm::Base => Vec::new(),
        Arm::Federated => training.federated(&clients).await?,
        Arm::Central => {
            training.alone(&clients.concat()).await?;
            Vec::new()
        }
        Arm::Local(client) => {
            let own = clients.get(client).copied().unwrap_or_default();
            training.alone(own).await?;
            Vec::new()
        }
    };
    let mut outcome = training.outcome().await?;
    outcome.curve = curve;
    if job.arm.answers() {
        let test = &split.test.all;
        let answered = answers::answers(&mut training.student, test, settings, progress).await?;
        outcome.rouge_l = answers::mean_rouge_l(test, &answered);
        outcome.answers = answered.into_iter().take(settings.shown_answers).collect();
    }
    Ok(outcome)
}

struct Training<'a> {
    student: Student,
    settings: &'a Settings,
    progress: &'a Progress<'a>,
    test: Vec<Row>,
    job: Job,
}

impl Training<'_> {
    /// Yields the test's loss after each round.
    async fn federated(&mut self, clients: &[&[Instruction]]) -> Result<Vec<f64>, EvalError> {
        let seed = |place| (self.job.seed << 32) + place as u64;
        let shuffles = clients.iter().enumerate();
        let mut shuffles: Vec<Shuffle> = shuffles
            .map(|(place, own)| Shuffle::new(own.len(), seed(place)))
            .collect();
        let mut global = self.student.start.clone();
        let mut curve = Vec::new();
        let (rounds, steps) = (self.settings.rounds, self.settings.local_steps);
        for round in 0..rounds {
            let mut mean = Mean::default();
            for (own, shuffle) in clients.iter().zip(&mut shuffles) {
                self.student.trainer.set_adapter(&global)?;
                for step in 0..steps {
                    let part = (round * steps + step) as f32 / (rounds * steps) as f32;
                    self.step(own, shuffle, part).await?;
                }
                mean.add(&self.student.trainer.adapter().await?, own.len());
            }
            global = mean.adapter().unwrap_or(global);
            self.student.trainer.set_adapter(&global)?;
            curve.push(self.outcome().await?.loss);
        }
        Ok(curve)
    }

    async fn alone(&mut self, own: &[Instruction]) -> Result<(), EvalError> {
        let steps = self.job.arm.steps(self.settings);
        let mut shuffle = Shuffle::new(own.len(), self.job.seed);
        for step in 0..steps {
            self.step(own, &mut shuffle, step as f32 / steps as f32)
                .await?;
        }
        Ok(())
    }

    /// A step after this part of all.
    async fn step(
        &mut self,
        own: &[Instruction],
        shuffle: &mut Shuffle,
        part: f32,
    ) -> Result<(), EvalError> {
        let rate = self.job.arm.rate(self.settings) * (1.0 - (1.0 - LAST_RATE) * part);
        self.student.trainer.set_optimizer(optimizer(rate));
        let drawn = shuffle.draw(self.settings.batch);
        let row = |&at: &usize| data::row(&own[at].example, self.settings, &self.student.tokenizer);
        let rows = drawn.iter().map(row).collect::<Result<Vec<Row>, _>>()?;
        let rows: Vec<&Row> = rows.iter().collect();
        self.student.trainer.step(&rows).await?;
        self.progress.step();
        Ok(())
    }

    async fn outcome(&mut self) -> Result<Outcome, EvalError> {
        let score = self
            .student
            .trainer
            .score(&self.test, SCORED_AT_ONCE)
            .await?;
        Ok(Outcome {
            loss: score.mean(),
            tokens: score.tokens,
            adapter_values: self.student.start.len(),
            ..Outcome::default()
        })
    }
}

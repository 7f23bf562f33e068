//! Federated training of one adapter: rounds of local training, the secure sum of the updates and
//! the server's step (McMahan et al. 2017; Reddi et al. 2021).

use choir_shared::sim::random::Stream;
use choir_shared::strategy::{ServerOptimizer, ServerState};
use choir_shared::task::Quantiser;

use super::data::Client;
use super::learner::Lesson;
use super::scores::{Scores, scores};
use super::settings::Settings;
use super::start::Start;
use super::workers;
use crate::evals::EvalError;
use crate::evals::progress::Progress;
use crate::language::dataset::Row;
use crate::sim::sum::{self, Update};

/// Greatest weight of a client; more rows count as this many.
const WEIGHT_MAX: u32 = 512;
/// An AdamW step moves a coordinate by about its rate at most; sums are cut to this many of them.
const STEPS_OF_BOUND: f32 = 2.0;

/// What the rounds came to.
pub struct Federated {
    /// The last version.
    pub values: Vec<f32>,
    /// Held-out bits per character before the first round and after each.
    pub curve: Vec<f64>,
    /// The last version's scores.
    pub scores: Scores,
    /// Rounds whose secure sum was the plain sum of the same integers; the run ends where one is not.
    pub secure_sums: u32,
    /// Largest distance of a secure mean's coordinate from the unrounded one.
    pub rounding_error: f32,
    /// Coordinates that were cut to the quantiser's bound.
    pub clipped: usize,
}

/// A federated run.
pub struct Run<'a> {
    /// The settings.
    pub settings: &'a Settings,
    /// All clients.
    pub clients: &'a [Client],
    /// The adapter at version 0.
    pub start: &'a Start,
    /// Rate of the clients' first round.
    pub rate: f32,
    /// What the server does with the mean.
    pub server: ServerOptimizer,
    /// How it is called.
    pub name: &'a str,
}

impl Run<'_> {
    /// Trains it.
    ///
    /// # Errors
    /// Those of training, and [`EvalError::SumDiffers`].
    pub fn train(&self, progress: &Progress<'_>) -> Result<Federated, EvalError> {
        let mut values = self.start.values.clone();
        let mut server = ServerState::default();
        let scores_of = |values: &[f32]| {
            scores(self.settings, &self.start.adapter, self.clients, &|_| {
                values
            })
        };
        let scores = scores_of(&values)?;
        let mut found = Federated {
            values: Vec::new(),
            curve: vec![scores.bits_per_character()],
            scores,
            secure_sums: 0,
            rounding_error: 0.0,
            clipped: 0,
        };
        for round in 1..=self.settings.rounds {
            progress.begin(format!("{}, round {round}", self.name));
            let mean = self.mean(round, &values, &mut found, progress)?;
            self.server.step(&mut server, &mut values, &mean);
            found.scores = scores_of(&values)?;
            found.curve.push(found.scores.bits_per_character());
            progress.note(&format!(
                "{}, round {round}: {:.4} bits per character, {:.0} s",
                self.name,
                found.scores.bits_per_character(),
                progress.seconds()
            ));
        }
        found.values = values;
        Ok(found)
    }

    /// The mean update of a round's cohort, by the secure sum.
    fn mean(
        &self,
        round: u32,
        values: &[f32],
        found: &mut Federated,
        progress: &Progress<'_>,
    ) -> Result<Vec<f32>, EvalError> {
        let settings = self.settings;
        let mut stream = Stream::new(settings.seed, &format!("round {round}"));
        let cohort = stream.choose(settings.cohort, self.clients.len());
        let quantiser = self.quantiser(round);
        let updates = workers::work(settings, &self.start.adapter, cohort, |learner, client| {
            let rows: Vec<&Row> = self.clients[client].training.iter().collect();
            let lesson = self.lesson(round, client, &rows);
            let after = learner.train(values, &lesson, progress)?;
            Ok(Update {
                change: after.iter().zip(values).map(|(a, b)| a - b).collect(),
                weight: self.weight(&quantiser, rows.len()),
                close: None,
            })
        })?;
        let secure = sum::secure(&updates, quantiser, stream.next_word())?;
        let plain = sum::plain(&updates);
        let (Some(mean), Some(plain), true) = (secure.mean, plain, secure.is_plain_sum) else {
            return Err(EvalError::SumDiffers { round });
        };
        let distances = mean.iter().zip(&plain).map(|(s, p)| (s - p).abs());
        found.rounding_error = distances.fold(found.rounding_error, f32::max);
        let changes = updates.iter().flat_map(|update| &update.change);
        found.clipped += changes
            .filter(|value| value.abs() > quantiser.bound)
            .count();
        found.secure_sums += 1;
        Ok(mean)
    }

    /// Each round's share of the falling rate.
    fn parts(&self, round: u32) -> [f32; 2] {
        let rounds = self.settings.rounds as f32;
        [(round - 1) as f32 / rounds, round as f32 / rounds]
    }

    fn lesson<'r>(&self, round: u32, client: usize, rows: &'r [&'r Row]) -> Lesson<'r> {
        let purpose = format!("client {client} round {round}");
        Lesson {
            rows,
            steps: self.settings.local_steps,
            rate: self.rate,
            parts: self.parts(round),
            seed: Stream::new(self.settings.seed, &purpose).next_word(),
        }
    }

    fn quantiser(&self, round: u32) -> Quantiser {
        let rate = self.settings.rate(self.rate, self.parts(round)[0]);
        let bound = STEPS_OF_BOUND * rate * self.settings.local_steps as f32;
        sum::quantiser(bound, WEIGHT_MAX)
    }

    fn weight(&self, quantiser: &Quantiser, rows: usize) -> u32 {
        match self.server.counts_clients() {
            true => 1,
            false => sum::weight(quantiser, rows),
        }
    }
}

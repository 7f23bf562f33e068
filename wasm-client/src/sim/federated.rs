//! One run: a strategy with a seed, round after round, its state on disk after each.

use std::path::Path;
use std::time::Instant;

use choir_shared::sim::Close;
use choir_shared::sim::random::Stream;
use choir_shared::strategy::ServerState;
use choir_shared::task::Quantiser;

use super::Event;
use super::centroids::StartingPoint;
use super::client::{ClientTrainer, Lesson};
use super::error::SimError;
use super::personal;
use super::record::{Final, Record};
use super::state::State;
use super::strategy::{Strategy, Weighting};
use super::sum::{self, CLOSES, Update};
use super::work::Work;
use crate::train::batch::Examples;

/// A run under way.
pub(super) struct Run<'a> {
    work: &'a Work<'a>,
    strategy: &'a Strategy,
    seed: u64,
    shares: Vec<Vec<usize>>,
    trainer: ClientTrainer,
    watched: Examples,
    quantiser: Quantiser,
}

/// Who takes part in a round, and when each drops out.
struct Cohort {
    clients: Vec<usize>,
    closes: Vec<Option<Close>>,
    /// Of the round's keys, masks and delays.
    seed: u64,
}

/// Runs a strategy to its end, or to where the experiment is to stop.
pub(super) fn run(
    work: &Work<'_>,
    start: &StartingPoint,
    strategy: &Strategy,
    seed: u64,
    on_event: &dyn Fn(Event),
) -> Result<State, SimError> {
    let config = work.config;
    let settings = config.digest(strategy, seed, work.data.digest);
    let path = work.file(&format!("{}-{seed}.state", strategy.slug()));
    let mut run = Run::new(work, start, strategy, seed)?;
    let stored = if work.resume {
        State::read(&path, settings)?
    } else {
        None
    };
    let mut state = match stored {
        Some(state) => {
            for record in &state.records {
                on_event(Event::Stored(record.clone()));
            }
            state
        }
        None => run.begin(&path, settings, on_event)?,
    };
    while state.round < work.last_round() {
        let record = run.round(&mut state)?;
        state.records.push(record.clone());
        state.write(&path, settings)?;
        on_event(Event::Round(record));
    }
    if state.round >= config.rounds
        && state
            .last
            .as_ref()
            .is_none_or(|(round, _)| *round != state.round)
    {
        let all = run
            .trainer
            .evaluate(&state.values, &work.data.test.all()?)?;
        let personal = match &config.personalization {
            Some(settings) => {
                let Run {
                    trainer, shares, ..
                } = &mut run;
                personal::measure(trainer, work.data, shares, settings, &state.values, seed)?
            }
            None => Vec::new(),
        };
        let last = Final {
            accuracy: all.accuracy,
            loss: all.loss,
            personal,
        };
        state.last = Some((state.round, last));
        state.write(&path, settings)?;
    }
    Ok(state)
}

impl<'a> Run<'a> {
    fn new(
        work: &'a Work<'a>,
        start: &StartingPoint,
        strategy: &'a Strategy,
        seed: u64,
    ) -> Result<Self, SimError> {
        let (config, data) = (work.config, work.data);
        let rate = strategy
            .learning_rate
            .unwrap_or(config.training.learning_rate);
        let bound = strategy
            .bound
            .unwrap_or(4.0 * rate * config.training.steps as f32);
        Ok(Self {
            work,
            strategy,
            seed,
            shares: data.shares(config, seed)?,
            trainer: ClientTrainer::new(start, data, config, strategy, seed)?,
            watched: data.test.pack(&data.watched)?,
            quantiser: sum::quantiser(bound, config.sum.weight_max),
        })
    }

    /// Version 0 and what it is worth.
    fn begin(
        &mut self,
        path: &Path,
        settings: choir_shared::ids::Digest,
        on_event: &dyn Fn(Event),
    ) -> Result<State, SimError> {
        let values = self.trainer.values();
        let mut state = State {
            round: 0,
            server: ServerState::default(),
            records: Vec::new(),
            last: None,
            values,
        };
        let record = self.measured(&state, Record::default(), Instant::now())?;
        state.records.push(record.clone());
        state.write(path, settings)?;
        on_event(Event::Round(record));
        Ok(state)
    }

    fn round(&mut self, state: &mut State) -> Result<Record, SimError> {
        let start = Instant::now();
        let round = state.round + 1;
        let cohort = self.cohort(round);
        let mut updates = Vec::with_capacity(cohort.clients.len());
        for (&client, close) in cohort.clients.iter().zip(&cohort.closes) {
            updates.push(self.update(&state.values, client, round, *close)?);
        }
        let over = |value: &&f32| value.abs() > self.quantiser.bound;
        let mut record = Record {
            clients: updates.len(),
            dropped: updates.iter().filter(|update| !update.arrives()).count(),
            clipped: updates
                .iter()
                .map(|u| u.change.iter().filter(over).count())
                .sum(),
            bytes_up: 4 * (state.values.len() as u64 + 1),
            bytes_down: 4 * state.values.len() as u64,
            ..Record::default()
        };
        let mean = self.mean(&updates, cohort.seed, round, &mut record)?;
        record.aborted = mean.is_none();
        if let Some(mean) = mean {
            let server = &self.strategy.server;
            server.step(&mut state.server, &mut state.values, &mean);
        }
        state.round = round;
        self.measured(state, record, start)
    }

    /// One client's training and what it sends.
    fn update(
        &mut self,
        values: &[f32],
        client: usize,
        round: u32,
        close: Option<Close>,
    ) -> Result<Update, SimError> {
        let places = &self.shares[client];
        let purpose = format!("client {client} round {round}");
        let lesson = Lesson {
            texts: &self.work.data.train,
            places,
            steps: self.work.config.training.steps,
            seed: Stream::new(self.seed, &purpose).next_word(),
        };
        let after = self.trainer.train(values, &lesson, |_| {})?;
        let change: Vec<f32> = after.iter().zip(values).map(|(a, b)| a - b).collect();
        if !change.iter().all(|value| value.is_finite()) {
            return Err(SimError::NotFinite {
                strategy: self.strategy.name.clone(),
                seed: self.seed,
                round,
            });
        }
        let weight = match self.strategy.weighting() {
            Weighting::Equal => 1,
            Weighting::Examples => sum::weight(&self.quantiser, places.len()),
        };
        Ok(Update {
            change,
            weight,
            close,
        })
    }

    fn mean(
        &self,
        updates: &[Update],
        seed: u64,
        round: u32,
        record: &mut Record,
    ) -> Result<Option<Vec<f32>>, SimError> {
        let plain = sum::plain(updates);
        if !self.work.config.sum.secure {
            return Ok(plain);
        }
        let secure = sum::secure(updates, self.quantiser, seed)?;
        if !secure.is_plain_sum {
            return Err(SimError::SumDiffers {
                strategy: self.strategy.name.clone(),
                seed: self.seed,
                round,
            });
        }
        record.secure_sum_is_plain = secure.mean.is_some().then_some(true);
        record.bytes_up = secure.bytes_up;
        if let (Some(secure), Some(plain)) = (&secure.mean, &plain) {
            let distances = secure.iter().zip(plain).map(|(s, p)| (s - p).abs());
            record.rounding_error = Some(distances.fold(0.0, f32::max));
        }
        Ok(secure.mean)
    }

    fn cohort(&self, round: u32) -> Cohort {
        let settings = &self.work.config.clients;
        let mut stream = Stream::new(self.seed, &format!("round {round}"));
        let clients = stream.choose(settings.per_round, settings.count);
        let closes = clients.iter().map(|_| {
            let drops = stream.uniform() < settings.drop_out;
            let close = CLOSES[stream.below(CLOSES.len())];
            drops.then_some(close)
        });
        let closes = closes.collect();
        Cohort {
            clients,
            closes,
            seed: stream.next_word(),
        }
    }

    fn measured(
        &mut self,
        state: &State,
        record: Record,
        start: Instant,
    ) -> Result<Record, SimError> {
        let quality = self.trainer.evaluate(&state.values, &self.watched)?;
        Ok(Record {
            strategy: self.strategy.name.clone(),
            seed: self.seed,
            round: state.round,
            accuracy: quality.accuracy,
            loss: quality.loss,
            texts: self.watched.len(),
            seconds: start.elapsed().as_secs_f32(),
            ..record
        })
    }
}

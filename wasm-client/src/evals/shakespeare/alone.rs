//! What the federated runs stand beside: one trainer with everybody's rows, and every client alone
//! with its own. Each kind takes as many steps of as many rows as all clients of all rounds.

use choir_shared::sim::random::Stream;

use super::data::Client;
use super::learner::Lesson;
use super::scores::{Scores, scores};
use super::settings::Settings;
use super::start::Start;
use super::workers;
use crate::evals::EvalError;
use crate::evals::progress::Progress;
use crate::language::dataset::Row;

/// The scores of both.
pub struct Alone {
    /// One adapter for all clients.
    pub central: Scores,
    /// To each client its own adapter.
    pub local: Scores,
}

/// One trainer's work.
struct Job<'a> {
    rows: Vec<&'a Row>,
    steps: u32,
    rate: f32,
    seed: u64,
}

impl Alone {
    /// Trains both, from the same version 0.
    ///
    /// # Errors
    /// Those of training.
    pub fn train(
        settings: &Settings,
        clients: &[Client],
        start: &Start,
        progress: &Progress<'_>,
    ) -> Result<Self, EvalError> {
        progress.begin("central LoRA and every client alone");
        let seed = |purpose: &str| Stream::new(settings.seed, purpose).next_word();
        let mut jobs = vec![Job {
            rows: clients.iter().flat_map(|client| &client.training).collect(),
            steps: settings.steps(),
            rate: settings.central_rate,
            seed: seed("central"),
        }];
        jobs.extend(clients.iter().enumerate().map(|(at, client)| Job {
            rows: client.training.iter().collect(),
            steps: local_steps(settings, clients.len(), at),
            rate: settings.local_rate,
            seed: seed(&format!("alone {at}")),
        }));
        // The central trainer keeps one core for as long as all clients together keep another.
        let trained = workers::work(settings, &start.adapter, jobs, |learner, job| {
            let lesson = Lesson {
                rows: &job.rows,
                steps: job.steps,
                rate: job.rate,
                parts: [0.0, 1.0],
                seed: job.seed,
            };
            learner.train(&start.values, &lesson, progress)
        })?;
        let adapter = &start.adapter;
        Ok(Self {
            central: scores(settings, adapter, clients, &|_| &trained[0])?,
            local: scores(settings, adapter, clients, &|at| &trained[at + 1])?,
        })
    }
}

/// All steps dealt out evenly; the first clients have one more where they do not divide.
fn local_steps(settings: &Settings, clients: usize, at: usize) -> u32 {
    let clients = clients as u32;
    settings.steps() / clients + u32::from((at as u32) < settings.steps() % clients)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_alone_share_all_steps() {
        let settings = Settings {
            rounds: 5,
            cohort: 4,
            local_steps: 3,
            ..Settings::default()
        };
        let steps: Vec<u32> = (0..7).map(|at| local_steps(&settings, 7, at)).collect();
        assert_eq!(steps, [9, 9, 9, 9, 8, 8, 8]);
        assert_eq!(steps.iter().sum::<u32>(), settings.steps());
    }
}

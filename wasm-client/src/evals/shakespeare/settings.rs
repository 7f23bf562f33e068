//! What the evaluation can be told, and what it does untold.
//!
//! The rates were chosen with `--validate true --rounds 10`, where a speaker's last training speeches
//! are held out and the ones that are reported on stay unread. Bits per character there, by rate:
//!
//! | | 0.003 | 0.004 | 0.005 | 0.006 | 0.01 | 0.02 | 0.05 |
//! |---|---|---|---|---|---|---|---|
//! | central LoRA | | 2.263 | | 2.255 | 2.271 | 4.029 | |
//! | local LoRA | 2.820 | | 2.800 | | 2.870 | 3.144 | |
//! | federated LoRA | | | 2.475 | | 2.437 | 2.460 | |
//! | federated prompt | | | | | | 3.175 | 3.114 |

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use choir_shared::strategy::ServerOptimizer;
use serde::{Deserialize, Serialize};

use crate::evals::{self, EvalError};

/// The settings; as options, `--local-steps 8`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The folder of shared data.
    #[serde(skip)]
    pub shared: PathBuf,
    /// Whether to choose settings: the speeches held out are not touched.
    pub validate: bool,
    /// Most speakers, by name.
    pub most_clients: usize,
    /// Bytes of speech that a speaker has at least.
    pub least_bytes: usize,
    /// Tokens of a row to train on.
    pub row: usize,
    /// Tokens of a row that is scored; virtual tokens come on top.
    pub window: usize,
    /// Rounds of the federated trainings.
    pub rounds: u32,
    /// Clients of a round.
    pub cohort: usize,
    /// Steps of a client in a round.
    pub local_steps: u32,
    /// Rows of a step.
    pub batch: usize,
    /// LoRA's rank.
    pub rank: u16,
    /// LoRA's alpha.
    pub alpha: f32,
    /// Rows of the soft prompt.
    pub num_virtual_tokens: usize,
    /// First rate of the clients that train LoRA together.
    pub federated_rate: f32,
    /// First rate of those that train a soft prompt together.
    pub prompt_rate: f32,
    /// First rate of the trainer with all rows.
    pub central_rate: f32,
    /// First rate of the clients alone.
    pub local_rate: f32,
    /// Part of the first rates that is left at the end; they fall evenly.
    pub last_rate: f32,
    /// What becomes of a round's mean LoRA update.
    pub server: ServerOptimizer,
    /// What becomes of a round's mean prompt update.
    pub prompt_server: ServerOptimizer,
    /// Of cohorts, orders, first values and resamples.
    pub seed: u64,
    /// Threads, each with a model of its own.
    pub workers: usize,
}

impl Default for Settings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism();
        Self {
            shared: PathBuf::new(),
            validate: false,
            most_clients: 64,
            least_bytes: 5_000,
            row: 128,
            window: 256,
            rounds: 20,
            cohort: 8,
            local_steps: 12,
            batch: 4,
            rank: 8,
            alpha: 16.0,
            num_virtual_tokens: 16,
            federated_rate: 1e-2,
            prompt_rate: 5e-2,
            central_rate: 6e-3,
            local_rate: 5e-3,
            last_rate: 0.05,
            server: ServerOptimizer::Average,
            prompt_server: ServerOptimizer::Average,
            seed: 1,
            workers: cores.map_or(1, core::num::NonZero::get),
        }
    }
}

impl Settings {
    /// Reads options, each with its value.
    ///
    /// # Errors
    /// [`EvalError::Option`] says which cannot be.
    pub fn read(shared: &Path, options: &BTreeMap<String, String>) -> Result<Self, EvalError> {
        let settings = Self {
            shared: shared.to_owned(),
            ..evals::settings(options)?
        };
        settings.check()?;
        Ok(settings)
    }

    /// Steps of each training.
    pub fn steps(&self) -> u32 {
        self.rounds * self.cohort as u32 * self.local_steps
    }

    /// The rate when a part of the training is over.
    pub fn rate(&self, first: f32, part: f32) -> f32 {
        first * (1.0 - (1.0 - self.last_rate) * part)
    }

    fn check(&self) -> Result<(), EvalError> {
        let refuse = |reason: &str| Err(EvalError::Option(reason.to_owned()));
        let counts = [
            self.row,
            self.window,
            self.rounds as usize,
            self.local_steps as usize,
            self.batch,
            usize::from(self.rank),
            self.num_virtual_tokens,
        ];
        if counts.iter().any(|count| !(1..=1 << 16).contains(count)) {
            return refuse("a number of rounds, steps, rows, tokens or ranks is zero or huge");
        }
        if self.cohort < LEAST_COHORT || self.cohort > self.most_clients {
            return refuse("a cohort has three clients at least, and no more than there are");
        }
        let rates = [
            self.federated_rate,
            self.prompt_rate,
            self.central_rate,
            self.local_rate,
            self.alpha,
        ];
        if rates.iter().any(|rate| !(rate.is_finite() && *rate > 0.0)) {
            return refuse("rates and alpha are positive");
        }
        if !(0.0..=1.0).contains(&self.last_rate) {
            return refuse("the last rate is a part of the first one");
        }
        if !(self.server.is_sound() && self.prompt_server.is_sound()) {
            return refuse("a server optimizer's number is out of range");
        }
        match u64::from(self.rounds) * self.cohort as u64 * u64::from(self.local_steps) {
            0..=MOST_STEPS => Ok(()),
            _ => refuse("these are too many steps"),
        }
    }
}

/// Clients that a secure sum needs.
const LEAST_COHORT: usize = 3;
const MOST_STEPS: u64 = 1 << 22;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &[(&str, &str)]) -> Result<Settings, EvalError> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Settings::read(Path::new("shared"), &options.iter().map(owned).collect())
    }

    #[test]
    fn options_are_fields_by_name() {
        let adam = "{\"kind\": \"adam\", \"learning_rate\": 0.5}";
        let settings = read(&[("--local-steps", "3"), ("--server", adam)]).unwrap();
        assert_eq!(settings.local_steps, 3);
        assert!(settings.server.counts_clients());
        assert_eq!(settings.batch, Settings::default().batch);
        let written = serde_json::to_string(&settings).unwrap();
        assert!(written.contains("\"local-steps\":3,"), "{written}");
        for wrong in [
            ("--nothing", "3"),
            ("--rounds", "0"),
            ("--rounds", "many"),
            ("--cohort", "2"),
            ("--central-rate", "-1"),
            ("--last-rate", "2"),
            ("--rounds", "65536"),
        ] {
            assert!(
                matches!(read(&[wrong]), Err(EvalError::Option(_))),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn rates_fall_evenly() {
        let settings = Settings {
            last_rate: 0.1,
            ..Settings::default()
        };
        let rates = [0.0, 0.5, 1.0].map(|part| settings.rate(2.0, part));
        for (rate, expected) in rates.iter().zip([2.0, 1.1, 0.2]) {
            assert!((rate - expected).abs() < 1e-6, "{rates:?}");
        }
    }
}

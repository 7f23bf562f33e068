//! What a researcher sets: one file in TOML or JSON.

use std::path::{Path, PathBuf};

use choir_shared::ids::Digest;
use choir_shared::sim::partition::Partition;
use serde::{Deserialize, Serialize};

use super::error::SimError;
use super::personal::Personalization;
use super::strategy::Strategy;
use crate::native::HEAD_SCALE;

/// An experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Shown above the table and the picture.
    pub name: String,
    /// Rounds of each run.
    pub rounds: u32,
    /// Each decides partition, clients, order of examples, drop-outs and LoRA's start.
    pub seeds: Vec<u64>,
    /// The texts.
    pub data: Data,
    /// Who has them.
    pub clients: Clients,
    /// What a client does in a round.
    pub training: Training,
    /// How updates are added up.
    #[serde(default)]
    pub sum: Sum,
    /// What versions are measured on.
    #[serde(default)]
    pub evaluation: Evaluation,
    /// What they stand beside.
    #[serde(default)]
    pub baselines: Baselines,
    /// What clients gain by going on alone afterwards.
    #[serde(default)]
    pub personalization: Option<Personalization>,
    /// What is compared.
    pub strategies: Vec<Strategy>,
}

/// Where the texts are. `$NAME` at the start of a path is a variable of the environment; other
/// paths start at the file of the experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// CSV with `text`, `label` or `category`, and perhaps `user`; or CLINC150's `data_full.json`
    /// beside its `domains.json`, whose domains are the users.
    pub train: PathBuf,
    /// As `train`; without it a fifth of the training file is held out.
    #[serde(default)]
    pub test: Option<PathBuf>,
    /// Take this many labels, drawn by chance; all if it is not said.
    #[serde(default)]
    pub labels: Option<usize>,
    /// Tokens of a text.
    #[serde(default = "max_length")]
    pub max_length: u16,
}

/// Who takes part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clients {
    /// How many there are; where users are natural, those with most texts.
    pub count: usize,
    /// How many of them train in a round; 3 to 1,000 in a secure sum.
    pub per_round: usize,
    /// Who has which texts.
    pub partition: Split,
    /// Chance of a client to drop out of a round after it joined.
    #[serde(default)]
    pub drop_out: f64,
}

/// Who has which texts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Split {
    /// Every client has the same mixture.
    Iid,
    /// Each label is shared out by a draw from Dirichlet(alpha).
    Dirichlet {
        /// Small: few labels a client.
        alpha: f64,
    },
    /// Each client has nine tenths of its own labels and little of the others.
    Labels,
    /// Sorted by label and cut; each client gets some of the pieces.
    Shards {
        /// Pieces of a client.
        per_client: usize,
    },
    /// The data's own users.
    User,
}

impl Split {
    /// The partition by labels; none for natural users.
    pub(super) const fn by_labels(self) -> Option<Partition> {
        match self {
            Self::Iid => Some(Partition::Even),
            Self::Dirichlet { alpha } => Some(Partition::Dirichlet { alpha }),
            Self::Labels => Some(Partition::Labels),
            Self::Shards { per_client } => Some(Partition::Shards { per_client }),
            Self::User => None,
        }
    }
}

/// What a client does in a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Steps of a client in a round.
    pub steps: u32,
    /// Examples of a step.
    pub batch: usize,
    /// Step size of AdamW; strategies may name another.
    pub learning_rate: f32,
    /// Decoupled weight decay.
    #[serde(default = "weight_decay")]
    pub weight_decay: f32,
    /// Where the classifier starts.
    #[serde(default)]
    pub head: HeadStart,
    /// Length of the head's columns made of centroids.
    #[serde(default = "head_scale")]
    pub head_scale: f32,
}

/// Where the classifier starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadStart {
    /// At the class centroids of all clients, as one round of centroids makes them.
    #[default]
    Centroids,
    /// At zero.
    Zero,
}

/// How updates are added up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sum {
    /// By the round machines of the product, masked, and checked against the plain sum; otherwise
    /// the plain sum alone.
    pub secure: bool,
    /// Largest weight of a client.
    pub weight_max: u32,
}

impl Default for Sum {
    fn default() -> Self {
        Self {
            secure: true,
            weight_max: 512,
        }
    }
}

/// What versions are measured on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Evaluation {
    /// Test texts after each round, drawn once; 0 for all. The last version is measured on all.
    pub texts: usize,
}

impl Default for Evaluation {
    fn default() -> Self {
        Self { texts: 600 }
    }
}

/// What the strategies stand beside: the first one's adapter, with the same number of steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Baselines {
    /// One trainer with everybody's texts, for the steps of all clients together.
    pub central: bool,
    /// This many clients, each with its own texts alone, for the steps of one client in every
    /// round; 0 for none.
    pub local_clients: usize,
}

impl Default for Baselines {
    fn default() -> Self {
        Self {
            central: true,
            local_clients: 5,
        }
    }
}

const fn max_length() -> u16 {
    48
}

const fn weight_decay() -> f32 {
    0.01
}

const fn head_scale() -> f32 {
    HEAD_SCALE
}

impl Config {
    /// Reads an experiment; its paths are found from there.
    ///
    /// # Errors
    /// [`SimError::Config`] with what is wrong in it.
    pub fn read(path: &Path) -> Result<Self, SimError> {
        let text = std::fs::read_to_string(path).map_err(|error| SimError::file(path, error))?;
        let is_json = path.extension().is_some_and(|ending| ending == "json");
        let parsed: Result<Self, String> = if is_json {
            serde_json::from_str(&text).map_err(|error| error.to_string())
        } else {
            toml::from_str(&text).map_err(|error| error.to_string())
        };
        let wrong = |why: String| SimError::Config(format!("{}: {why}", path.display()));
        let mut config = parsed.map_err(wrong)?;
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        config.data.train = located(&config.data.train, folder)?;
        config.data.test = match &config.data.test {
            Some(test) => Some(located(test, folder)?),
            None => None,
        };
        config.check()?;
        Ok(config)
    }

    /// Whether it can be run.
    ///
    /// # Errors
    /// [`SimError::Config`] names the first thing that is wrong.
    pub fn check(&self) -> Result<(), SimError> {
        let wrong = |why: &str| Err(SimError::Config(why.to_owned()));
        let clients = &self.clients;
        if self.rounds == 0 || self.seeds.is_empty() || self.strategies.is_empty() {
            return wrong("it needs at least one round, one seed and one strategy");
        }
        if clients.per_round == 0 || clients.per_round > clients.count {
            return wrong("clients.per_round must be 1 to clients.count");
        }
        if self.sum.secure && !(3..=1000).contains(&clients.per_round) {
            return wrong(
                "a secure sum needs clients.per_round of 3 to 1000; or set sum.secure = false",
            );
        }
        if !(0.0..1.0).contains(&clients.drop_out) {
            return wrong("clients.drop_out is a chance: 0 to below 1");
        }
        if self.training.steps == 0 || self.training.batch == 0 {
            return wrong("training.steps and training.batch must not be 0");
        }
        let cohort = clients.per_round as u64;
        if self.sum.weight_max == 0
            || cohort * u64::from(self.sum.weight_max) * 65_535 > u64::from(u32::MAX)
        {
            return wrong("sum.weight_max is out of range for this many clients a round");
        }
        for (place, strategy) in self.strategies.iter().enumerate() {
            strategy.check()?;
            if self.strategies[..place]
                .iter()
                .any(|s| s.slug() == strategy.slug())
            {
                let name = &strategy.name;
                return wrong(&format!("two strategies are called {name}"));
            }
        }
        Ok(())
    }

    /// What a run's stored state is bound to: everything that changes its numbers but the number
    /// of rounds, so that more rounds can be added to a run that has ended.
    pub(super) fn digest(&self, strategy: &Strategy, seed: u64, data: Digest) -> Digest {
        let settings = serde_json::json!([
            &self.clients,
            &self.training,
            &self.sum,
            &self.evaluation,
            &self.personalization,
            strategy,
            seed,
            data,
        ]);
        Digest::of(settings.to_string().as_bytes())
    }
}

/// A path with its variable filled in, from `folder` if it is not absolute.
fn located(path: &Path, folder: &Path) -> Result<PathBuf, SimError> {
    let mut parts = path.components();
    let first = parts.next().map(|part| part.as_os_str().to_string_lossy());
    match first.as_deref().and_then(|first| first.strip_prefix('$')) {
        Some(name) => {
            let value = std::env::var_os(name).ok_or_else(|| {
                let shown = path.display();
                SimError::Config(format!(
                    "{shown}: set {name} to the folder that this path starts at"
                ))
            })?;
            Ok(PathBuf::from(value).join(parts.as_path()))
        }
        None => Ok(folder.join(path)),
    }
}

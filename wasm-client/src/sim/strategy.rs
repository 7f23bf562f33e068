//! A strategy: what of the adapter is trained, how a client steps, what the aggregator does with
//! the mean. The known ones are points of this space.

use choir_shared::strategy::ServerOptimizer;
use choir_shared::task::{
    AdapterConfig, AdapterLayout, LoraConfig, PartKind, SoftPromptConfig, Target,
};
use serde::{Deserialize, Serialize};

use super::error::SimError;
use crate::engine::quantised::WeightPrecision;

/// One strategy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Strategy {
    /// Shown in the table.
    pub name: String,
    /// LoRA's rank; 0 for none.
    #[serde(default)]
    pub rank: u16,
    /// LoRA's alpha; twice the rank if it is not said.
    #[serde(default)]
    pub alpha: Option<f32>,
    /// LoRA's linear layers.
    #[serde(default = "targets")]
    pub targets: Vec<Target>,
    /// Rows of the soft prompt; 0 for none.
    #[serde(default)]
    pub virtual_tokens: u16,
    /// What is trained and sent; everything that is there if it is not said.
    #[serde(default)]
    pub train: Option<Vec<Trained>>,
    /// Step size; the experiment's if it is not said.
    #[serde(default)]
    pub learning_rate: Option<f32>,
    /// What the base model's frozen matrices are kept in, for training and for measuring.
    #[serde(default, skip_serializing_if = "is_f32")]
    pub precision: WeightPrecision,
    /// FedProx's mu: each step is pulled back to the global adapter by mu times the distance.
    #[serde(default)]
    pub proximal: f32,
    /// How a client steps.
    #[serde(default)]
    pub client: ClientOptimizer,
    /// What the aggregator does with the mean.
    #[serde(default = "average")]
    pub server: ServerOptimizer,
    /// What a client counts as; by its examples if the server is an average, else as one.
    #[serde(default)]
    pub weighting: Option<Weighting>,
    /// Largest change of a coordinate that an update can carry; four times step size times steps
    /// if it is not said.
    #[serde(default)]
    pub bound: Option<f32>,
}

/// A part of the adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trained {
    /// LoRA's first factors.
    LoraA,
    /// LoRA's second factors.
    LoraB,
    /// The soft prompt.
    Prompt,
    /// The classifier.
    Head,
    /// The classifier's bias alone.
    HeadBias,
}

/// How a client steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientOptimizer {
    /// By the gradient; AdamW's state starts anew in each round.
    #[default]
    Adamw,
    /// Forward passes alone: a random direction, and the difference of the loss along it (MeZO,
    /// Malladi et al. 2023, algorithm 1).
    Mezo {
        /// How far to look along the direction.
        #[serde(default = "epsilon")]
        epsilon: f32,
    },
}

/// What a client counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weighting {
    /// As many as its examples.
    Examples,
    /// One.
    Equal,
}

fn targets() -> Vec<Target> {
    vec![Target::Q, Target::V]
}

/// Settings that do not name a precision stay those of the states that were stored under them.
fn is_f32(precision: &WeightPrecision) -> bool {
    *precision == WeightPrecision::F32
}

const fn average() -> ServerOptimizer {
    ServerOptimizer::Average
}

const fn epsilon() -> f32 {
    1e-3
}

impl Default for Strategy {
    /// What a file that names nothing says: no trained part beside the head, FedAvg.
    fn default() -> Self {
        Self {
            name: String::new(),
            rank: 0,
            alpha: None,
            targets: targets(),
            virtual_tokens: 0,
            train: None,
            learning_rate: None,
            precision: WeightPrecision::F32,
            proximal: 0.0,
            client: ClientOptimizer::default(),
            server: average(),
            weighting: None,
            bound: None,
        }
    }
}

impl Strategy {
    /// Its name for files.
    pub fn slug(&self) -> String {
        let plain = |letter: char| {
            if letter.is_ascii_alphanumeric() {
                letter.to_ascii_lowercase()
            } else {
                '-'
            }
        };
        self.name.chars().map(plain).collect()
    }

    /// The adapter that it needs; the classifier is always part of it.
    pub(super) fn adapter(&self) -> AdapterConfig {
        let rank = self.rank;
        let num_virtual_tokens = self.virtual_tokens;
        AdapterConfig {
            lora: (rank > 0).then(|| LoraConfig {
                rank,
                alpha: self.alpha.unwrap_or_else(|| 2.0 * f32::from(rank)),
                targets: self.targets.clone(),
            }),
            soft_prompt: (num_virtual_tokens > 0)
                .then_some(SoftPromptConfig { num_virtual_tokens }),
            head: true,
        }
    }

    /// Whether a part of the adapter is trained.
    pub(super) fn trains(&self, kind: PartKind) -> bool {
        let Some(train) = &self.train else {
            return true;
        };
        match kind {
            PartKind::LoraA { .. } => train.contains(&Trained::LoraA),
            PartKind::LoraB { .. } => train.contains(&Trained::LoraB),
            PartKind::SoftPrompt => train.contains(&Trained::Prompt),
            PartKind::HeadWeight => train.contains(&Trained::Head),
            PartKind::HeadBias => {
                train.contains(&Trained::Head) || train.contains(&Trained::HeadBias)
            }
            // A simulated task has no others.
            _ => false,
        }
    }

    /// The places in the flat adapter that are trained, in order.
    pub(super) fn trained_places(&self, layout: &AdapterLayout) -> Vec<usize> {
        let trained = layout.parts().iter().filter(|part| self.trains(part.kind));
        trained.flat_map(|part| part.range.clone()).collect()
    }

    /// What its clients count as.
    pub(super) fn weighting(&self) -> Weighting {
        let by_server = if self.server.counts_clients() {
            Weighting::Equal
        } else {
            Weighting::Examples
        };
        self.weighting.unwrap_or(by_server)
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// [`SimError::Config`] with its name and what is wrong.
    pub(super) fn check(&self) -> Result<(), SimError> {
        let wrong = |why: &str| Err(SimError::Config(format!("strategy {}: {why}", self.name)));
        let positive = |value: Option<f32>| value.is_none_or(|v| v.is_finite() && v > 0.0);
        if self.name.trim().is_empty() {
            return wrong("it needs a name");
        }
        if !positive(self.learning_rate) || !positive(self.bound) || !positive(self.alpha) {
            return wrong("learning_rate, bound and alpha must be above 0");
        }
        if !(self.proximal.is_finite() && self.proximal >= 0.0) {
            return wrong("proximal must not be below 0");
        }
        if !self.server.is_sound() {
            return wrong("the server's numbers are out of range");
        }
        if let ClientOptimizer::Mezo { epsilon } = self.client
            && !positive(Some(epsilon))
        {
            return wrong("epsilon must be above 0");
        }
        let has = |part: &Trained| match part {
            Trained::LoraA | Trained::LoraB => self.rank > 0,
            Trained::Prompt => self.virtual_tokens > 0,
            Trained::Head | Trained::HeadBias => true,
        };
        match &self.train {
            Some(train) if train.is_empty() => wrong("it trains nothing"),
            Some(train) if !train.iter().all(has) => {
                wrong("it trains LoRA without a rank, or a prompt without virtual_tokens")
            }
            _ => Ok(()),
        }
    }
}

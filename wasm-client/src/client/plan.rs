//! A plan: the clients of one process, as they stand in JSON.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use choir_shared::ids::TaskId;
use choir_shared::policy::Policy;
use serde::Deserialize;

use super::aggregator::Aggregator;
use super::error::ClientError;
use super::event::{Event, Told};
use super::life::Point;
use super::machine::{Gate, Machine};
use super::training::Desk;
use super::updates::{Share, Updates};
use crate::language::passages::passages;
use crate::native::data::Rows;
use crate::native::{NativeError, read_text};

/// What a process of clients is told.
#[derive(Clone, Debug, Deserialize)]
pub struct Plan {
    /// The aggregator's address.
    pub url: String,
    /// The task that they join.
    pub task: TaskId,
    /// What they demand of it; the production default if it is not said.
    #[serde(default)]
    pub policy: Policy,
    /// Rounds that each takes part in; as many as policy and task have if it is not said.
    #[serde(default)]
    pub rounds: Option<u32>,
    /// Whether each ends with its first round, however that ends.
    #[serde(default)]
    pub once: bool,
    /// Folder with `model.safetensors` and `tokenizer.json`, or with the two files that a language task
    /// names, for those that train.
    #[serde(default)]
    pub model: Option<PathBuf>,
    /// Threads that train.
    #[serde(default)]
    pub threads: Option<usize>,
    /// Of the order in which the first client takes its examples; each has the next.
    #[serde(default)]
    pub seed: u64,
    /// Where an observe build writes plain words.
    #[serde(default)]
    pub out: Option<PathBuf>,
    /// Whether nobody joins before all are ready to.
    #[serde(default)]
    pub together: bool,
    /// The clients.
    pub clients: Vec<ClientPlan>,
}

/// One client.
#[derive(Clone, Debug, Deserialize)]
pub struct ClientPlan {
    /// Where its updates come from.
    pub source: Source,
    /// Where in its round it is lost.
    #[serde(default)]
    pub lose: Option<Point>,
    /// Mean of the exponential time after which it is lost, in seconds from JOIN on.
    #[serde(default)]
    pub mean_life: Option<f64>,
}

/// Where a client's updates come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Training on this file of labelled texts.
    Share(PathBuf),
    /// Training on this plain text, passages between blank lines, of a language task.
    Text(PathBuf),
    /// Chance, uniform within the quantiser's bound.
    Random,
}

impl Plan {
    /// Runs all clients to their end, each on a thread of its own.
    ///
    /// # Errors
    /// [`ClientError::Native`] where a share cannot be read; what ends a single client is an event.
    pub fn run(&self, say: &(dyn Fn(Told) + Sync)) -> Result<(), ClientError> {
        let barrier = self
            .together
            .then(|| Arc::new(Barrier::new(self.clients.len())));
        let sources = self.sources()?;
        std::thread::scope(|scope| {
            for (number, (plan, updates)) in self.clients.iter().zip(sources).enumerate() {
                let gate = Gate(barrier.clone());
                scope.spawn(move || {
                    let say = move |event| {
                        say(Told {
                            client: number,
                            event,
                        });
                    };
                    self.machine(number, plan, updates, gate, &say).run();
                });
            }
        });
        Ok(())
    }

    fn machine<'a>(
        &self,
        number: usize,
        plan: &ClientPlan,
        updates: Updates,
        gate: Gate,
        say: &'a (dyn Fn(Event) + Sync),
    ) -> Machine<'a> {
        Machine {
            number,
            aggregator: Aggregator::new(&self.url),
            task: self.task,
            policy: self.policy,
            rounds: self.rounds.unwrap_or(u32::MAX),
            once: self.once,
            updates,
            lose: plan.lose,
            mean_life: plan.mean_life.map(Duration::from_secs_f64),
            out: self.out.clone(),
            gate,
            say,
        }
    }

    /// Everything that is read from files, before any client starts.
    fn sources(&self) -> Result<Vec<Updates>, ClientError> {
        let folder = self.model.clone().unwrap_or_default();
        let threads = self.threads.unwrap_or(1);
        let mut desk = None;
        let mut shares: BTreeMap<&Source, Option<Share>> = BTreeMap::new();
        let mut sources = Vec::with_capacity(self.clients.len());
        for (number, ClientPlan { source, .. }) in self.clients.iter().enumerate() {
            let share = match shares.get(source) {
                Some(share) => share.clone(),
                None => source.share()?,
            };
            shares.insert(source, share.clone());
            sources.push(match share {
                None => Updates::Random,
                Some(share) => Updates::Trained {
                    desk: Desk::clone(desk.get_or_insert_with(|| Desk::open(&folder, threads))),
                    share,
                    seed: self.seed + number as u64,
                },
            });
        }
        Ok(sources)
    }
}

impl Source {
    /// What is trained on.
    fn share(&self) -> Result<Option<Share>, NativeError> {
        Ok(match self {
            Self::Share(file) => Some(Share::Labelled(Arc::new(Rows::read(file)?))),
            Self::Text(file) => Some(Share::Text(Arc::new(passages(&read_text(file)?)))),
            Self::Random => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_without_a_policy_has_the_production_one() {
        let text = r#"{"url":"http://localhost:1","task":"00112233445566778899aabbccddeeff",
            "clients":[{"source":"random","mean_life":15.0},
                       {"source":{"share":"a.csv"},"lose":"mid-upload"}]}"#;
        let plan: Plan = serde_json::from_str(text).expect("a plan");
        assert_eq!(plan.policy, Policy::default());
        assert_eq!(plan.policy.min_cohort, 50);
        assert_eq!(plan.clients[0].source, Source::Random);
        assert_eq!(plan.clients[1].source, Source::Share("a.csv".into()));
        assert_eq!(plan.clients[1].lose, Some(Point::MidUpload));
    }
}

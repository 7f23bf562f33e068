//! LoRA alone and the soft prompt alone, each beside the frozen head that the centroids make, and
//! that head without any training: the same shares and rounds, averaged by weight, natively.

use super::stage;
use super::task::Frame;
use crate::evaluator::{Evaluator, Lesson, Model};
use crate::failure::{AtPath, Failure, Outcome};
use crate::progress::Step;
use choir_shared::fixed_point;
use choir_shared::ids::Digest;
use choir_shared::task::AdapterConfig;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What the parts are trained on.
pub(super) struct Ablation<'a> {
    /// The run's choices.
    pub(super) frame: &'a Frame<'a>,
    /// The shares of the tabs.
    pub(super) shares: &'a [PathBuf],
    /// The held-out examples.
    pub(super) test: &'a Path,
    /// Where files of the run go.
    pub(super) folder: &'a Path,
}

/// A prompt's step size over LoRA's: its few values start far from where they are of use.
const PROMPT_STEP: f32 = 10.0;

/// Trains each part alone and scores it.
///
/// # Errors
/// `Check` with what the evaluator says.
pub(super) fn run(
    evaluator: &mut Evaluator,
    ablation: &Ablation<'_>,
    centroids: &Path,
) -> Outcome<BTreeMap<&'static str, f64>> {
    let step = Step::start("each part alone");
    let frame = ablation.frame;
    let head_config = stage::write_config(ablation.folder, "ablation-head", &frame.head_task()?)?;
    let head = ablation.folder.join("frozen-head.f32");
    evaluator.version_zero(&head_config, Some(centroids), &head)?;
    let frozen = Model {
        config: &head_config,
        adapter: &head,
        frozen_head: None,
    };
    let mut scores = BTreeMap::new();
    scores.insert(
        "frozen",
        evaluator.evaluate(frozen, ablation.test)?.accuracy,
    );
    let parts = [
        (
            "lora",
            AdapterConfig {
                lora: frame.lora(),
                ..AdapterConfig::default()
            },
        ),
        (
            "prompt",
            AdapterConfig {
                soft_prompt: frame.soft_prompt(),
                ..AdapterConfig::default()
            },
        ),
    ];
    for (name, part) in parts {
        if part.lora.is_some() || part.soft_prompt.is_some() {
            step.detail(name);
            scores.insert(name, ablation.train(evaluator, &step, name, part, &head)?);
        }
    }
    let line: Vec<String> = scores
        .iter()
        .map(|(name, score)| format!("{name} {:.1} %", score * 100.0))
        .collect();
    step.done(&line.join(", "));
    Ok(scores)
}

impl Ablation<'_> {
    fn train(
        &self,
        evaluator: &mut Evaluator,
        step: &Step,
        name: &str,
        part: AdapterConfig,
        head: &Path,
    ) -> Outcome<f64> {
        let digest = Digest::of(&fs::read(head).at(head)?);
        let prompt = part.soft_prompt.is_some();
        let mut task = self.frame.part_task(part, digest)?;
        if prompt {
            task.training.optimizer.learning_rate *= PROMPT_STEP;
        }
        let config = stage::write_config(self.folder, &format!("ablation-{name}"), &task)?;
        let version = self.folder.join(format!("ablation-{name}.f32"));
        evaluator.version_zero(&config, None, &version)?;
        let model = Model {
            config: &config,
            adapter: &version,
            frozen_head: Some(head),
        };
        let rounds = self.frame.options.rounds;
        for round in 0..rounds {
            step.detail(format!("{name}, round {} of {rounds}", round + 1));
            self.round(evaluator, model, round)?;
        }
        Ok(evaluator.evaluate(model, self.test)?.accuracy)
    }

    /// One round of FedAvg over the shares; the new version takes the old one's place.
    fn round(&self, evaluator: &mut Evaluator, model: Model<'_>, round: u32) -> Outcome<()> {
        let options = self.frame.options;
        let steps = u32::from(options.steps);
        let mut mean: Vec<f64> = Vec::new();
        let mut total = 0.0;
        for (tab, share) in self.shares.iter().enumerate() {
            let out = self.folder.join("ablation-update.f32");
            let seed = options.seed + u64::from(round) * self.shares.len() as u64 + tab as u64;
            // Only the new version is scored: one example of the share is enough here.
            let lesson = Lesson {
                examples: share,
                test: &self.one_example(share)?,
                steps,
                seed,
            };
            evaluator.train(model, &lesson, &out)?;
            let weight = crate::data::read(share)?.len() as f64;
            let after = floats(&out)?;
            mean.resize(after.len(), 0.0);
            for (sum, value) in mean.iter_mut().zip(after) {
                *sum += weight * f64::from(value);
            }
            total += weight;
        }
        let version: Vec<f32> = mean.iter().map(|sum| (sum / total) as f32).collect();
        fs::write(model.adapter, fixed_point::adapter_bytes(&version)).at(model.adapter)
    }

    fn one_example(&self, share: &Path) -> Outcome<PathBuf> {
        let file = self.folder.join("one-example.csv");
        crate::data::write(&file, &crate::data::read(share)?[..1])?;
        Ok(file)
    }
}

fn floats(path: &Path) -> Outcome<Vec<f32>> {
    fixed_point::adapter_from_bytes(&fs::read(path).at(path)?)
        .ok_or_else(|| Failure::Data(format!("{} is no adapter", path.display())))
}

//! The demo's tasks: what is trained, by whom, and how long a phase waits.

use super::options::Options;
use crate::failure::{AtPath, Failure, Outcome};
use crate::setup::ModelFiles;
use choir_shared::ids::{Digest, TaskId};
use choir_shared::task::{
    AdapterConfig, Aggregation, BaseFiles, BaseModel, CohortConfig, Deadlines, DecoderConfig, Dp,
    EncoderShape, LanguageConfig, LoraConfig, Optimizer, Payload, Quantiser, SoftPromptConfig,
    TaskConfig, Training,
};
use std::fs;

/// The base model's identity, as the page checks it.
///
/// # Errors
/// `File` where the model is not in the cache.
pub(crate) fn base_model(files: &ModelFiles) -> Outcome<BaseModel> {
    let weights = fs::read(&files.weights).at(&files.weights)?;
    let tokenizer = fs::read(&files.tokenizer).at(&files.tokenizer)?;
    Ok(BaseModel {
        weights: Digest::of(&weights),
        weights_bytes: weights.len() as u64,
        tokenizer: Digest::of(&tokenizer),
        shape: EncoderShape::ALL_MINI_LM_L6_V2,
    })
}

/// What both tasks of a demo have in common.
pub(crate) struct Frame<'a> {
    /// The command line.
    pub(crate) options: &'a Options,
    /// The base model.
    pub(crate) base: BaseModel,
    /// Class names.
    pub(crate) labels: Vec<String>,
}

impl Frame<'_> {
    /// LoRA, soft prompt and head, as chosen.
    ///
    /// # Errors
    /// `Data` where the choice makes no task.
    pub(crate) fn adapter_task(&self) -> Outcome<TaskConfig> {
        let (lora, soft_prompt) = (self.lora(), self.soft_prompt());
        let payload = Payload::Adapter(AdapterConfig {
            lora,
            soft_prompt,
            head: true,
        });
        self.task("intents", payload, None, ADAPTER_BOUND)
    }

    /// The head alone, on the frozen encoder.
    ///
    /// # Errors
    /// `Data` where the choice makes no task.
    pub(crate) fn head_task(&self) -> Outcome<TaskConfig> {
        let payload = Payload::Adapter(AdapterConfig {
            lora: None,
            soft_prompt: None,
            head: true,
        });
        self.task("head", payload, None, ADAPTER_BOUND)
    }

    /// One part alone beside a frozen head.
    ///
    /// # Errors
    /// `Data` where the choice makes no task.
    pub(crate) fn part_task(&self, part: AdapterConfig, head: Digest) -> Outcome<TaskConfig> {
        self.task(
            "one part",
            Payload::Adapter(part),
            Some(head),
            ADAPTER_BOUND,
        )
    }

    /// LoRA as chosen.
    pub(crate) fn lora(&self) -> Option<LoraConfig> {
        let options = self.options;
        (options.rank > 0 && !options.targets.is_empty()).then(|| LoraConfig {
            rank: options.rank,
            alpha: 2.0 * f32::from(options.rank),
            targets: options.targets.clone(),
        })
    }

    /// The soft prompt as chosen.
    pub(crate) fn soft_prompt(&self) -> Option<SoftPromptConfig> {
        let num_virtual_tokens = self.options.prompt;
        (num_virtual_tokens > 0).then_some(SoftPromptConfig { num_virtual_tokens })
    }

    /// One round of class centroids: the baseline, and where the head can start from.
    ///
    /// # Errors
    /// `Data` where the choice makes no task.
    pub(crate) fn centroid_task(&self) -> Outcome<TaskConfig> {
        self.task("class centroids", Payload::Centroids, None, CENTROID_BOUND)
    }

    /// A decoder that learns to write as the tabs' texts are written: of it is trained what was chosen.
    ///
    /// # Errors
    /// `Data` where the choice makes no task.
    pub(crate) fn writing_task(
        &self,
        files: BaseFiles,
        decoder: DecoderConfig,
    ) -> Outcome<TaskConfig> {
        let options = self.options;
        let payload = Payload::Language(LanguageConfig {
            files,
            decoder,
            adapter: options.train.adapter(options.rank, options.prompt),
        });
        self.task("writing", payload, None, ADAPTER_BOUND)
    }

    fn task(
        &self,
        name: &str,
        payload: Payload,
        frozen_head: Option<Digest>,
        bound: f32,
    ) -> Outcome<TaskConfig> {
        let options = self.options;
        let people = !options.headless;
        let cohort_size = if people {
            VISITORS
        } else {
            options.clients() as u16
        };
        let task = TaskConfig {
            name: name.to_owned(),
            base: self.base.clone(),
            labels: self.labels.clone(),
            max_length: MAX_LENGTH,
            payload,
            frozen_head,
            training: Training {
                optimizer: Optimizer {
                    learning_rate: options.learning_rate,
                    beta1: 0.9,
                    beta2: 0.999,
                    eps: 1e-8,
                    weight_decay: 0.01,
                },
                batch_size: options.batch,
                local_steps: options.steps,
            },
            quantiser: Quantiser {
                levels: LEVELS,
                bound,
                weight_max: WEIGHT_MAX,
            },
            dp: Dp {
                noise_multiplier: 0.0,
                clip: 0.0,
                honest: 0,
            },
            cohort: CohortConfig {
                cohort_size,
                min_cohort: if people { 3 } else { cohort_size },
                corrupt_permille: CORRUPT_PERMILLE,
                drop_permille: match options {
                    _ if options.native > 0 => DROP_PERMILLE,
                    _ if options.close_one => 500,
                    _ => 250,
                },
            },
            deadlines: Deadlines {
                enroll_ms: if people { 30_000 } else { 1_200_000 },
                share_keys_ms: 30_000,
                collect_ms: 60_000,
                confirm_ms: 30_000,
                unmask_ms: 30_000,
            },
            seed: Digest::of(&options.seed.to_le_bytes()).0,
            rotation: false,
            aggregation: options
                .mode
                .helper()
                .map_or(Aggregation::OneAggregator, |helper| {
                    Aggregation::TwoAggregators(helper.named())
                }),
            attestation: None,
        };
        task.check()
            .map_err(|error| Failure::Data(format!("this makes no task: {error}")))?;
        Ok(task)
    }
}

/// A fresh task's name on the wire.
///
/// # Errors
/// `Data` where the system gives no random bytes.
pub(crate) fn fresh_id() -> Outcome<TaskId> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::Data(format!("this system gives no random bytes: {error}")))?;
    Ok(TaskId(bytes))
}

/// Visitors of an interactive demo that start a round at once; three start it after a while.
const VISITORS: u16 = 4;
/// One client in ten, rounded up, is assumed to work with the aggregator: one of a demo's few. Four
/// tabs then need three for a quorum, as without that one, so that `--close-one` still gets its sum;
/// three need all.
const CORRUPT_PERMILLE: u16 = 100;
/// What the production parameters assume to be lost of a cohort.
const DROP_PERMILLE: u16 = 300;
/// Tokens of a text, or of a row of a decoder's; the longest of Banking77 has 80 or so, one in a
/// hundred more than this.
const MAX_LENGTH: u16 = 48;
/// 2^16 - 1 levels and weights of up to 512: 49 clients stay under 2^32.
const LEVELS: u32 = 65_535;
const WEIGHT_MAX: u32 = 512;
/// A coordinate moves by at most learning rate times steps under AdamW, and by less in practice.
const ADAPTER_BOUND: f32 = 0.125;
/// Coordinates of unit vectors and shares of examples lie within one.
const CENTROID_BOUND: f32 = 1.0;

#[cfg(test)]
mod tests {
    use super::{Frame, Options};
    use choir_shared::secure_sum::{Parameters, corrupt_clients};
    use choir_shared::task::{CohortConfig, workload};

    fn cohort(tabs: usize, close_one: bool) -> CohortConfig {
        let options = Options {
            tabs,
            close_one,
            headless: true,
            ..Options::default()
        };
        let frame = Frame {
            options: &options,
            base: workload::encoder().base,
            labels: vec!["no".to_owned(), "yes".to_owned()],
        };
        frame.adapter_task().expect("a task").cohort
    }

    #[test]
    fn every_demo_assumes_a_corrupt_tab_and_from_four_on_can_still_lose_one() {
        for tabs in 3..=49 {
            for close_one in [false, true] {
                let cohort = cohort(tabs, close_one);
                let (size, corrupt) = (cohort.min_cohort, cohort.corrupt_permille);
                assert!(corrupt_clients(size, corrupt) >= 1, "{tabs} tabs");
                let parameters =
                    Parameters::new(size, corrupt, cohort.drop_permille).expect("a quorum");
                assert!(parameters.can_unmask(size), "{tabs} tabs");
                assert_eq!(parameters.can_unmask(size - 1), tabs >= 4, "{tabs} tabs");
            }
        }
    }
}

//! The training workloads (version 1): the settings under which training steps are measured and
//! engines compared, and the losses that all of them must have. The workload "encoder" is a task.

use alloc::format;
use alloc::string::String;
use alloc::vec;

use super::{
    AdapterConfig, Aggregation, BaseModel, CohortConfig, Deadlines, Dp, EncoderShape, LoraConfig,
    Optimizer, Payload, Quantiser, Target, TaskConfig, Training,
};
use crate::ids::Digest;

/// Classes of the head.
pub const CLASSES: u32 = 77;
/// Tokens of the longest sequence.
pub const SEQUENCE: u16 = 64;
/// Sequences of a step.
pub const BATCH: u16 = 8;

/// The optimizer of the workload.
pub const OPTIMIZER: Optimizer = Optimizer {
    learning_rate: 1e-3,
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weight_decay: 0.01,
};

/// Losses of the workload "encoder" before updates 0 to 10, by JAX on a CPU in f32.
pub const REFERENCE_LOSSES: [f32; 11] = [
    5.419_105_5,
    4.861_203_7,
    5.183_619,
    4.750_783_4,
    3.193_682_2,
    3.394_614_5,
    3.863_627_7,
    3.681_120_4,
    2.507_362_6,
    3.106_188_3,
    3.123_624_8,
];

/// Likewise of the workload "decoder".
pub const DECODER_REFERENCE_LOSSES: [f32; 11] = [
    7.424_446,
    7.440_323_4,
    7.436_433,
    7.468_134_4,
    7.261_943,
    7.331_664,
    7.348_993_3,
    7.392_918_6,
    7.154_102_3,
    7.236_686_7,
    7.259_976,
];

impl EncoderShape {
    /// The sizes of all-MiniLM-L6-v2.
    pub const ALL_MINI_LM_L6_V2: Self = Self {
        dim: 384,
        layers: 6,
        heads: 12,
        intermediate: 1536,
        vocabulary: 30_522,
        positions: 512,
        norm_eps: 1e-12,
    };
}

/// The workload's task: that encoder with weights of no file, LoRA on q and v, and a head. No round
/// runs with it, so its cohort and deadlines are the smallest that pass.
#[must_use]
pub fn encoder() -> TaskConfig {
    TaskConfig {
        name: String::from("workload encoder"),
        base: BaseModel {
            weights: Digest([0; 32]),
            weights_bytes: 0,
            tokenizer: Digest([0; 32]),
            shape: EncoderShape::ALL_MINI_LM_L6_V2,
        },
        labels: (0..CLASSES).map(|class| format!("class {class}")).collect(),
        max_length: SEQUENCE,
        payload: Payload::Adapter(AdapterConfig {
            lora: Some(LoraConfig {
                rank: 8,
                alpha: 16.0,
                targets: vec![Target::Q, Target::V],
            }),
            soft_prompt: None,
            head: true,
        }),
        frozen_head: None,
        training: Training {
            optimizer: OPTIMIZER,
            batch_size: BATCH,
            local_steps: 25,
        },
        quantiser: Quantiser {
            levels: 65_535,
            bound: 1.0,
            weight_max: 512,
        },
        dp: Dp {
            noise_multiplier: 0.0,
            clip: 0.0,
            honest: 0,
        },
        cohort: CohortConfig {
            cohort_size: 3,
            min_cohort: 3,
            corrupt_permille: 0,
            drop_permille: 0,
        },
        deadlines: Deadlines {
            enroll_ms: 1,
            share_keys_ms: 1,
            collect_ms: 1,
            confirm_ms: 1,
            unmask_ms: 1,
        },
        seed: [0; 32],
        rotation: false,
        aggregation: Aggregation::OneAggregator,
        attestation: None,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_workload_is_a_task() {
        assert_eq!(super::encoder().check(), Ok(()));
    }
}

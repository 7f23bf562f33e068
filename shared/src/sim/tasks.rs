//! Tasks for simulated rounds.

use alloc::string::String;

use crate::ids::Digest;
use crate::task::{
    AdapterConfig, BaseModel, CohortConfig, Deadlines, EncoderShape, Optimizer, Payload,
    TaskConfig, Training, workload,
};

/// A task whose payload is a head of two labels over `dim` features: `2 dim + 2` coordinates.
#[must_use]
pub fn head_task(cohort_size: u16, min_cohort: u16, dim: u32) -> TaskConfig {
    TaskConfig {
        name: String::from("simulated"),
        base: BaseModel {
            weights: Digest::of(b"weights"),
            weights_bytes: 1,
            tokenizer: Digest::of(b"tokenizer"),
            shape: EncoderShape {
                dim,
                layers: 1,
                heads: 1,
                intermediate: dim,
                vocabulary: 16,
                positions: 32,
                norm_eps: 1e-12,
            },
        },
        labels: [String::from("no"), String::from("yes")].into(),
        max_length: 16,
        payload: Payload::Adapter(AdapterConfig {
            head: true,
            ..AdapterConfig::default()
        }),
        training: Training {
            optimizer: Optimizer {
                learning_rate: 0.01,
                weight_decay: 0.0,
                ..workload::OPTIMIZER
            },
            batch_size: 8,
            local_steps: 1,
        },
        cohort: CohortConfig {
            cohort_size,
            min_cohort,
            corrupt_permille: 100,
            drop_permille: 300,
        },
        deadlines: Deadlines {
            enroll_ms: 10_000,
            share_keys_ms: 5_000,
            collect_ms: 20_000,
            confirm_ms: 5_000,
            unmask_ms: 5_000,
        },
        seed: [7; 32],
        ..workload::encoder()
    }
}

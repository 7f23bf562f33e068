//! Tasks for simulated rounds.

use alloc::string::String;

use crate::ids::Digest;
use crate::task::{
    AdapterConfig, BaseFiles, BaseModel, CohortConfig, Deadlines, DecoderAdapterConfig,
    DecoderBiases, DecoderConfig, DecoderLoraConfig, DecoderStyle, DecoderTarget, EncoderShape,
    LanguageConfig, Optimizer, Payload, RopeScaling, TaskConfig, Training, VirtualTokens,
    VirtualTokensConfig, workload,
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

/// A task whose payload is that of a decoder of two blocks: width 8, two heads on one of keys and
/// values, rank 2 on queries, values and the gate, two virtual tokens.
#[must_use]
pub fn language_task(cohort_size: u16, min_cohort: u16) -> TaskConfig {
    let mut task = head_task(cohort_size, min_cohort, 8);
    task.base.shape.layers = 2;
    task.base.shape.heads = 2;
    task.base.shape.intermediate = 12;
    task.labels.clear();
    task.payload = Payload::Language(LanguageConfig {
        files: BaseFiles::HuggingFace,
        decoder: DecoderConfig {
            style: DecoderStyle::Llama,
            kv_heads: 1,
            head_dim: 4,
            rope_base: 10_000.0,
            rope_scaling: RopeScaling::None,
            tied: true,
            biases: DecoderBiases::default(),
            head_norms: false,
        },
        adapter: DecoderAdapterConfig {
            lora: Some(DecoderLoraConfig {
                rank: 2,
                alpha: 4.0,
                rank_stabilised: false,
                dropout: 0.0,
                targets: [DecoderTarget::Q, DecoderTarget::V, DecoderTarget::Gate].into(),
            }),
            virtual_tokens: Some(VirtualTokensConfig {
                num_virtual_tokens: 2,
                trained: VirtualTokens::SoftPrompt,
            }),
            ..DecoderAdapterConfig::default()
        },
    });
    task
}

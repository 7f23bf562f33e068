//! The workload "decoder" as a language task: what a tab trains it by, which can take a step in
//! several threads.

use choir_shared::task::{
    BaseFiles, DecoderAdapterConfig, DecoderBiases, DecoderConfig, DecoderLoraConfig, DecoderStyle,
    DecoderTarget, EncoderShape, LanguageConfig, Payload, RopeScaling, TaskConfig, workload,
};
use serde_json::{Value, json};

/// The workload's own sizes.
const SHAPE: EncoderShape = EncoderShape {
    dim: 256,
    layers: 4,
    heads: 4,
    intermediate: 688,
    vocabulary: 1024,
    positions: 128,
    norm_eps: 1e-5,
};
/// Sequences of a step.
const BATCH: u16 = 4;
/// Its page makes weights of the workload where it is told no sizes.
const SMALL: EncoderShape = EncoderShape {
    dim: 32,
    layers: 2,
    heads: 2,
    intermediate: 48,
    vocabulary: 64,
    positions: 24,
    norm_eps: 1e-5,
};

/// The workload's task.
pub(super) fn decoder() -> TaskConfig {
    task(SHAPE, BATCH)
}

/// The task of a small decoder, and the sizes that its page makes the weights for.
pub(crate) fn small_decoder() -> (TaskConfig, Value) {
    let sizes = json!({
        "dim": SMALL.dim, "layers": SMALL.layers, "heads": SMALL.heads, "mlp": SMALL.intermediate,
        "vocabulary": SMALL.vocabulary, "sequence": SMALL.positions, "batch": BATCH,
    });
    // No number of portions divides it.
    (task(SMALL, 5), sizes)
}

fn task(shape: EncoderShape, batch_size: u16) -> TaskConfig {
    let mut task = workload::encoder();
    task.base.shape = shape;
    task.labels.clear();
    task.max_length = u16::try_from(shape.positions).unwrap_or(u16::MAX);
    task.training.batch_size = batch_size;
    task.payload = Payload::Language(LanguageConfig {
        files: BaseFiles::HuggingFace,
        decoder: DecoderConfig {
            style: DecoderStyle::Llama,
            kv_heads: shape.heads,
            head_dim: shape.dim / shape.heads,
            rope_base: 10_000.0,
            rope_scaling: RopeScaling::None,
            tied: false,
            biases: DecoderBiases::default(),
            head_norms: false,
        },
        adapter: DecoderAdapterConfig::of_lora(DecoderLoraConfig {
            rank: 8,
            alpha: 16.0,
            rank_stabilised: false,
            dropout: 0.0,
            targets: vec![
                DecoderTarget::Q,
                DecoderTarget::K,
                DecoderTarget::V,
                DecoderTarget::O,
            ],
        }),
    });
    task
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_tasks() {
        assert_eq!(decoder().check(), Ok(()));
        assert_eq!(small_decoder().0.check(), Ok(()));
    }
}

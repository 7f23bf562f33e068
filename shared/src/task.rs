//! What a task is: everything that all its clients must agree on before they train.
//!
//! The digest of a [`TaskConfig`] is part of the model digest, which is part of the round's context
//! and so of every mask key: two clients with different settings cannot end up in one sum.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::fixed_point;
use crate::ids::{self, Digest, PublicKey, Version};
use crate::secure_sum::Ring;
use crate::wire;

mod check;
mod decoder_adapter;
mod decoder_layout;
mod language;
mod layout;
mod part_name;
pub mod workload;

pub use check::TaskError;
pub use decoder_adapter::{
    BottleneckConfig, DecoderAdapterConfig, DecoderLoraConfig, VirtualTokens, VirtualTokensConfig,
};
pub use decoder_layout::{BottleneckPart, PromptEncoderPart};
pub use language::{
    BaseFiles, DecoderBiases, DecoderConfig, DecoderNorm, DecoderStyle, DecoderTarget,
    LanguageConfig, RopeScaling,
};
pub use layout::{AdapterLayout, Part, PartKind};

/// A standing job. The field order is the format that the digest is taken over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskConfig {
    /// Shown to people.
    pub name: String,
    /// The frozen weights.
    pub base: BaseModel,
    /// Class names; their order is the order of the head's columns. A language task has none.
    pub labels: Vec<String>,
    /// Tokens of a text after truncation, special tokens included.
    pub max_length: u16,
    /// What clients send.
    pub payload: Payload,
    /// An object with the head's weight, then its bias, for tasks whose payload has no head.
    pub frozen_head: Option<Digest>,
    /// The local training.
    pub training: Training,
    /// From real numbers to integers.
    pub quantiser: Quantiser,
    /// Differential privacy.
    pub dp: Dp,
    /// Who sums with whom.
    pub cohort: CohortConfig,
    /// How long each phase waits.
    pub deadlines: Deadlines,
    /// Seed of version 0.
    #[serde(with = "ids::bytes")]
    pub seed: [u8; 32],
    /// Whether updates are rotated at random before they are rounded.
    pub rotation: bool,
    /// Who adds the updates up.
    pub aggregation: Aggregation,
    /// Who vouches for each entry of a roster.
    pub attestation: Option<Attestation>,
}

/// Who adds the updates up. The order is the wire format: append only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// One aggregator, by the secure sum of a cohort (mode A).
    #[default]
    OneAggregator,
    /// A leader and a helper that do not collude (mode B).
    TwoAggregators(Helper),
}

/// The second aggregator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Helper {
    /// Where the leader reaches it.
    pub url: String,
    /// X25519: what clients seal their seeds to.
    pub key: PublicKey,
}

/// An issuer of one-use tokens (RFC 9578, type 2) that is not the aggregator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// The issuer's RSA public key, DER SubjectPublicKeyInfo.
    #[serde(with = "serde_bytes")]
    pub issuer_key: Vec<u8>,
    /// SHA-256 of the token challenge.
    pub challenge_digest: Digest,
}

/// The frozen base model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BaseModel {
    /// SHA-256 of the weights' file: safetensors, or what a language task's [`BaseFiles`] names.
    pub weights: Digest,
    /// Its size.
    pub weights_bytes: u64,
    /// SHA-256 of the tokenizer's file: JSON, or what a language task's [`BaseFiles`] names.
    pub tokenizer: Digest,
    /// The encoder's sizes, or those that a decoder has too.
    pub shape: EncoderShape,
}

/// The sizes of a transformer encoder.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EncoderShape {
    /// Width of the hidden state.
    pub dim: u32,
    /// Transformer blocks.
    pub layers: u32,
    /// Attention heads of a block.
    pub heads: u32,
    /// Width inside the MLP.
    pub intermediate: u32,
    /// Tokens that the embedding knows.
    pub vocabulary: u32,
    /// Longest sequence.
    pub positions: u32,
    /// Epsilon of the layer norms.
    pub norm_eps: f32,
}

/// What clients send. The order is the wire format: append only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// Adapter after local training minus adapter before.
    Adapter(AdapterConfig),
    /// Sums of unit-normalised pooled embeddings and counts, for each class.
    Centroids,
    /// A decoder's adapter after local training on plain text minus adapter before.
    Language(LanguageConfig),
}

/// What is trained. Parts that are off are absent from the payload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AdapterConfig {
    /// Low-rank updates of linear layers.
    pub lora: Option<LoraConfig>,
    /// Virtual tokens before the text.
    pub soft_prompt: Option<SoftPromptConfig>,
    /// The classifier.
    pub head: bool,
}

/// Low-rank updates: `x·W + alpha/rank · x·A·B`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoraConfig {
    /// Columns of A, rows of B.
    pub rank: u16,
    /// Scale times rank.
    pub alpha: f32,
    /// The linear layers, sorted, each at most once.
    pub targets: Vec<Target>,
}

/// A linear layer of a block. The order is the payload's and the wire format's: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Query.
    Q,
    /// Key.
    K,
    /// Value.
    V,
    /// Output of the attention.
    O,
    /// First layer of the MLP.
    W1,
    /// Second layer of the MLP.
    W2,
}

/// Virtual tokens at the level of word embeddings, at positions 0 and up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoftPromptConfig {
    /// How many.
    pub num_virtual_tokens: u16,
}

/// The local training of one round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// AdamW's settings.
    pub optimizer: Optimizer,
    /// Examples of a step.
    pub batch_size: u16,
    /// Steps of a round.
    pub local_steps: u16,
}

/// AdamW. Its state starts anew in each round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Optimizer {
    /// Step size.
    pub learning_rate: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
}

/// From real numbers to integers: each coordinate is clipped to `[-bound, bound]`, scaled to
/// `[0, levels]` and multiplied by the client's weight.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantiser {
    /// Steps between `-bound` and `bound`.
    pub levels: u32,
    /// Largest magnitude of a coordinate.
    pub bound: f32,
    /// Largest weight of a client; more examples count as this many.
    pub weight_max: u32,
}

/// Differential privacy: what every client does to its update before it masks. All zero for neither
/// clipping nor noise; a clip norm without noise only clips.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dp {
    /// Standard deviation of the noise of `honest` clients together over the clip norm.
    pub noise_multiplier: f32,
    /// L2 bound of one update.
    pub clip: f32,
    /// Honest inputs that any opened sum holds: each client adds noise for its part of so many.
    pub honest: u16,
}

impl Dp {
    /// Whether clients add noise.
    #[must_use]
    pub fn has_noise(&self) -> bool {
        self.noise_multiplier > 0.0
    }
}

/// Who sums with whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CohortConfig {
    /// The round starts at once with this many clients.
    pub cohort_size: u16,
    /// The round starts at the lobby's deadline with at least this many.
    pub min_cohort: u16,
    /// Assumed corrupt clients, in thousandths.
    pub corrupt_permille: u16,
    /// Expected losses, in thousandths.
    pub drop_permille: u16,
}

/// How long each phase waits for its last client, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadlines {
    /// From the first JOIN.
    pub enroll_ms: u32,
    /// From ROSTER.
    pub share_keys_ms: u32,
    /// From DELIVER.
    pub collect_ms: u32,
    /// From SURVIVORS.
    pub confirm_ms: u32,
    /// From ACKS.
    pub unmask_ms: u32,
}

impl TaskConfig {
    /// SHA-256 of the config's postcard bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&wire::encode_bare(self))
    }

    /// The ring that updates of this task are added in.
    #[must_use]
    pub fn ring(&self) -> Ring {
        fixed_point::ring(&self.quantiser, &self.dp, self.cohort.cohort_size)
    }

    /// What every mask key of a round is bound to: SHA-256("choir/model" || config digest ||
    /// version u32 little-endian || adapter digest).
    #[must_use]
    pub fn model_digest(&self, version: Version, adapter: Digest) -> Digest {
        Digest::of_parts(&[
            b"choir/model",
            &self.digest().0,
            &version.0.to_le_bytes(),
            &adapter.0,
        ])
    }
}

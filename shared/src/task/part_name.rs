//! Names of the payload's parts, for people and manifests: `lora/0/q/a`, `bottleneck/1/down`.

use core::fmt;

use super::layout::PartKind;
use super::{BottleneckPart, DecoderNorm, PromptEncoderPart, Target};

impl fmt::Display for PartKind {
    /// The first word names what is trained; what lies in a block has its number next.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::LoraA { layer, target } => write!(formatter, "lora/{layer}/{}/a", target.name()),
            Self::LoraB { layer, target } => write!(formatter, "lora/{layer}/{}/b", target.name()),
            Self::DecoderLoraA { layer, target } => {
                write!(formatter, "lora/{layer}/{}/a", target.name())
            }
            Self::DecoderLoraB { layer, target } => {
                write!(formatter, "lora/{layer}/{}/b", target.name())
            }
            Self::SoftPrompt => formatter.write_str("soft_prompt"),
            Self::HeadWeight => formatter.write_str("head/weight"),
            Self::HeadBias => formatter.write_str("head/bias"),
            Self::CentroidSums => formatter.write_str("centroids/sums"),
            Self::CentroidCounts => formatter.write_str("centroids/counts"),
            Self::DecoderBias { layer, target } => {
                write!(formatter, "biases/{layer}/{}", target.name())
            }
            Self::DecoderNormGain(norm) => write!(formatter, "norms/{norm}/gain"),
            Self::DecoderNormBias(norm) => write!(formatter, "norms/{norm}/bias"),
            Self::Bottleneck { layer, part } => {
                write!(formatter, "bottleneck/{layer}/{}", part.name())
            }
            Self::PrefixKeys { layer } => write!(formatter, "prefix/{layer}/keys"),
            Self::PrefixValues { layer } => write!(formatter, "prefix/{layer}/values"),
            Self::PromptEncoder(part) => write!(formatter, "prompt_encoder/{}", part.name()),
        }
    }
}

impl fmt::Display for DecoderNorm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Attention { layer } => write!(formatter, "{layer}/attention"),
            Self::Mlp { layer } => write!(formatter, "{layer}/mlp"),
            Self::Queries { layer } => write!(formatter, "{layer}/queries"),
            Self::Keys { layer } => write!(formatter, "{layer}/keys"),
            Self::Last => formatter.write_str("last"),
        }
    }
}

impl Target {
    const fn name(self) -> &'static str {
        match self {
            Self::Q => "q",
            Self::K => "k",
            Self::V => "v",
            Self::O => "o",
            Self::W1 => "w1",
            Self::W2 => "w2",
        }
    }
}

impl BottleneckPart {
    const fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::DownBias => "down_bias",
            Self::Up => "up",
            Self::UpBias => "up_bias",
        }
    }
}

impl PromptEncoderPart {
    const fn name(self) -> &'static str {
        match self {
            Self::Embeddings => "embeddings",
            Self::Hidden => "hidden",
            Self::HiddenBias => "hidden_bias",
            Self::Output => "output",
            Self::OutputBias => "output_bias",
        }
    }
}

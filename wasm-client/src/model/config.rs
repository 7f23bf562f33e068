//! A model's `config.json` in the Hugging Face layout, in the keys of transformers 4 and 5: which
//! architecture it is, and its sizes.

use choir_shared::task::EncoderShape;
use serde_json::Value;

use super::decoder::{Biases, BlockStyle, DecoderShape};
use crate::engine::decoder::RotaryScaling;

/// What can be wrong with a `config.json`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No JSON object.
    #[error("config.json cannot be read: {0}")]
    Json(String),
    /// A kind of model that is not read.
    #[error(
        "config.json is of model type {found:?}; read are {}",
        Architecture::names()
    )]
    Architecture {
        /// What it says.
        found: String,
    },
    /// A number that is absent or not one.
    #[error("config.json: {key} must be {expected}, and is {found}")]
    Field {
        /// Its key.
        key: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
}

/// The kinds of model that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Llama, TinyLlama, SmolLM, SmolLM2.
    Llama,
    /// Mistral.
    Mistral,
    /// Qwen2 and Qwen2.5.
    Qwen2,
    /// Qwen3.
    Qwen3,
    /// GPT-2.
    Gpt2,
    /// BERT, and MiniLM's sentence encoders.
    Bert,
    /// DistilBERT.
    DistilBert,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Llama,
        Self::Mistral,
        Self::Qwen2,
        Self::Qwen3,
        Self::Gpt2,
        Self::Bert,
        Self::DistilBert,
    ];

    /// As `model_type` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Gpt2 => "gpt2",
            Self::Bert => "bert",
            Self::DistilBert => "distilbert",
        }
    }

    /// All names in a row, for messages.
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

/// The sizes of a model of either side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ModelShape {
    /// It reads.
    Encoder(EncoderShape),
    /// It writes.
    Decoder(DecoderShape),
}

/// What a `config.json` says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelConfig {
    /// Its kind.
    pub architecture: Architecture,
    /// Its sizes.
    pub shape: ModelShape,
}

impl ModelConfig {
    /// Reads the file's text.
    ///
    /// # Errors
    /// [`ConfigError`] names what was wrong.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let json: Value =
            serde_json::from_str(text).map_err(|error| ConfigError::Json(error.to_string()))?;
        let config = Fields(&json);
        let found = config.text("model_type").unwrap_or_default();
        let architecture = Architecture::ALL
            .into_iter()
            .find(|architecture| architecture.name() == found)
            .ok_or_else(|| ConfigError::Architecture {
                found: found.to_owned(),
            })?;
        let shape = match architecture {
            Architecture::Bert => ModelShape::Encoder(bert(config)?),
            Architecture::DistilBert => ModelShape::Encoder(distilbert(config)?),
            Architecture::Gpt2 => ModelShape::Decoder(gpt2(config)?),
            _ => ModelShape::Decoder(llama(config, architecture)?),
        };
        Ok(Self {
            architecture,
            shape,
        })
    }
}

/// A JSON object whose fields are numbers of certain kinds.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a Value);

impl<'a> Fields<'a> {
    /// The field's value; null is as good as absent.
    fn value(self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn text(self, key: &str) -> Option<&'a str> {
        self.value(key).and_then(Value::as_str)
    }

    fn refused(self, key: &'static str, expected: &'static str) -> ConfigError {
        let found = self
            .value(key)
            .map_or_else(|| "absent".to_owned(), Value::to_string);
        ConfigError::Field {
            key,
            expected,
            found,
        }
    }

    fn size(self, key: &'static str) -> Result<u32, ConfigError> {
        let size = self.value(key).and_then(Value::as_u64);
        size.and_then(|size| u32::try_from(size).ok())
            .filter(|size| *size > 0)
            .ok_or_else(|| self.refused(key, "a whole number above zero"))
    }

    fn size_or(self, key: &'static str, default: u32) -> Result<u32, ConfigError> {
        self.value(key).map_or(Ok(default), |_| self.size(key))
    }

    fn number(self, key: &'static str) -> Result<f32, ConfigError> {
        let number = self.value(key).and_then(Value::as_f64);
        number
            .map(|number| number as f32)
            .filter(|number| number.is_finite() && *number > 0.0)
            .ok_or_else(|| self.refused(key, "a number above zero"))
    }

    fn number_or(self, key: &'static str, default: f32) -> Result<f32, ConfigError> {
        self.value(key).map_or(Ok(default), |_| self.number(key))
    }

    fn flag(self, key: &'static str, default: bool) -> Result<bool, ConfigError> {
        self.value(key).map_or(Ok(default), |value| {
            value
                .as_bool()
                .ok_or_else(|| self.refused(key, "true or false"))
        })
    }

    /// The field is absent or one of these.
    fn one_of(
        self,
        key: &'static str,
        allowed: &[&str],
        expected: &'static str,
    ) -> Result<(), ConfigError> {
        match self.value(key) {
            Some(value) if !value.as_str().is_some_and(|text| allowed.contains(&text)) => {
                Err(self.refused(key, expected))
            }
            _ => Ok(()),
        }
    }
}

fn llama(config: Fields<'_>, architecture: Architecture) -> Result<DecoderShape, ConfigError> {
    config.one_of("hidden_act", &["silu", "swish"], "\"silu\"")?;
    let (dim, heads) = (
        config.size("hidden_size")?,
        config.size("num_attention_heads")?,
    );
    let kv_heads = config.size_or("num_key_value_heads", heads)?;
    if !heads.is_multiple_of(kv_heads) {
        return Err(config.refused("num_key_value_heads", "a divisor of num_attention_heads"));
    }
    let head_dim = config.size_or("head_dim", dim / heads)?;
    if !head_dim.is_multiple_of(2) {
        return Err(config.refused("head_dim", "even"));
    }
    let qwen2 = architecture == Architecture::Qwen2;
    let output = config.flag("attention_bias", false)?;
    let (rope_base, rope_scaling) = rotary(config)?;
    Ok(DecoderShape {
        dim: dim as usize,
        layers: config.size("num_hidden_layers")?,
        heads: heads as usize,
        kv_heads: kv_heads as usize,
        head_dim: head_dim as usize,
        intermediate: config.size("intermediate_size")? as usize,
        vocabulary: config.size("vocab_size")? as usize,
        context: context(config)?,
        norm_eps: config.number("rms_norm_eps")?,
        rope_base,
        rope_scaling,
        tied: config.flag("tie_word_embeddings", false)?,
        style: BlockStyle::Llama,
        biases: Biases {
            projections: qwen2 || output,
            output: output && !qwen2,
            mlp: config.flag("mlp_bias", false)?,
        },
        head_norms: architecture == Architecture::Qwen3,
    })
}

/// Positions in which attention is that of the whole text: within a sliding window it is.
fn context(config: Fields<'_>) -> Result<usize, ConfigError> {
    let positions = config.size_or("max_position_embeddings", 2048)?;
    let slides = config.flag("use_sliding_window", true)?;
    let window = match slides {
        true => config.size_or("sliding_window", positions)?,
        false => positions,
    };
    Ok(positions.min(window) as usize)
}

/// Base and scaling, from `rope_parameters` (transformers 5) or `rope_theta` with `rope_scaling`.
fn rotary(config: Fields<'_>) -> Result<(f32, RotaryScaling), ConfigError> {
    let parameters = config.value("rope_parameters");
    let (base, scaling) = match parameters {
        Some(parameters) => (Fields(parameters), parameters),
        None => (config, config.value("rope_scaling").unwrap_or(&Value::Null)),
    };
    let base = base.number_or("rope_theta", 10_000.0)?;
    let scaling = Fields(scaling);
    let kind = scaling.text("rope_type").or_else(|| scaling.text("type"));
    let scaling = match kind.unwrap_or("default") {
        "default" => RotaryScaling::None,
        "linear" => RotaryScaling::Linear {
            factor: scaling.number("factor")?,
        },
        "llama3" => RotaryScaling::Llama3 {
            factor: scaling.number("factor")?,
            low_frequency_factor: scaling.number("low_freq_factor")?,
            high_frequency_factor: scaling.number("high_freq_factor")?,
            original_context: scaling.number("original_max_position_embeddings")?,
        },
        _ => return Err(scaling.refused("rope_type", "\"default\", \"linear\" or \"llama3\"")),
    };
    Ok((base, scaling))
}

fn gpt2(config: Fields<'_>) -> Result<DecoderShape, ConfigError> {
    let tanh = ["gelu_new", "gelu_pytorch_tanh"];
    config.one_of("activation_function", &tanh, "\"gelu_new\"")?;
    if config.flag("scale_attn_by_inverse_layer_idx", false)? {
        return Err(config.refused("scale_attn_by_inverse_layer_idx", "false"));
    }
    let (dim, heads) = (config.size("n_embd")?, config.size("n_head")?);
    if !dim.is_multiple_of(heads) {
        return Err(config.refused("n_head", "a divisor of n_embd"));
    }
    Ok(DecoderShape {
        dim: dim as usize,
        layers: config.size("n_layer")?,
        heads: heads as usize,
        kv_heads: heads as usize,
        head_dim: (dim / heads) as usize,
        intermediate: config.size_or("n_inner", 4 * dim)? as usize,
        vocabulary: config.size("vocab_size")? as usize,
        context: config.size("n_positions")? as usize,
        norm_eps: config.number_or("layer_norm_epsilon", 1e-5)?,
        tied: config.flag("tie_word_embeddings", true)?,
        style: BlockStyle::Gpt2,
        biases: Biases::ALL,
        ..DecoderShape::LLAMA
    })
}

fn bert(config: Fields<'_>) -> Result<EncoderShape, ConfigError> {
    config.one_of("hidden_act", &["gelu"], "\"gelu\"")?;
    config.one_of("position_embedding_type", &["absolute"], "\"absolute\"")?;
    Ok(EncoderShape {
        dim: config.size("hidden_size")?,
        layers: config.size("num_hidden_layers")?,
        heads: config.size("num_attention_heads")?,
        intermediate: config.size("intermediate_size")?,
        vocabulary: config.size("vocab_size")?,
        positions: config.size("max_position_embeddings")?,
        norm_eps: config.number_or("layer_norm_eps", 1e-12)?,
    })
}

fn distilbert(config: Fields<'_>) -> Result<EncoderShape, ConfigError> {
    config.one_of("activation", &["gelu"], "\"gelu\"")?;
    Ok(EncoderShape {
        dim: config.size("dim")?,
        layers: config.size("n_layers")?,
        heads: config.size("n_heads")?,
        intermediate: config.size("hidden_dim")?,
        vocabulary: config.size("vocab_size")?,
        positions: config.size("max_position_embeddings")?,
        norm_eps: 1e-12,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn refusal(text: &str) -> String {
        ModelConfig::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_architecture_is_named_with_those_that_are_read() {
        assert_eq!(
            refusal(r#"{"model_type": "mamba"}"#),
            "config.json is of model type \"mamba\"; read are \
             llama, mistral, qwen2, qwen3, gpt2, bert, distilbert"
        );
        assert!(refusal("{").starts_with("config.json cannot be read"));
    }

    #[test]
    fn a_field_that_is_wrong_is_named_with_what_it_may_be() {
        let without = r#"{"model_type": "llama", "num_attention_heads": 4}"#;
        assert_eq!(
            refusal(without),
            "config.json: hidden_size must be a whole number above zero, and is absent"
        );
        let gelu = r#"{"model_type": "llama", "hidden_act": "relu"}"#;
        assert_eq!(
            refusal(gelu),
            "config.json: hidden_act must be \"silu\", and is \"relu\""
        );
        let yarn = r#"{"model_type": "llama", "hidden_size": 8, "num_attention_heads": 2,
            "rope_scaling": {"rope_type": "yarn"}}"#;
        assert!(refusal(yarn).contains("rope_type must be \"default\""));
    }
}

//! `adapter_config.json`.

use serde_json::{Value, json};

use super::PeftError;

/// What kind of adapter it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum PeftConfig {
    /// Low-rank factors.
    Lora(LoraConfig),
    /// A soft prompt of so many rows, or what a prompt encoder made.
    Prompt(usize),
    /// Keys and values of so many virtual tokens.
    Prefix(usize),
}

/// How low-rank factors are scaled.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LoraConfig {
    alpha: f32,
    /// Other alphas, by the end of a module's name.
    alpha_pattern: Vec<(String, f32)>,
    rank_stabilised: bool,
}

impl LoraConfig {
    /// What the product of a module's factors is multiplied by.
    pub(super) fn scale(&self, module: &str, rank: usize) -> f32 {
        let ends_with = |key: &str| module == key || module.ends_with(&format!(".{key}"));
        let other = self.alpha_pattern.iter().find(|(key, _)| ends_with(key));
        let alpha = other.map_or(self.alpha, |(_, alpha)| *alpha);
        match self.rank_stabilised {
            true => alpha / (rank as f32).sqrt(),
            false => alpha / rank as f32,
        }
    }
}

/// Keys that change what an adapter computes, and are not read unless they are absent, null, false
/// or empty.
const PLAIN: [&str; 11] = [
    "use_dora",
    "use_qalora",
    "use_bdlora",
    "lora_bias",
    "modules_to_save",
    "layer_replication",
    "trainable_token_indices",
    "target_parameters",
    "alora_invocation_tokens",
    "kasa_config",
    "arrow_config",
];

impl PeftConfig {
    pub(super) fn parse(text: &str) -> Result<Self, PeftError> {
        let json: Value =
            serde_json::from_str(text).map_err(|error| PeftError::Json(error.to_string()))?;
        match json["peft_type"].as_str() {
            Some("LORA") => lora(&json).map(Self::Lora),
            Some("PROMPT_TUNING" | "P_TUNING") => virtual_tokens(&json).map(Self::Prompt),
            Some("PREFIX_TUNING") => virtual_tokens(&json).map(Self::Prefix),
            _ => Err(unsupported(
                &json,
                "peft_type",
                "\"LORA\", \"PROMPT_TUNING\", \"P_TUNING\" or \"PREFIX_TUNING\"",
            )),
        }
    }
}

fn virtual_tokens(json: &Value) -> Result<usize, PeftError> {
    let rows = json["num_virtual_tokens"].as_u64().filter(|rows| *rows > 0);
    rows.map(|rows| rows as usize)
        .ok_or_else(|| unsupported(json, "num_virtual_tokens", "a number above zero"))
}

fn lora(json: &Value) -> Result<LoraConfig, PeftError> {
    for key in PLAIN {
        let value = &json[key];
        let empty = value.as_array().is_some_and(Vec::is_empty);
        if !(value.is_null() || value == &Value::Bool(false) || empty) {
            return Err(unsupported(json, key, "nothing"));
        }
    }
    if json["bias"].as_str().is_some_and(|bias| bias != "none") {
        return Err(unsupported(json, "bias", "\"none\""));
    }
    let alpha = |value: &Value| value.as_f64().filter(|alpha| alpha.is_finite());
    let mut alpha_pattern = Vec::new();
    for (key, value) in json["alpha_pattern"].as_object().into_iter().flatten() {
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || "._".contains(letter);
        let of_module = alpha(value).filter(|_| key.chars().all(is_name));
        let number = of_module.ok_or_else(|| {
            unsupported(json, "alpha_pattern", "ends of module names with numbers")
        })?;
        alpha_pattern.push((key.clone(), number as f32));
    }
    Ok(LoraConfig {
        alpha: alpha(&json["lora_alpha"])
            .ok_or_else(|| unsupported(json, "lora_alpha", "a number"))? as f32,
        alpha_pattern,
        rank_stabilised: json["use_rslora"] == Value::Bool(true),
    })
}

fn unsupported(json: &Value, key: &'static str, expected: &'static str) -> PeftError {
    PeftError::Unsupported {
        key,
        found: json[key].to_string(),
        expected,
    }
}

/// The configuration of low-rank factors: `pattern` has the modules of another rank, with alphas
/// that leave the scale as it is.
pub(super) fn write_lora(
    [rank, alpha]: [f32; 2],
    modules: &[String],
    fan_in_fan_out: bool,
    pattern: &[(String, usize, f32)],
    causal: bool,
) -> String {
    let ranks: Value = pattern
        .iter()
        .map(|(module, rank, _)| (module.clone(), json!(rank)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let alphas: Value = pattern
        .iter()
        .map(|(module, _, alpha)| (module.clone(), json!(alpha)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let config = json!({
        "peft_type": "LORA",
        "task_type": if causal { "CAUSAL_LM" } else { "FEATURE_EXTRACTION" },
        "base_model_name_or_path": null,
        "inference_mode": true,
        "r": rank as u32,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "use_rslora": false,
        "use_dora": false,
        "bias": "none",
        "fan_in_fan_out": fan_in_fan_out,
        "init_lora_weights": true,
        "modules_to_save": null,
        "rank_pattern": ranks,
        "alpha_pattern": alphas,
        "target_modules": modules,
    });
    format!("{config:#}\n")
}

/// The configuration of a soft prompt.
pub(super) fn write_prompt(shape: [usize; 2], layers: u32, heads: usize) -> String {
    let mut config = virtual_tokens_config("PROMPT_TUNING", shape, layers, heads);
    config["prompt_tuning_init"] = json!("RANDOM");
    config["prompt_tuning_init_text"] = Value::Null;
    config["tokenizer_name_or_path"] = Value::Null;
    format!("{config:#}\n")
}

/// The configuration of keys and values of virtual tokens: columns and heads are those of the keys.
pub(super) fn write_prefix(shape: [usize; 2], layers: u32, kv_heads: usize) -> String {
    let mut config = virtual_tokens_config("PREFIX_TUNING", shape, layers, kv_heads);
    config["encoder_hidden_size"] = json!(shape[1]);
    config["prefix_projection"] = json!(false);
    format!("{config:#}\n")
}

fn virtual_tokens_config(kind: &str, shape: [usize; 2], layers: u32, heads: usize) -> Value {
    json!({
        "peft_type": kind,
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": null,
        "inference_mode": true,
        "num_virtual_tokens": shape[0],
        "token_dim": shape[1],
        "num_layers": layers,
        "num_attention_heads": heads,
        "num_transformer_submodules": 1,
    })
}

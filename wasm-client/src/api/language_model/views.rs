//! What crosses between JavaScript and a language model, and the errors that its parts have.

use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;

use crate::adapter::peft::PeftError;
use crate::api::error::ApiError;
use crate::language::dataset::Row;
use crate::language::sampling::{Sampling, SamplingError};
use crate::model::config::ConfigError;
use crate::model::llama2c::Llama2cError;
use crate::model::loader::LoadError;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShapeView {
    pub(super) architecture: &'static str,
    pub(super) dim: usize,
    pub(super) layers: u32,
    pub(super) vocabulary: usize,
    pub(super) context: usize,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct SamplingView {
    pub(super) temperature: Option<f32>,
    pub(super) top_k: Option<usize>,
    pub(super) top_p: Option<f32>,
    pub(super) repetition_penalty: Option<f32>,
    pub(super) seed: u64,
    /// Tokens and virtual tokens that the text may have; the model's context where absent.
    pub(super) capacity: Option<usize>,
}

#[derive(Serialize)]
pub(super) struct ScoreView {
    pub(super) nats: f64,
    pub(super) tokens: usize,
}

#[derive(Serialize)]
pub(super) struct PeftView {
    pub(super) config: String,
    pub(super) tensors: serde_bytes::ByteBuf,
}

impl SamplingView {
    /// The usual ones where none are given.
    pub(super) fn read(settings: JsValue) -> Result<Self, ApiError> {
        if settings.is_undefined() {
            return Ok(Self::default());
        }
        Ok(serde_wasm_bindgen::from_value(settings)?)
    }

    /// Greedy where nothing else is said.
    pub(super) fn sampling(&self) -> Sampling {
        let plain = Sampling::default();
        Sampling {
            temperature: self.temperature.unwrap_or(plain.temperature),
            top_k: self.top_k,
            top_p: self.top_p.unwrap_or(plain.top_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(plain.repetition_penalty),
            seed: self.seed,
        }
    }
}

pub(in crate::api) fn rows(
    tokens: &[u32],
    starts: &[u32],
    labels: &[u32],
) -> Result<Vec<Row>, ApiError> {
    let fits = starts.first() == Some(&0)
        && starts.windows(2).all(|ends| ends[0] < ends[1])
        && starts
            .last()
            .is_some_and(|end| *end as usize == tokens.len())
        && labels.len() == tokens.len();
    if !fits {
        let reason = "rows need starts from 0 to the number of tokens, and a label for each token";
        return Err(ApiError::new("bad-input", &reason));
    }
    let row = |ends: &[u32]| {
        let place = ends[0] as usize..ends[1] as usize;
        Row {
            tokens: tokens[place.clone()].to_vec(),
            labels: labels[place].to_vec(),
        }
    };
    Ok(starts.windows(2).map(row).collect())
}

pub(super) fn too_early(first: &str) -> ApiError {
    ApiError::new("internal", &format!("{first} first"))
}

pub(in crate::api) fn no_text() -> ApiError {
    too_early("start a text")
}

impl From<ConfigError> for ApiError {
    fn from(error: ConfigError) -> Self {
        Self::new("bad-model", &error)
    }
}

impl From<LoadError> for ApiError {
    fn from(error: LoadError) -> Self {
        Self::new("bad-model", &error)
    }
}

impl From<Llama2cError> for ApiError {
    fn from(error: Llama2cError) -> Self {
        Self::new("bad-model", &error)
    }
}

impl From<PeftError> for ApiError {
    fn from(error: PeftError) -> Self {
        Self::new("bad-input", &error)
    }
}

impl From<SamplingError> for ApiError {
    fn from(error: SamplingError) -> Self {
        Self::new("bad-input", &error)
    }
}

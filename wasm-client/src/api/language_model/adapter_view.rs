//! The settings of an adapter, as a page gives them.

use serde::Deserialize;

use crate::api::error::ApiError;
use crate::model::decoder::{
    Bottleneck, DecoderAdapterConfig, DecoderLora, DecoderShape, DecoderTarget, VirtualTokens,
};

/// Any of these together; nothing of what is absent is trained.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AdapterView {
    #[serde(default)]
    lora: Option<LoraView>,
    /// Linear layers whose bias is trained.
    #[serde(default)]
    biases: Vec<String>,
    #[serde(default)]
    norms: bool,
    #[serde(default)]
    bottleneck: Option<BottleneckView>,
    #[serde(default)]
    virtual_tokens: Option<VirtualTokensView>,
    /// Of the first values.
    pub(super) seed: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LoraView {
    rank: usize,
    alpha: f32,
    #[serde(default)]
    rank_stabilised: bool,
    targets: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BottleneckView {
    width: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VirtualTokensView {
    count: usize,
    trained: VirtualKind,
    /// Of a prompt encoder.
    #[serde(default)]
    width: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum VirtualKind {
    SoftPrompt,
    PromptEncoder,
    Prefix,
}

impl AdapterView {
    /// What it names of a decoder of this shape.
    ///
    /// # Errors
    /// `bad-input` for a layer that is not there, or twice, for sizes of zero, and where nothing is
    /// trained.
    pub(super) fn config(&self, shape: &DecoderShape) -> Result<DecoderAdapterConfig, ApiError> {
        let lora = self.lora.as_ref();
        let config = DecoderAdapterConfig {
            lora: lora.map(|lora| lora.config(shape)).transpose()?,
            biases: targets(&self.biases, shape)?,
            norms: self.norms,
            bottleneck: self
                .bottleneck
                .as_ref()
                .map(|view| Bottleneck { width: view.width }),
            num_virtual_tokens: self.virtual_tokens.as_ref().map_or(0, |view| view.count),
            virtual_tokens: self
                .virtual_tokens
                .as_ref()
                .map_or(VirtualTokens::SoftPrompt, VirtualTokensView::kind),
        };
        if config.is_sound() {
            return Ok(config);
        }
        let reason = "an adapter needs something to train, and sizes above zero";
        Err(ApiError::new("bad-input", &reason))
    }
}

impl LoraView {
    fn config(&self, shape: &DecoderShape) -> Result<DecoderLora, ApiError> {
        Ok(DecoderLora {
            rank: self.rank,
            alpha: self.alpha,
            rank_stabilised: self.rank_stabilised,
            targets: targets(&self.targets, shape)?,
        })
    }
}

impl VirtualTokensView {
    fn kind(&self) -> VirtualTokens {
        match self.trained {
            VirtualKind::SoftPrompt => VirtualTokens::SoftPrompt,
            VirtualKind::PromptEncoder => VirtualTokens::PromptEncoder { width: self.width },
            VirtualKind::Prefix => VirtualTokens::Prefix,
        }
    }
}

/// The layers by name, each once.
fn targets(names: &[String], shape: &DecoderShape) -> Result<Vec<DecoderTarget>, ApiError> {
    let mut targets = Vec::with_capacity(names.len());
    for name in names {
        let known = shape.targets().iter().find(|target| target.name() == name);
        match known {
            Some(target) if !targets.contains(target) => targets.push(*target),
            Some(_) => {
                return Err(ApiError::new(
                    "bad-input",
                    &format!("{name:?} is there twice"),
                ));
            }
            None => return Err(no_such_target(name, shape.targets())),
        }
    }
    Ok(targets)
}

fn no_such_target(name: &str, targets: &[DecoderTarget]) -> ApiError {
    let known: Vec<&str> = targets.iter().map(|target| target.name()).collect();
    let reason = format!("there is no layer {name:?}: {}", known.join(", "));
    ApiError::new("bad-input", &reason)
}

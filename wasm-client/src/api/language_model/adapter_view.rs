//! The settings of an adapter, as a page gives them.

use serde::Deserialize;

use choir_shared::task::{
    BottleneckConfig, DecoderAdapterConfig, DecoderLoraConfig, DecoderTarget, VirtualTokens,
    VirtualTokensConfig,
};

use crate::api::error::ApiError;
use crate::model::decoder::DecoderShape;

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
    rank: u16,
    alpha: f32,
    #[serde(default)]
    rank_stabilised: bool,
    #[serde(default)]
    dropout: f32,
    targets: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BottleneckView {
    width: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VirtualTokensView {
    count: u16,
    trained: VirtualKind,
    /// Of a prompt encoder.
    #[serde(default)]
    width: u32,
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
                .map(|view| BottleneckConfig { width: view.width }),
            virtual_tokens: self.virtual_tokens.as_ref().map(VirtualTokensView::config),
        };
        let reason =
            "an adapter needs something to train, sizes above zero and a dropout below one";
        config
            .check(shape.style.into())
            .map_err(|_| ApiError::new("bad-input", &reason))?;
        Ok(config)
    }
}

impl LoraView {
    fn config(&self, shape: &DecoderShape) -> Result<DecoderLoraConfig, ApiError> {
        Ok(DecoderLoraConfig {
            rank: self.rank,
            alpha: self.alpha,
            rank_stabilised: self.rank_stabilised,
            dropout: self.dropout,
            targets: targets(&self.targets, shape)?,
        })
    }
}

impl VirtualTokensView {
    fn config(&self) -> VirtualTokensConfig {
        let trained = match self.trained {
            VirtualKind::SoftPrompt => VirtualTokens::SoftPrompt,
            VirtualKind::PromptEncoder => VirtualTokens::PromptEncoder { width: self.width },
            VirtualKind::Prefix => VirtualTokens::Prefix,
        };
        VirtualTokensConfig {
            num_virtual_tokens: self.count,
            trained,
        }
    }
}

/// The layers by name, each once, in the order of the flat vector.
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
    targets.sort();
    Ok(targets)
}

fn no_such_target(name: &str, targets: &[DecoderTarget]) -> ApiError {
    let known: Vec<&str> = targets.iter().map(|target| target.name()).collect();
    let reason = format!("there is no layer {name:?}: {}", known.join(", "));
    ApiError::new("bad-input", &reason)
}

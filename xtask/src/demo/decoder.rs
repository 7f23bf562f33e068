//! The decoders that the writing demo can be of: the built-in one, and stories260K of the shared data.

use super::options::{Decoder, Options};
use super::task::Frame;
use crate::eval;
use crate::failure::{AtPath, Failure, Outcome};
use crate::paths::Paths;
use choir_shared::ids::Digest;
use choir_shared::task::{
    BaseFiles, BaseModel, DecoderBiases, DecoderConfig, DecoderStyle, EncoderShape, RopeScaling,
    TaskConfig,
};
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};

/// Sizes of stories260K (karpathy/tinyllamas).
const STORIES: Config = Config {
    hidden_size: 64,
    num_hidden_layers: 5,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    head_dim: 8,
    intermediate_size: 172,
    vocab_size: 512,
    max_position_embeddings: 512,
    rms_norm_eps: 1e-5,
    rope_theta: 10_000.0,
};

/// What of a `config.json` of Llama's kind makes a task.
#[derive(Deserialize)]
struct Config {
    hidden_size: u32,
    num_hidden_layers: u32,
    num_attention_heads: u32,
    num_key_value_heads: u32,
    head_dim: u32,
    intermediate_size: u32,
    vocab_size: u32,
    max_position_embeddings: u32,
    rms_norm_eps: f32,
    rope_theta: f32,
}

/// What the demo is made of.
pub(super) struct Files {
    name: &'static str,
    kind: BaseFiles,
    config: Config,
    weights: PathBuf,
    tokenizer: PathBuf,
    /// The plays, where they are at hand.
    text: Option<PathBuf>,
}

impl Files {
    /// Looks for all of them; `--data` names other plays than those of the shared data. Without a choice
    /// a person gets the built-in decoder, and a headless run the one that knows no plays yet.
    ///
    /// # Errors
    /// `Missing` names what is not there.
    pub(super) fn find(paths: &Paths, options: &Options) -> Outcome<Self> {
        let shared = eval::shared();
        let plays = shared
            .as_ref()
            .ok()
            .map(|shared| shared.join("data/tinyshakespeare/input.txt"));
        let text = options.data.clone().or(plays);
        let usual = match options.headless {
            true => Decoder::Stories,
            false => Decoder::BuiltIn,
        };
        let files = match options.decoder.unwrap_or(usual) {
            Decoder::BuiltIn => {
                let folder = paths.decoder();
                let config = folder.join("config.json");
                let read = fs::read(&config).at(&config)?;
                let unreadable = |error| Failure::Data(format!("{}: {error}", config.display()));
                Self {
                    name: paths.decoder_name(),
                    kind: BaseFiles::HuggingFace,
                    config: serde_json::from_slice(&read).map_err(unreadable)?,
                    weights: folder.join("model.safetensors"),
                    tokenizer: folder.join("tokenizer.json"),
                    text,
                }
            }
            Decoder::Stories => {
                let folder = shared?.join("models/stories260K");
                Self {
                    name: "stories260K",
                    kind: BaseFiles::Llama2c,
                    config: STORIES,
                    weights: folder.join("stories260K.bin"),
                    tokenizer: folder.join("tok512.bin"),
                    text,
                }
            }
        };
        for file in files.base().into_iter().chain(&files.text) {
            if !file.is_file() {
                return Err(Failure::Missing {
                    what: file.display().to_string(),
                    remedy: "CHOIR_SHARED names the folder that has `data` and `models`."
                        .to_owned(),
                });
            }
        }
        Ok(files)
    }

    /// The decoder's name.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Weights and tokenizer.
    pub(super) fn base(&self) -> [&PathBuf; 2] {
        [&self.weights, &self.tokenizer]
    }

    /// The folder of both.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.weights.parent()
    }

    /// The plays that tabs read.
    ///
    /// # Errors
    /// `Missing` where there are none.
    pub(super) fn text(&self) -> Outcome<&Path> {
        self.text.as_deref().ok_or_else(|| Failure::Missing {
            what: "a text for the tabs to read".to_owned(),
            remedy: "Name plays with --data FILE (`NAME:` before each speech, a blank line after \
                     it), or the folder of shared data in CHOIR_SHARED."
                .to_owned(),
        })
    }

    /// The task of this decoder.
    ///
    /// # Errors
    /// `File` where it cannot be read, `Data` where the options make no task.
    pub(super) fn task(&self, options: &Options) -> Outcome<TaskConfig> {
        let frame = Frame {
            options,
            base: self.base_model()?,
            labels: Vec::new(),
        };
        frame.writing_task(self.kind, self.config.decoder())
    }

    fn base_model(&self) -> Outcome<BaseModel> {
        let weights = fs::read(&self.weights).at(&self.weights)?;
        let tokenizer = fs::read(&self.tokenizer).at(&self.tokenizer)?;
        Ok(BaseModel {
            weights: Digest::of(&weights),
            weights_bytes: weights.len() as u64,
            tokenizer: Digest::of(&tokenizer),
            shape: self.config.shape(),
        })
    }
}

impl Config {
    fn shape(&self) -> EncoderShape {
        EncoderShape {
            dim: self.hidden_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            intermediate: self.intermediate_size,
            vocabulary: self.vocab_size,
            positions: self.max_position_embeddings,
            norm_eps: self.rms_norm_eps,
        }
    }

    fn decoder(&self) -> DecoderConfig {
        DecoderConfig {
            style: DecoderStyle::Llama,
            kv_heads: self.num_key_value_heads,
            head_dim: self.head_dim,
            rope_base: self.rope_theta,
            rope_scaling: RopeScaling::None,
            tied: true,
            biases: DecoderBiases::default(),
            head_norms: false,
        }
    }
}

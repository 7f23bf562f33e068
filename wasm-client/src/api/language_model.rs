//! A language model on a device, for JavaScript: it goes on with a text, is scored on one, learns
//! from one. Texts are tokens here; the tokenizer is the page's, or [`super::Llama2cTokenizer`].

use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use super::device::{DeviceEngine, open_engine};
use super::error::{ApiError, to_js};
use super::trainer::{CountsView, InfoView, precision_of};
use crate::adapter::peft::{export_decoder, import_decoder};
use crate::engine::quantised::WeightPrecision;
use crate::engine::{AdamW, Engine};
use crate::language::dataset::Row;
use crate::model::config::{Architecture, ModelConfig, ModelShape};
use crate::model::decoder::DecoderAdapter;
use crate::model::decoder_loader::DecoderLoader;
use crate::model::llama2c::Llama2cCheckpoint;
use crate::train::language::LanguageTrainer;
use adapter_view::AdapterView;
use text::Text;
use views::{PeftView, ScoreView, ShapeView, no_text, rows, too_early};

mod adapter_view;
pub(super) mod text;
pub(super) mod views;

type Tensor = <DeviceEngine as Engine>::Tensor;

/// AdamW of a model whose optimizer was not set: the task's defaults.
const OPTIMIZER: AdamW = AdamW {
    learning_rate: 1e-3,
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weight_decay: 0.0,
};

/// A decoder on this module's engine.
#[wasm_bindgen]
pub struct LanguageModel {
    /// Until the weights are complete.
    loading: Option<(DeviceEngine, Architecture, Option<DecoderLoader<Tensor>>)>,
    ready: Option<Ready>,
}

/// A decoder that is complete.
struct Ready {
    architecture: Architecture,
    trainer: LanguageTrainer<DeviceEngine>,
    text: Option<Text>,
}

#[wasm_bindgen]
impl LanguageModel {
    /// A model without weights, on a device of this engine.
    pub async fn open() -> Result<Self, ApiError> {
        let engine = open_engine().await?;
        Ok(Self {
            loading: Some((engine, Architecture::Llama, None)),
            ready: None,
        })
    }

    /// Begins a checkpoint of the Hugging Face layout by its `config.json`. `precision` is what the
    /// frozen matrices are kept in: `"f32"`, `"int8"` or `"int4"`.
    #[wasm_bindgen(js_name = beginWeights)]
    pub fn begin_weights(
        &mut self,
        config: &str,
        precision: Option<String>,
    ) -> Result<(), ApiError> {
        let precision = precision_of(precision.as_deref())?;
        let config = ModelConfig::parse(config)?;
        let ModelShape::Decoder(shape) = config.shape else {
            let name = config.architecture.name();
            return Err(ApiError::new(
                "bad-model",
                &format!("{name} is an encoder: open a Trainer for it"),
            ));
        };
        let (engine, architecture, loader) = self.loading()?;
        if precision != WeightPrecision::F32 {
            engine.set_recomputation(true);
        }
        *architecture = config.architecture;
        *loader = Some(DecoderLoader::new(config.architecture, shape, precision));
        Ok(())
    }

    /// The next bytes of a safetensors file, in any chunking.
    #[wasm_bindgen(js_name = addWeights)]
    pub fn add_weights(&mut self, chunk: &[u8]) -> Result<(), ApiError> {
        let (engine, _, loader) = self.loading()?;
        let loader = loader
            .as_mut()
            .ok_or_else(|| too_early("begin the weights"))?;
        Ok(loader.push(engine, chunk)?)
    }

    /// Ends a file; another may follow.
    #[wasm_bindgen(js_name = endFile)]
    pub fn end_file(&mut self) -> Result<(), ApiError> {
        let (_, _, loader) = self.loading()?;
        let loader = loader
            .as_mut()
            .ok_or_else(|| too_early("begin the weights"))?;
        Ok(loader.end_file()?)
    }

    /// Ends the weights; fails if tensors are missing, by name.
    #[wasm_bindgen(js_name = finishWeights)]
    pub fn finish_weights(&mut self) -> Result<(), ApiError> {
        let (engine, architecture, loader) = self
            .loading
            .take()
            .ok_or_else(|| too_early("open a new model"))?;
        let loader = loader.ok_or_else(|| too_early("begin the weights"))?;
        let decoder = loader.finish(DecoderAdapter::default())?;
        self.complete(
            architecture,
            LanguageTrainer::new(engine, decoder, OPTIMIZER),
        )
    }

    /// Reads a whole checkpoint of llama2.c's version 0.
    #[wasm_bindgen(js_name = loadLlama2c)]
    pub fn load_llama2c(
        &mut self,
        bytes: &[u8],
        precision: Option<String>,
    ) -> Result<(), ApiError> {
        let precision = precision_of(precision.as_deref())?;
        let checkpoint = Llama2cCheckpoint::read(bytes)?;
        let (mut engine, ..) = self
            .loading
            .take()
            .ok_or_else(|| too_early("open a new model"))?;
        let decoder = checkpoint.load(&mut engine, precision, DecoderAdapter::default())?;
        let trainer = LanguageTrainer::new(engine, decoder, OPTIMIZER);
        self.complete(Architecture::Llama, trainer)
    }

    /// Its architecture and sizes.
    pub fn shape(&self) -> Result<JsValue, ApiError> {
        let ready = self
            .ready
            .as_ref()
            .ok_or_else(|| too_early("finish the weights"))?;
        let shape = ready.trainer.decoder().shape();
        to_js(&ShapeView {
            architecture: ready.architecture.name(),
            dim: shape.dim,
            layers: shape.layers,
            vocabulary: shape.vocabulary,
            context: shape.context,
        })
    }

    /// The device and its adapter's name.
    pub fn info(&self) -> Result<JsValue, ApiError> {
        let ready = self
            .ready
            .as_ref()
            .ok_or_else(|| too_early("finish the weights"))?;
        to_js(&InfoView::from(ready.trainer.engine().device()))
    }

    /// Counts of the last step.
    pub fn counts(&self) -> Result<JsValue, ApiError> {
        let ready = self
            .ready
            .as_ref()
            .ok_or_else(|| too_early("finish the weights"))?;
        to_js(&CountsView::from(ready.trainer.engine().counts()))
    }

    /// Puts a fresh adapter into its layers, in place of any other; any of these together:
    /// `{lora: {rank, alpha, rankStabilised, targets}, biases: targets, norms, bottleneck: {width},
    /// virtualTokens: {count, trained, width}, seed}`, with targets of `q k v o gate up down`, and
    /// `"soft-prompt"`, `"prompt-encoder"` (of this width) or `"prefix"` trained. Yields the number of
    /// its values.
    #[wasm_bindgen(js_name = addAdapter)]
    pub fn add_adapter(&mut self, settings: JsValue) -> Result<usize, ApiError> {
        let settings: AdapterView = serde_wasm_bindgen::from_value(settings)?;
        let ready = self.ready()?;
        let shape = *ready.trainer.decoder().shape();
        let adapter = DecoderAdapter::of_config(&shape, &settings.config(&shape)?);
        let values = adapter.initial(settings.seed);
        ready.attach(adapter, &values)?;
        Ok(values.len())
    }

    /// Takes the adapter off.
    #[wasm_bindgen(js_name = removeAdapter)]
    pub fn remove_adapter(&mut self) -> Result<(), ApiError> {
        self.ready()?.attach(DecoderAdapter::default(), &[])
    }

    /// Puts other values into the adapter; the optimizer starts anew.
    #[wasm_bindgen(js_name = setAdapter)]
    pub fn set_adapter(&mut self, flat: &[f32]) -> Result<(), ApiError> {
        let ready = self.ready()?;
        ready.text = None;
        Ok(ready.trainer.set_adapter(flat)?)
    }

    /// The adapter as it is now.
    pub async fn adapter(&mut self) -> Result<Vec<f32>, ApiError> {
        Ok(self.ready()?.trainer.adapter().await?)
    }

    /// Puts in an adapter of PEFT's: the text of `adapter_config.json` and the bytes of
    /// `adapter_model.safetensors`.
    #[wasm_bindgen(js_name = importPeft)]
    pub fn import_peft(&mut self, config: &str, tensors: &[u8]) -> Result<(), ApiError> {
        let ready = self.ready()?;
        let shape = *ready.trainer.decoder().shape();
        let (adapter, values) = import_decoder(config, tensors, ready.architecture, &shape)?;
        ready.attach(adapter, &values)
    }

    /// The adapter as PEFT keeps it: `{config, tensors}`. Refused where it is neither LoRA nor a soft
    /// prompt nor a prefix alone: the file would be another model.
    #[wasm_bindgen(js_name = exportPeft)]
    pub async fn export_peft(&mut self) -> Result<JsValue, ApiError> {
        let ready = self.ready()?;
        let flat = ready.trainer.adapter().await?;
        let decoder = ready.trainer.decoder();
        let (config, tensors) = export_decoder(
            decoder.adapter(),
            &flat,
            ready.architecture,
            decoder.shape(),
        )?;
        to_js(&PeftView {
            config,
            tensors: serde_bytes::ByteBuf::from(tensors),
        })
    }

    /// The learning rate of the next steps.
    #[wasm_bindgen(js_name = setLearningRate)]
    pub fn set_learning_rate(&mut self, learning_rate: f32) -> Result<(), ApiError> {
        self.ready()?.trainer.set_optimizer(AdamW {
            learning_rate,
            ..OPTIMIZER
        });
        Ok(())
    }

    /// One step on rows of tokens, packed, each with the token that should come next or 2^32 - 1;
    /// yields the loss before its update.
    pub async fn step(
        &mut self,
        tokens: Vec<u32>,
        starts: Vec<u32>,
        labels: Vec<u32>,
    ) -> Result<f32, ApiError> {
        let rows = rows(&tokens, &starts, &labels)?;
        let rows: Vec<&Row> = rows.iter().collect();
        Ok(self.ready()?.trainer.step(&rows).await?)
    }

    /// What it says of such rows: `{nats, tokens}`, the sum of `-ln p` and the tokens scored.
    pub async fn score(
        &mut self,
        tokens: Vec<u32>,
        starts: Vec<u32>,
        labels: Vec<u32>,
    ) -> Result<JsValue, ApiError> {
        let rows = rows(&tokens, &starts, &labels)?;
        let score = self.ready()?.trainer.score(&rows, 4).await?;
        to_js(&ScoreView {
            nats: score.nats,
            tokens: score.tokens,
        })
    }

    /// Begins a text: `{temperature, topK, topP, repetitionPenalty, seed, capacity}`. Without a
    /// temperature the likeliest token is taken.
    #[wasm_bindgen(js_name = startText)]
    pub fn start_text(&mut self, settings: JsValue) -> Result<(), ApiError> {
        let ready = self.ready()?;
        let (engine, decoder) = ready.trainer.parts();
        ready.text = Some(Text::start(engine, decoder, settings)?);
        Ok(())
    }

    /// Forgets all but the first `count` tokens of the text, whose keys and values stay; the next
    /// ones are chosen by these settings, as in `startText`.
    #[wasm_bindgen(js_name = rewindText)]
    pub fn rewind_text(&mut self, count: usize, settings: JsValue) -> Result<(), ApiError> {
        let ready = self.ready()?;
        let text = ready.text.as_mut().ok_or_else(no_text)?;
        text.rewind(ready.trainer.decoder(), count, settings)
    }

    /// Reads tokens into the text; yields the one that follows, which is not read yet.
    #[wasm_bindgen(js_name = nextToken)]
    pub async fn next_token(&mut self, tokens: Vec<u32>) -> Result<u32, ApiError> {
        let ready = self.ready()?;
        let text = ready.text.as_mut().ok_or_else(no_text)?;
        let (engine, decoder) = ready.trainer.parts();
        text.next(engine, decoder, &tokens).await
    }
}

impl LanguageModel {
    fn loading(
        &mut self,
    ) -> Result<&mut (DeviceEngine, Architecture, Option<DecoderLoader<Tensor>>), ApiError> {
        self.loading
            .as_mut()
            .ok_or_else(|| too_early("open a new model"))
    }

    fn ready(&mut self) -> Result<&mut Ready, ApiError> {
        self.ready
            .as_mut()
            .ok_or_else(|| too_early("finish the weights"))
    }

    fn complete(
        &mut self,
        architecture: Architecture,
        trainer: LanguageTrainer<DeviceEngine>,
    ) -> Result<(), ApiError> {
        let mut ready = Ready {
            architecture,
            trainer,
            text: None,
        };
        ready.attach(DecoderAdapter::default(), &[])?;
        self.ready = Some(ready);
        Ok(())
    }
}

impl Ready {
    /// What was read of a text by another adapter is of no use.
    fn attach(&mut self, adapter: DecoderAdapter, values: &[f32]) -> Result<(), ApiError> {
        self.text = None;
        self.trainer.attach(adapter);
        Ok(self.trainer.set_adapter(values)?)
    }
}

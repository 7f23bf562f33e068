//! A small random decoder: loss and every trained tensor's gradient, each engine against burn's
//! autodiff.

use choir_shared::task::{
    BottleneckConfig, DecoderAdapterConfig, DecoderLoraConfig, VirtualTokens, VirtualTokensConfig,
};
use choir_wasm_client::engine::Batch;
use choir_wasm_client::engine::burn::BurnEngine;
use choir_wasm_client::engine::cpu::CpuKernels;
use choir_wasm_client::engine::decoder::{DecoderEngine, NOT_SCORED};
use choir_wasm_client::engine::record::Recorded;
use choir_wasm_client::engine::wgsl::{Tuning, WgslKernels};
use choir_wasm_client::model::Decoder;
use choir_wasm_client::model::decoder::{
    Biases, BlockStyle, DecoderAdapter, DecoderShape, DecoderTarget, DecoderTensor,
};
use pollster::block_on;

use crate::case::Random;
use crate::compare::{TOLERANCE, Worst};

/// Three heads of queries on each of keys; no size is a power of two.
const SHAPE: DecoderShape = DecoderShape {
    dim: 36,
    layers: 3,
    heads: 6,
    kv_heads: 2,
    head_dim: 12,
    intermediate: 52,
    vocabulary: 77,
    norm_eps: 1e-5,
    rope_base: 10_000.0,
    tied: false,
    ..DecoderShape::LLAMA
};
const VIRTUAL_TOKENS: u16 = 2;
const LENGTHS: [usize; 5] = [1, 7, 45, 3, 20];

/// A decoder's trained parts and their values, a batch and its labels.
struct Case {
    name: &'static str,
    shape: DecoderShape,
    adapter: DecoderAdapter,
    values: Vec<f32>,
    batch: Batch,
    labels: Vec<u32>,
}

struct Outcome {
    loss: f32,
    gradient: Vec<f32>,
}

fn soft_prompt(num_virtual_tokens: u16) -> Option<VirtualTokensConfig> {
    (num_virtual_tokens > 0).then_some(VirtualTokensConfig {
        num_virtual_tokens,
        trained: VirtualTokens::SoftPrompt,
    })
}

fn lora(targets: &[DecoderTarget]) -> DecoderLoraConfig {
    DecoderLoraConfig {
        rank: 3,
        alpha: 6.0,
        rank_stabilised: false,
        dropout: 0.0,
        targets: targets.to_vec(),
    }
}

/// Layer norms, biases everywhere and a table of positions.
fn gpt2() -> DecoderShape {
    DecoderShape {
        style: BlockStyle::Gpt2,
        biases: Biases::ALL,
        kv_heads: SHAPE.heads,
        context: 64,
        tied: true,
        ..SHAPE
    }
}

/// Biases of queries, keys and values, and norms of heads.
fn qwen() -> DecoderShape {
    DecoderShape {
        biases: Biases {
            projections: true,
            ..Biases::default()
        },
        head_norms: true,
        ..SHAPE
    }
}

impl Case {
    fn new(
        name: &'static str,
        shape: DecoderShape,
        targets: &[DecoderTarget],
        virtual_tokens: u16,
    ) -> Self {
        let mut config = DecoderAdapterConfig::of_lora(lora(targets));
        config.virtual_tokens = soft_prompt(virtual_tokens);
        Self::of(name, shape, &config)
    }

    fn of(name: &'static str, shape: DecoderShape, config: &DecoderAdapterConfig) -> Self {
        let adapter = DecoderAdapter::of_config(&shape, config);
        let virtual_tokens = adapter.num_virtual_tokens() as usize;
        let mut random = Random(11);
        let values = random.values(adapter.len, 0.3);
        let mut token = || random.next() % shape.vocabulary as u32;
        let mut token_starts = vec![0];
        let mut labels = Vec::new();
        for length in LENGTHS {
            token_starts.push(token_starts[token_starts.len() - 1] + length as u32);
            // Neither the prompt nor the last token has a next one.
            labels.resize(labels.len() + virtual_tokens, NOT_SCORED);
            labels.extend((1..length).map(|_| token()));
            labels.push(NOT_SCORED);
        }
        let count = token_starts[LENGTHS.len()];
        Self {
            name,
            shape,
            adapter,
            values,
            batch: Batch {
                tokens: (0..count).map(|_| token()).collect(),
                token_starts,
                labels: Vec::new(),
                num_virtual_tokens: virtual_tokens as u32,
                past: 0,
            },
            labels,
        }
    }

    fn run<E: DecoderEngine>(&self, engine: &mut E) -> Outcome {
        let mut random = Random(5);
        engine.load_adapter(&self.values).expect("adapter");
        let mut decoder = Decoder::build(self.shape, self.adapter.clone(), |tensor| {
            let shape = tensor.shape(&self.shape);
            let mut values = random.values(shape[0] * shape[1], (3.0 / shape[0] as f32).sqrt());
            if matches!(tensor, DecoderTensor::NormGain(_)) {
                values.iter_mut().for_each(|gain| *gain = 1.0 + 0.2 * *gain);
            }
            engine.frozen(&values, shape)
        })
        .expect("decoder");
        engine.begin(&self.batch, true).expect("begin");
        decoder.drop_out(Some(5));
        decoder.loss(engine, &self.labels).expect("loss");
        engine.backward().expect("backward");
        Outcome {
            gradient: block_on(engine.read_gradient()).expect("gradient"),
            loss: block_on(engine.read_loss()).expect("loss"),
        }
    }

    fn agrees<E: DecoderEngine>(&self, mut engine: E, kind: &str, reference: &Outcome) {
        let title = format!("{} by {kind} on {}", self.name, engine.device().adapter);
        let found = self.run(&mut engine);
        let mut worst = Worst::default();
        let mut check = |name: &str, range: &core::ops::Range<usize>| {
            let (found, expected) = (&found.gradient, &reference.gradient);
            worst.check(name, &found[range.clone()], &expected[range.clone()]);
        };
        for (place, factors) in &self.adapter.lora {
            check(&format!("A of {place:?}"), &factors.a.range);
            check(&format!("B of {place:?}"), &factors.b.range);
        }
        for (tensor, vector) in &self.adapter.vectors {
            check(&format!("{tensor:?}"), &vector.range);
        }
        for (layer, layers) in &self.adapter.bottlenecks {
            check(&format!("down of {layer}"), &layers.down.range);
            check(&format!("bias of down of {layer}"), &layers.down_bias.range);
            check(&format!("up of {layer}"), &layers.up.range);
            check(&format!("bias of up of {layer}"), &layers.up_bias.range);
        }
        for (layer, [keys, values]) in &self.adapter.prefixes {
            check(&format!("keys of {layer}"), &keys.range);
            check(&format!("values of {layer}"), &values.range);
        }
        let encoder = self.adapter.prompt_encoder.as_ref();
        for (place, part) in encoder.iter().flat_map(|e| e.parts()).enumerate() {
            check(&format!("part {place} of the prompt encoder"), &part.range);
        }
        if let Some(prompt) = &self.adapter.prompt {
            check("soft prompt", &prompt.range);
        }
        worst.print(&title);
        let error = f64::from((found.loss - reference.loss).abs());
        assert!(error <= TOLERANCE * f64::from(reference.loss), "{title}");
    }

    fn engines_agree(&self) {
        let reference = self.run(&mut BurnEngine::flex());
        self.agrees(Recorded::new(CpuKernels::new()), "CPU kernels", &reference);
        for tuning in [Tuning::SOFTWARE, Tuning::HARDWARE] {
            match block_on(WgslKernels::open_tuned(tuning)) {
                Ok(kernels) => self.agrees(Recorded::new(kernels), "WGSL kernels", &reference),
                Err(error) => println!("skipped: {} by WGSL kernels: {error}", self.name),
            }
        }
    }
}

#[test]
fn engines_agree_on_a_small_decoder_with_everything_trained() {
    let targets = DecoderTarget::ALL;
    Case::new("decoder", SHAPE, &targets, VIRTUAL_TOKENS).engines_agree();
}

#[test]
fn engines_agree_on_a_decoder_whose_logits_are_made_by_its_word_embeddings() {
    let shape = DecoderShape {
        kv_heads: 3,
        head_dim: 8,
        vocabulary: 96,
        tied: true,
        ..SHAPE
    };
    let targets = [DecoderTarget::K, DecoderTarget::Down];
    Case::new("tied decoder", shape, &targets, 0).engines_agree();
}

#[test]
fn engines_agree_where_only_some_of_the_queries_and_keys_have_gradients() {
    for target in [DecoderTarget::Q, DecoderTarget::V, DecoderTarget::Up] {
        Case::new("one target", SHAPE, &[target], 0).engines_agree();
    }
}

#[test]
fn engines_leave_out_the_same_by_dropout() {
    for shape in [SHAPE, qwen(), gpt2()] {
        let mut lora = lora(shape.targets());
        lora.dropout = 0.25;
        let mut config = DecoderAdapterConfig::of_lora(lora);
        Case::of("dropout", shape, &config).engines_agree();
        config.virtual_tokens = soft_prompt(VIRTUAL_TOKENS);
        config.norms = true;
        Case::of("dropout, prompt and norms", shape, &config).engines_agree();
    }
}

#[test]
fn engines_agree_where_biases_are_trained() {
    for shape in [SHAPE, qwen(), gpt2()] {
        let mut targets = shape.targets().to_vec();
        // That of keys that are not turned adds the same to every score of a row.
        targets.retain(|target| shape.style == BlockStyle::Llama || *target != DecoderTarget::K);
        let mut config = DecoderAdapterConfig {
            biases: targets,
            ..DecoderAdapterConfig::default()
        };
        Case::of("biases", shape, &config).engines_agree();
        config.biases = vec![DecoderTarget::Q, DecoderTarget::Down];
        config.lora = Some(lora(&[DecoderTarget::K, DecoderTarget::Down]));
        Case::of("biases and LoRA", shape, &config).engines_agree();
    }
}

#[test]
fn engines_agree_where_norms_are_trained() {
    for shape in [SHAPE, qwen(), gpt2()] {
        let mut config = DecoderAdapterConfig {
            norms: true,
            ..DecoderAdapterConfig::default()
        };
        Case::of("norms", shape, &config).engines_agree();
        config.biases = vec![DecoderTarget::V, DecoderTarget::Up];
        config.virtual_tokens = soft_prompt(VIRTUAL_TOKENS);
        Case::of("norms, biases and a prompt", shape, &config).engines_agree();
    }
}

#[test]
fn engines_agree_where_bottlenecks_are_trained() {
    for shape in [SHAPE, gpt2()] {
        let mut config = DecoderAdapterConfig {
            bottleneck: Some(BottleneckConfig { width: 5 }),
            ..DecoderAdapterConfig::default()
        };
        Case::of("bottlenecks", shape, &config).engines_agree();
        config.bottleneck = Some(BottleneckConfig { width: 8 });
        config.lora = Some(lora(&[DecoderTarget::Down, DecoderTarget::K]));
        config.norms = true;
        Case::of("bottlenecks, LoRA and norms", shape, &config).engines_agree();
    }
}

#[test]
fn engines_agree_where_keys_and_values_of_virtual_tokens_are_trained() {
    for shape in [SHAPE, qwen(), gpt2()] {
        let mut config = DecoderAdapterConfig {
            virtual_tokens: Some(VirtualTokensConfig {
                num_virtual_tokens: 3,
                trained: VirtualTokens::Prefix,
            }),
            ..DecoderAdapterConfig::default()
        };
        Case::of("prefix", shape, &config).engines_agree();
        config.lora = Some(lora(&[DecoderTarget::K, DecoderTarget::Up]));
        config.norms = true;
        Case::of("prefix, LoRA and norms", shape, &config).engines_agree();
    }
}

#[test]
fn engines_agree_where_a_prompt_encoder_is_trained() {
    for shape in [SHAPE, gpt2()] {
        let mut config = DecoderAdapterConfig {
            virtual_tokens: Some(VirtualTokensConfig {
                num_virtual_tokens: 3,
                trained: VirtualTokens::PromptEncoder { width: 10 },
            }),
            ..DecoderAdapterConfig::default()
        };
        Case::of("prompt encoder", shape, &config).engines_agree();
        config.lora = Some(lora(&[DecoderTarget::V]));
        config.bottleneck = Some(BottleneckConfig { width: 4 });
        Case::of("prompt encoder, LoRA, bottlenecks", shape, &config).engines_agree();
    }
}

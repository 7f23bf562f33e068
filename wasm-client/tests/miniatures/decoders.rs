//! The decoders.

use std::collections::BTreeMap;

use choir_wasm_client::adapter::peft::{
    Factors, Imported, LoraMap, PeftError, decoder_modules, export_lora, import,
};
use choir_wasm_client::engine::cpu::CpuKernels;
use choir_wasm_client::engine::decoder::NOT_SCORED;
use choir_wasm_client::engine::generation::GeneratingEngine;
use choir_wasm_client::engine::kernels::generation::GenerationKernels;
use choir_wasm_client::engine::quantised::WeightPrecision;
use choir_wasm_client::engine::record::Recorded;
use choir_wasm_client::engine::{Batch, Engine};
use choir_wasm_client::model::config::{ModelConfig, ModelShape};
use choir_wasm_client::model::decoder::{Decoder, DecoderAdapter, DecoderShape, DecoderTarget};
use choir_wasm_client::model::decoder_loader::DecoderLoader;
use choir_wasm_client::model::loader::LoadError;

use super::case::{Case, Check, assert_near, on_both_engines, tensors};

type Layer = (u32, DecoderTarget);

const NAMES: [&str; 6] = ["llama", "llama_tied", "mistral", "qwen2", "qwen3", "gpt2"];

pub(super) fn shape(case: &Case) -> DecoderShape {
    match case.config.shape {
        ModelShape::Decoder(shape) => shape,
        ModelShape::Encoder(_) => panic!("no decoder"),
    }
}

pub(super) fn load<E: GeneratingEngine>(
    case: &Case,
    engine: &mut E,
) -> Result<Decoder<E::Tensor>, LoadError> {
    let precision = WeightPrecision::F32;
    let mut loader = DecoderLoader::new(case.config.architecture, shape(case), precision);
    for file in case.weights() {
        for chunk in file.chunks(1000) {
            loader.push(engine, chunk)?;
        }
        loader.end_file()?;
    }
    loader.finish(DecoderAdapter::default())
}

pub(super) fn adapter(case: &Case) -> LoraMap<Layer> {
    let modules = decoder_modules(case.config.architecture, &shape(case));
    let config = case.text("adapter/adapter_config.json");
    let bytes = case.bytes("adapter/adapter_model.safetensors");
    match import(&config, &bytes, &modules, [shape(case).dim, 0]).unwrap() {
        Imported::Lora(factors) => factors,
        _ => panic!("no low-rank factors"),
    }
}

/// The token after each row, within its sequence.
fn next_tokens(batch: &Batch) -> Vec<u32> {
    let mut labels = Vec::new();
    for ends in batch.token_starts.windows(2) {
        labels.extend(&batch.tokens[ends[0] as usize + 1..ends[1] as usize]);
        labels.push(NOT_SCORED);
    }
    labels
}

pub(super) fn logits<E: GeneratingEngine>(
    engine: &mut E,
    decoder: &Decoder<E::Tensor>,
    batch: &Batch,
) -> Vec<f32> {
    engine.begin(batch, false).unwrap();
    let hidden = decoder.hidden(engine).unwrap();
    let logits = decoder.logits(engine, &hidden).unwrap();
    pollster::block_on(engine.read(&logits)).unwrap()
}

fn loss<E: GeneratingEngine>(engine: &mut E, decoder: &Decoder<E::Tensor>, batch: &Batch) -> f32 {
    engine.begin(batch, true).unwrap();
    decoder.loss(engine, &next_tokens(batch)).unwrap();
    pollster::block_on(engine.read_loss()).unwrap()
}

/// Base and adapted model are the reference's, and so are all gradients.
struct Whole(Case);

impl Check for Whole {
    fn on<K: GenerationKernels>(&self, mut engine: Recorded<K>) {
        let engine = &mut engine;
        let case = &self.0;
        let batch = case.batch();
        engine.load_adapter(&[]).unwrap();
        let mut decoder = load(case, engine).unwrap();
        assert_near(
            &logits(engine, &decoder, &batch),
            case.values("logits"),
            "logits",
        );
        assert_near(
            &[loss(engine, &decoder, &batch)],
            &[case.number("loss")],
            "loss",
        );

        let (views, flat) = DecoderAdapter::of_lora(&adapter(case), &shape(case));
        engine.load_adapter(&flat).unwrap();
        decoder.attach(views.clone());
        let adapted = logits(engine, &decoder, &batch);
        assert_near(&adapted, case.values("adapted.logits"), "adapted logits");
        let adapted = loss(engine, &decoder, &batch);
        assert_near(&[adapted], &[case.number("adapted_loss")], "adapted loss");
        engine.backward().unwrap();
        let gradient = pollster::block_on(engine.read_gradient()).unwrap();
        assert_gradients(case, &views.lora_map(&gradient));
    }
}

/// PEFT's tensors from ours: of a module with several of our layers, A is shared there.
pub(super) fn assert_gradients(case: &Case, found: &LoraMap<Layer>) {
    let references = case.gradients();
    let mut compared = 0;
    for module in decoder_modules(case.config.architecture, &shape(case)) {
        let name = |factor: &str| format!("base_model.model.{}.{factor}.weight", module.name);
        let Some(expected_a) = references.get(&name("lora_A")[..]) else {
            continue;
        };
        let expected_b = references[&name("lora_B")[..]];
        let parts: Vec<&Factors> = module
            .parts
            .iter()
            .map(|(layer, _)| &found[layer])
            .collect();
        let (rank, inputs) = (parts[0].rank, module.shape[0]);
        let mut a = vec![0.0; rank * inputs];
        let mut b = Vec::new();
        for part in parts {
            for (place, value) in part.a.iter().enumerate() {
                a[place % rank * inputs + place / rank] += value;
            }
            let columns = part.b.len() / rank;
            b.extend((0..part.b.len()).map(|p| part.b[p % rank * columns + p / rank]));
        }
        assert_near(&a, &expected_a.values, &name("lora_A"));
        assert_near(&b, &expected_b.values, &name("lora_B"));
        compared += 2;
    }
    assert_eq!(
        compared,
        references.len(),
        "every gradient has been compared"
    );
}

#[test]
fn logits_losses_and_gradients_are_those_of_transformers_and_peft() {
    for name in NAMES {
        println!("{name}");
        on_both_engines(&Whole(Case::read(name)));
    }
}

#[test]
fn configurations_of_transformers_4_and_5_say_the_same() {
    for name in ["llama", "llama_tied", "mistral", "qwen2", "qwen3"] {
        let case = Case::read(name);
        let before = ModelConfig::parse(&case.text("config.before_5.json")).unwrap();
        assert_eq!(before, case.config, "{name}");
    }
}

/// Training in between: what is exported here is read there (`miniatures/peft_check.py`), and here
/// again as it was.
#[test]
fn an_adapter_that_is_exported_and_read_again_is_the_same() {
    for name in NAMES {
        let case = Case::read(name);
        let modules = decoder_modules(case.config.architecture, &shape(&case));
        let mut factors = adapter(&case);
        // As after training: no two layers share anything.
        for (seed, part) in factors.values_mut().enumerate() {
            let moved = |place: usize| ((place * 7 + seed * 31) % 101) as f32 * 1e-3;
            let values = part.a.iter_mut().chain(&mut part.b).enumerate();
            values.for_each(|(place, value)| *value += moved(place));
        }
        let (config, bytes) = export_lora(&factors, &modules, true).unwrap();
        let again = import(&config, &bytes, &modules, [shape(&case).dim, 0]).unwrap();
        let Imported::Lora(again) = again else {
            panic!("no low-rank factors")
        };
        for (layer, part) in &factors {
            assert_near(
                &product(&again[layer]),
                &product(part),
                &format!("{name} {layer:?}"),
            );
        }
        assert_eq!(again.len(), factors.len());
    }
}

/// `scale·A·B`, `[in, out]`.
fn product(factors: &Factors) -> Vec<f32> {
    let (rank, columns) = (factors.rank, factors.b.len() / factors.rank);
    let row = |a: &[f32], column: usize| {
        (0..rank)
            .map(|r| a[r] * factors.b[r * columns + column])
            .sum::<f32>()
            * factors.scale
    };
    factors
        .a
        .chunks_exact(rank)
        .flat_map(|a| (0..columns).map(move |column| row(a, column)))
        .collect()
}

#[test]
fn what_is_exported_as_it_came_has_the_very_tensors_of_peft() {
    for name in NAMES {
        let case = Case::read(name);
        let modules = decoder_modules(case.config.architecture, &shape(&case));
        let (_, bytes) = export_lora(&adapter(&case), &modules, true).unwrap();
        let (ours, theirs) = (
            tensors(&bytes),
            case.bytes("adapter/adapter_model.safetensors"),
        );
        let values = |tensors: BTreeMap<String, _>| tensors.into_iter().collect::<Vec<_>>();
        assert_eq!(values(ours), values(tensors(&theirs)), "{name}");
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let (llama, qwen3) = (Case::read("llama"), Case::read("qwen3"));
    let unlike = Case {
        config: ModelConfig {
            architecture: qwen3.config.architecture,
            shape: ModelShape::Decoder(DecoderShape {
                head_norms: false,
                ..shape(&qwen3)
            }),
        },
        ..qwen3
    };
    let mut engine = Recorded::new(CpuKernels::new());
    let refused = load(&unlike, &mut engine).map(|_| ()).unwrap_err();
    assert!(
        matches!(&refused, LoadError::UnknownTensor { name, known }
            if name.ends_with("self_attn.k_norm.weight")
                && known.starts_with("embed_tokens.weight, layers.N.input_layernorm.weight, ")),
        "{refused}"
    );

    let modules = decoder_modules(llama.config.architecture, &shape(&llama));
    let bytes = llama.bytes("adapter/adapter_model.safetensors");
    let read = |config: &str, modules: &[_]| import::<Layer>(config, &bytes, modules, [32, 0]);
    let dora = r#"{"peft_type": "LORA", "lora_alpha": 8, "use_dora": true}"#;
    assert_eq!(
        read(dora, &modules).unwrap_err().to_string(),
        "adapter_config.json: use_dora is true; read is nothing"
    );
    let config = llama.text("adapter/adapter_config.json");
    let refused = read(&config, &modules[..7]).unwrap_err();
    assert!(matches!(&refused, PeftError::UnknownTensor { name, known }
        if name.contains("layers.1.") && known.contains("model.layers.N.self_attn.q_proj")));
}

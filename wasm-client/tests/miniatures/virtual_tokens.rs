//! Adapters of virtual tokens as PEFT keeps them: prompts and prefixes, read, run and written again.

use choir_wasm_client::adapter::peft::{export_decoder, import_decoder};
use choir_wasm_client::engine::decoder::NOT_SCORED;
use choir_wasm_client::engine::generation::GeneratingEngine;
use choir_wasm_client::engine::kernels::generation::GenerationKernels;
use choir_wasm_client::engine::record::Recorded;
use choir_wasm_client::engine::{Batch, Engine};
use choir_wasm_client::model::decoder::{Decoder, DecoderAdapter};
use pollster::block_on;

use super::case::{Case, Check, assert_near, on_both_engines};
use super::decoders::{load, logits, shape};

/// The miniatures with an adapter of a kind.
const PROMPTS: [(&str, &str); 2] = [("llama_tied", "prompt"), ("llama_tied", "p_tuning")];
const PREFIXES: [(&str, &str); 3] = [
    ("llama_tied", "prefix"),
    ("qwen3", "prefix"),
    ("gpt2", "prefix"),
];

#[test]
fn virtual_tokens_of_peft_go_before_each_sequence() {
    struct VirtualTokens;
    impl Check for VirtualTokens {
        fn on<K: GenerationKernels>(&self, mut engine: Recorded<K>) {
            for (name, kind) in PROMPTS.into_iter().chain(PREFIXES) {
                runs_as_in_peft(&mut engine, name, kind);
            }
        }
    }
    on_both_engines(&VirtualTokens);
}

/// A miniature with PEFT's adapter on it.
struct Worn<T> {
    case: Case,
    adapter: DecoderAdapter,
    flat: Vec<f32>,
    decoder: Decoder<T>,
    /// The reference's sequences, virtual tokens before each.
    batch: Batch,
}

impl<T: Clone> Worn<T> {
    fn new<E: GeneratingEngine<Tensor = T>>(engine: &mut E, name: &str, kind: &str) -> Self {
        let case = Case::read(name);
        let config = case.text(&format!("{kind}_adapter/adapter_config.json"));
        let tensors = case.bytes(&format!("{kind}_adapter/adapter_model.safetensors"));
        let architecture = case.config.architecture;
        let (adapter, flat) =
            import_decoder(&config, &tensors, architecture, &shape(&case)).unwrap();
        let mut decoder = load(&case, engine).unwrap();
        decoder.attach(adapter.clone());
        engine.load_adapter(&flat).unwrap();
        let batch = Batch {
            num_virtual_tokens: adapter.num_virtual_tokens(),
            ..case.batch()
        };
        Self {
            case,
            adapter,
            flat,
            decoder,
            batch,
        }
    }
}

fn runs_as_in_peft<K: GenerationKernels>(engine: &mut Recorded<K>, name: &str, kind: &str) {
    let worn = Worn::new(engine, name, kind);
    let Worn {
        case,
        adapter,
        flat,
        decoder,
        batch,
    } = &worn;
    let (shape, rows) = (shape(case), adapter.num_virtual_tokens());
    assert_eq!(rows, 3);
    let all = logits(engine, decoder, batch);
    let mut of_tokens = Vec::new();
    for ends in batch.row_starts().windows(2) {
        let real = (ends[0] + rows) as usize..ends[1] as usize;
        of_tokens.extend(&all[real.start * shape.vocabulary..real.end * shape.vocabulary]);
    }
    let expected = case.values(&format!("{kind}_adapted.logits"));
    assert_near(&of_tokens, expected, &format!("{kind} logits of {name}"));

    let architecture = case.config.architecture;
    let exported = export_decoder(adapter, flat, architecture, &shape).unwrap();
    let again = import_decoder(&exported.0, &exported.1, architecture, &shape).unwrap();
    assert_eq!(again, (adapter.clone(), flat.clone()));
}

#[test]
fn gradients_of_a_prefix_are_those_of_peft() {
    struct Prefixes;
    impl Check for Prefixes {
        fn on<K: GenerationKernels>(&self, mut engine: Recorded<K>) {
            for (name, kind) in PREFIXES {
                learns_as_in_peft(&mut engine, name, kind);
            }
        }
    }
    on_both_engines(&Prefixes);
}

fn learns_as_in_peft<K: GenerationKernels>(engine: &mut Recorded<K>, name: &str, kind: &str) {
    let worn = Worn::new(engine, name, kind);
    let Worn {
        case,
        adapter,
        flat,
        decoder,
        batch,
    } = &worn;
    let labels = labels(batch, adapter.num_virtual_tokens() as usize);
    engine.begin(batch, true).unwrap();
    decoder.loss(engine, &labels).unwrap();
    let loss = block_on(engine.read_loss()).unwrap();
    let expected = case.number(&format!("{kind}_adapted_loss"));
    assert_near(&[loss], &[expected], "loss");
    engine.backward().unwrap();
    let gradient = block_on(engine.read_gradient()).unwrap();
    let reference = &case.reference[&format!("{kind}_gradient.prompt_embeddings")];
    let columns = reference.shape[1];
    for (place, part) in adapter.prefixes.values().flatten().enumerate() {
        let width = part.shape[1];
        let of_row = |row: &[f32]| row[place * width..][..width].to_vec();
        let expected: Vec<f32> = reference
            .values
            .chunks_exact(columns)
            .flat_map(of_row)
            .collect();
        assert_near(&gradient[part.range.clone()], &expected, "gradient");
    }
}

/// The next token of each real one but the last of its sequence.
fn labels(batch: &Batch, rows: usize) -> Vec<u32> {
    let mut labels = Vec::new();
    for ends in batch.token_starts.windows(2) {
        let tokens = &batch.tokens[ends[0] as usize..ends[1] as usize];
        labels.extend(vec![NOT_SCORED; rows]);
        labels.extend(&tokens[1..]);
        labels.push(NOT_SCORED);
    }
    labels
}

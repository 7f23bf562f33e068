//! A miniature's files, and comparisons with its reference.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use choir_wasm_client::engine::Batch;
use choir_wasm_client::engine::cpu::CpuKernels;
use choir_wasm_client::engine::kernels::generation::GenerationKernels;
use choir_wasm_client::engine::record::Recorded;
use choir_wasm_client::engine::wgsl::WgslKernels;
use choir_wasm_client::model::config::ModelConfig;
use choir_wasm_client::model::weights::{FileTensor, SafetensorsReader, WeightsError};
use serde_json::Value;

/// How near logits, losses and gradients must be to the reference, relative to its largest value.
pub(crate) const NEAR: f32 = 1e-4;

pub(crate) struct Case {
    pub(crate) folder: PathBuf,
    pub(crate) config: ModelConfig,
    pub(crate) reference: BTreeMap<String, FileTensor>,
    pub(crate) json: Value,
}

impl Case {
    pub(crate) fn read(name: &str) -> Self {
        let folder = folder().join(name);
        let text = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
        Self {
            config: ModelConfig::parse(&text("config.json")).unwrap(),
            reference: tensors(&fs::read(folder.join("reference.safetensors")).unwrap()),
            json: serde_json::from_str(&text("reference.json")).unwrap(),
            folder,
        }
    }

    pub(crate) fn bytes(&self, file: &str) -> Vec<u8> {
        fs::read(self.folder.join(file)).unwrap()
    }

    pub(crate) fn text(&self, file: &str) -> String {
        fs::read_to_string(self.folder.join(file)).unwrap()
    }

    /// The files of the weights, in the order of their names.
    pub(crate) fn weights(&self) -> Vec<Vec<u8>> {
        let mut names: Vec<String> = fs::read_dir(&self.folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("model") && name.ends_with(".safetensors"))
            .collect();
        names.sort();
        names.iter().map(|name| self.bytes(name)).collect()
    }

    /// Both sequences in one batch, with their labels where they are classified.
    pub(crate) fn batch(&self) -> Batch {
        let mut batch = Batch {
            token_starts: vec![0],
            labels: numbers(&self.json["labels"]),
            ..Batch::default()
        };
        for sequence in self.json["sequences"].as_array().unwrap() {
            batch.tokens.extend(numbers(sequence));
            batch.token_starts.push(batch.tokens.len() as u32);
        }
        batch
    }

    pub(crate) fn number(&self, key: &str) -> f32 {
        self.json[key].as_f64().unwrap() as f32
    }

    pub(crate) fn values(&self, name: &str) -> &[f32] {
        &self.reference[name].values
    }

    /// The gradients of the reference, by the names of the adapter's tensors.
    pub(crate) fn gradients(&self) -> BTreeMap<&str, &FileTensor> {
        let named = self.reference.iter();
        named
            .filter_map(|(name, tensor)| Some((name.strip_prefix("gradient.")?, tensor)))
            .collect()
    }
}

/// Tokens or labels; none where there is no list.
pub(crate) fn numbers(value: &Value) -> Vec<u32> {
    let numbers = value.as_array().into_iter().flatten();
    numbers.map(|id| id.as_u64().unwrap() as u32).collect()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/miniatures")
}

pub(crate) fn tensors(bytes: &[u8]) -> BTreeMap<String, FileTensor> {
    let mut reader = SafetensorsReader::default();
    let mut tensors = BTreeMap::new();
    reader
        .push(bytes, |tensor| {
            tensors.insert(tensor.name.clone(), tensor);
            Ok::<_, WeightsError>(())
        })
        .unwrap();
    reader.finish().unwrap();
    tensors
}

pub(crate) fn assert_near(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected
        .iter()
        .fold(0.0_f32, |most, value| most.max(value.abs()));
    assert!(scale > 1e-4, "{what}: nothing to compare");
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = (found - expected).abs();
        assert!(
            difference < NEAR * scale,
            "{what}, value {place}: {found} for {expected}"
        );
    }
}

/// Something to be done on an engine, whichever it is.
pub(crate) trait Check {
    fn on<K: GenerationKernels>(&self, engine: Recorded<K>);
}

pub(crate) fn on_both_engines(check: &impl Check) {
    check.on(Recorded::new(CpuKernels::new()));
    match pollster::block_on(WgslKernels::open()) {
        Ok(kernels) => check.on(Recorded::new(kernels)),
        Err(error) => println!("skipped on engine wgsl: {error}"),
    }
}

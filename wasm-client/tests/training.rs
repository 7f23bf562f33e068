//! From a model file and a version 0 to trained values, on a tiny encoder.
#![cfg(feature = "cpu")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use choir_shared::ids::Digest;
use choir_shared::task::{
    AdapterConfig, AdapterLayout, EncoderShape, LoraConfig, PartKind, Payload, SoftPromptConfig,
    Target, TaskConfig,
};
use choir_wasm_client::adapter::initial::{Sources, centroid_head, initial_adapter, prompt_tokens};
use choir_wasm_client::bench;
use choir_wasm_client::engine::cpu::CpuKernels;
use choir_wasm_client::engine::record::Recorded;
use choir_wasm_client::engine::{EngineError, OptimizerState};
use choir_wasm_client::model::loader::LoadError;
use choir_wasm_client::train::batch::Examples;
use choir_wasm_client::train::{TrainError, Trainer};
use pollster::block_on;
use safetensors::tensor::{Dtype, TensorView, serialize};

type CpuTrainer = Trainer<Recorded<CpuKernels>>;
/// Names and dimensions of tensors.
type Checkpoint = BTreeMap<String, Vec<usize>>;

const SHAPE: EncoderShape = EncoderShape {
    dim: 8,
    layers: 2,
    heads: 2,
    intermediate: 12,
    vocabulary: 32,
    positions: 16,
    norm_eps: 1e-5,
};

fn task() -> TaskConfig {
    let mut task = bench::task();
    task.base.shape = SHAPE;
    task.labels = ["a", "b"].map(String::from).to_vec();
    task.training.batch_size = 4;
    task.training.optimizer.learning_rate = 0.02;
    task.payload = Payload::Adapter(AdapterConfig {
        lora: Some(LoraConfig {
            rank: 2,
            alpha: 4.0,
            targets: vec![Target::Q, Target::W2],
        }),
        soft_prompt: Some(SoftPromptConfig {
            num_virtual_tokens: 2,
        }),
        head: true,
    });
    task
}

/// Names and dimensions as BERT checkpoints have them.
fn checkpoint() -> Checkpoint {
    let mut tensors = BTreeMap::from([
        ("embeddings.word_embeddings.weight".to_owned(), vec![32, 8]),
        (
            "embeddings.position_embeddings.weight".to_owned(),
            vec![16, 8],
        ),
        (
            "embeddings.token_type_embeddings.weight".to_owned(),
            vec![2, 8],
        ),
        ("pooler.dense.weight".to_owned(), vec![8, 8]),
    ]);
    let mut norms = vec!["embeddings.LayerNorm".to_owned()];
    for layer in 0..2 {
        let place = format!("encoder.layer.{layer}");
        norms.push(format!("{place}.attention.output.LayerNorm"));
        norms.push(format!("{place}.output.LayerNorm"));
        for (name, [outputs, inputs]) in [
            ("attention.self.query", [8, 8]),
            ("attention.self.key", [8, 8]),
            ("attention.self.value", [8, 8]),
            ("attention.output.dense", [8, 8]),
            ("intermediate.dense", [12, 8]),
            ("output.dense", [8, 12]),
        ] {
            tensors.insert(format!("{place}.{name}.weight"), vec![outputs, inputs]);
            tensors.insert(format!("{place}.{name}.bias"), vec![outputs]);
        }
    }
    for norm in norms {
        tensors.insert(format!("{norm}.weight"), vec![8]);
        tensors.insert(format!("{norm}.bias"), vec![8]);
    }
    tensors
}

fn file(tensors: &Checkpoint, prefix: &str) -> Vec<u8> {
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .enumerate()
        .map(|(seed, (name, shape))| {
            let is_gain = name.ends_with("LayerNorm.weight");
            let value = |i: usize| {
                let noise = ((seed * 31 + i * 101 + 7) * 48_271 % 1009) as f32 / 504.5 - 1.0;
                if is_gain {
                    1.0 + 0.1 * noise
                } else {
                    0.6 * noise
                }
            };
            let len = shape.iter().product();
            let bytes = (0..len).flat_map(|i| value(i).to_le_bytes()).collect();
            (format!("{prefix}{name}"), shape.clone(), bytes)
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        (
            name.as_str(),
            TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap(),
        )
    });
    serialize(views, None).unwrap()
}

fn load(task: TaskConfig, bytes: &[u8], chunk: usize) -> Result<CpuTrainer, TrainError> {
    let mut trainer = Trainer::new(Recorded::new(CpuKernels::new()), task)?;
    for chunk in bytes.chunks(chunk) {
        trainer.add_weights(chunk)?;
    }
    trainer.finish_weights()?;
    Ok(trainer)
}

/// Sequences with token 20 are of class 0, those with token 21 of class 1.
fn examples() -> Examples {
    let sequences: Vec<Vec<u32>> = (0..24u32)
        .map(|i| vec![1, 3 + i % 11, 20 + i % 2, 2])
        .collect();
    let labels = (0..24).map(|i| i % 2).collect();
    Examples::pack(sequences.iter().map(Vec::as_slice), labels).unwrap()
}

fn version_zero(task: &TaskConfig, head: Option<&[f32]>) -> Vec<f32> {
    let layout = AdapterLayout::new(task).unwrap();
    let prompt = vec![0.1; 16];
    initial_adapter(
        task,
        &layout,
        Sources {
            prompt: &prompt,
            head,
        },
    )
    .unwrap()
}

fn no_moments(len: usize, steps: u32) -> OptimizerState {
    let [first, second] = [(); 2].map(|()| vec![0.0; len]);
    OptimizerState {
        first,
        second,
        steps,
    }
}

#[test]
fn training_lowers_the_loss_and_is_the_same_each_time() {
    let run = || {
        let mut trainer = load(task(), &file(&checkpoint(), ""), 1000).unwrap();
        trainer.set_adapter(&version_zero(&task(), None)).unwrap();
        trainer.set_examples(examples(), 5);
        let before = block_on(trainer.evaluate(&examples())).unwrap();
        for step in 0..30 {
            assert_eq!(block_on(trainer.step()).unwrap().step, step);
        }
        let after = block_on(trainer.evaluate(&examples())).unwrap();
        (before, after, block_on(trainer.adapter()).unwrap())
    };
    let (before, after, adapter) = run();
    // A head of zeros gives every class the same probability.
    assert!((before.loss - 2f32.ln()).abs() < 1e-5);
    assert!(after.loss < 0.6 && after.accuracy == 1.0, "{after:?}");
    assert_eq!(after.predictions[..4], [0, 1, 0, 1]);
    assert_eq!(run().2, adapter);
}

#[test]
fn a_training_that_goes_on_elsewhere_ends_where_an_uninterrupted_one_does() {
    let fresh = || {
        let mut task = task();
        task.training.local_steps = 20;
        let flat = version_zero(&task, None);
        let mut trainer = load(task, &file(&checkpoint(), ""), 1000).unwrap();
        trainer.set_adapter(&flat).unwrap();
        trainer.set_examples(examples(), 5);
        trainer
    };
    let run = |trainer: &mut CpuTrainer, steps: core::ops::Range<u32>| {
        for step in steps {
            assert_eq!(block_on(trainer.step()).unwrap().step, step);
        }
    };
    let mut whole = fresh();
    run(&mut whole, 0..20);
    let mut first = fresh();
    run(&mut first, 0..7);
    let adapter = block_on(first.adapter()).unwrap();
    let state = block_on(first.optimizer_state()).unwrap();
    let mut second = fresh();
    second.resume(&adapter, &state).unwrap();
    run(&mut second, 7..20);
    let expected = block_on(whole.adapter()).unwrap();
    assert_eq!(block_on(second.adapter()).unwrap(), expected);

    // Without the moments it ends elsewhere: they are part of what is kept.
    let mut forgetful = fresh();
    forgetful
        .resume(&adapter, &no_moments(adapter.len(), 7))
        .unwrap();
    run(&mut forgetful, 7..20);
    assert_ne!(block_on(forgetful.adapter()).unwrap(), expected);
}

#[test]
fn a_state_of_another_length_or_of_too_many_steps_is_refused() {
    let mut trainer = load(task(), &file(&checkpoint(), ""), 4096).unwrap();
    trainer.set_examples(examples(), 1);
    let flat = version_zero(&task(), None);
    let mut resume = |flat: &[f32], len, steps| trainer.resume(flat, &no_moments(len, steps));
    let all = flat.len();
    assert!(resume(&flat, all - 1, 1).is_err());
    assert!(resume(&flat[1..], all, 1).is_err());
    assert!(resume(&flat, all, 1 << 20).is_err());
    assert!(resume(&flat, all, 1).is_ok());
}

#[test]
fn chunking_and_prefix_make_no_difference() {
    let classify = |bytes: &[u8], chunk| {
        let mut trainer = load(task(), bytes, chunk).unwrap();
        trainer
            .set_adapter(&vec![0.05; trainer.layout().len()])
            .unwrap();
        block_on(trainer.classify(&examples())).unwrap()
    };
    let whole = classify(&file(&checkpoint(), ""), usize::MAX);
    assert_eq!(classify(&file(&checkpoint(), "bert."), 13), whole);
    assert!(
        whole
            .chunks_exact(2)
            .all(|row| (row[0] + row[1] - 1.0).abs() < 1e-6)
    );
}

#[test]
fn wrong_files_are_refused_by_the_tensors_name() {
    let load_error = |change: &dyn Fn(&mut Checkpoint)| {
        let mut tensors = checkpoint();
        change(&mut tensors);
        match load(task(), &file(&tensors, ""), 4096) {
            Err(TrainError::Load(error)) => error,
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("the file was taken"),
        }
    };
    let name = "encoder.layer.1.intermediate.dense.bias";
    let missing = load_error(&|tensors| {
        tensors.remove(name);
    });
    assert!(matches!(missing, LoadError::Missing(names) if names == [name]));
    let unknown = load_error(&|tensors| {
        tensors.insert("encoder.layer.2.output.dense.bias".into(), vec![8]);
    });
    assert!(matches!(unknown, LoadError::Unknown(found) if found.contains("layer.2")));
    let shape = load_error(&|tensors| {
        tensors.insert(name.into(), vec![13]);
    });
    assert!(matches!(shape, LoadError::Shape { name: found, .. } if found == name));
}

#[test]
fn a_loss_that_is_not_finite_stops_the_training() {
    let mut trainer = load(task(), &file(&checkpoint(), ""), 4096).unwrap();
    let mut flat = version_zero(&task(), None);
    flat[0] = f32::NAN;
    trainer.set_adapter(&flat).unwrap();
    trainer.set_examples(examples(), 1);
    let not_finite = |error| {
        matches!(
            error,
            TrainError::Engine(EngineError::NotFinite { step: 0 })
        )
    };
    assert!(not_finite(block_on(trainer.step()).unwrap_err()));
    assert!(not_finite(
        block_on(trainer.evaluate(&examples())).unwrap_err()
    ));
}

#[test]
fn calls_out_of_order_are_refused() {
    let mut trainer = Trainer::new(Recorded::new(CpuKernels::new()), task()).unwrap();
    trainer.set_examples(examples(), 1);
    trainer.set_adapter(&version_zero(&task(), None)).unwrap();
    assert!(matches!(
        block_on(trainer.step()),
        Err(TrainError::TooEarly(_))
    ));
    assert!(matches!(
        block_on(trainer.centroids()),
        Err(TrainError::TooEarly(_))
    ));
    assert!(trainer.set_adapter(&[0.0; 3]).is_err());
}

#[test]
fn centroids_are_means_of_unit_embeddings_and_make_a_head() {
    let mut centroids = task();
    centroids.payload = Payload::Centroids;
    let bytes = file(&checkpoint(), "");
    let mut trainer = load(centroids, &bytes, 4096).unwrap();
    trainer.set_examples(examples(), 1);
    let payload = block_on(trainer.centroids()).unwrap();
    let pooled = block_on(trainer.pooled(&examples())).unwrap();
    let mut expected = [0.0f64; 18];
    for (i, row) in pooled.chunks_exact(8).enumerate() {
        let norm = row
            .iter()
            .map(|v| f64::from(*v).powi(2))
            .sum::<f64>()
            .sqrt();
        for (column, v) in row.iter().enumerate() {
            expected[i % 2 * 8 + column] += f64::from(*v) / norm / 24.0;
        }
        expected[16 + i % 2] += 1.0 / 24.0;
    }
    for (found, expected) in payload.iter().zip(expected) {
        assert!((f64::from(*found) - expected).abs() < 1e-6);
    }

    let head = centroid_head(&payload, 8, 2, 3.0).unwrap();
    let length = |class: usize| {
        head.iter()
            .skip(class)
            .step_by(2)
            .map(|v| v * v)
            .sum::<f32>()
    };
    assert!((length(0) - 9.0).abs() < 1e-4 && (length(1) - 9.0).abs() < 1e-4);
    assert!(centroid_head(&payload[1..], 8, 2, 3.0).is_err());

    let mut frozen = task();
    frozen.payload = Payload::Adapter(AdapterConfig {
        lora: None,
        soft_prompt: Some(SoftPromptConfig {
            num_virtual_tokens: 2,
        }),
        head: false,
    });
    frozen.frozen_head = Some(Digest([1; 32]));
    let mut trainer = load(frozen, &bytes, 4096).unwrap();
    trainer.set_adapter(&[0.1; 16]).unwrap();
    assert!(
        block_on(trainer.evaluate(&examples())).is_err(),
        "there is no head yet"
    );
    trainer
        .set_frozen_head(&[head.as_slice(), &[0.0; 2]].concat())
        .unwrap();
    let evaluation = block_on(trainer.evaluate(&examples())).unwrap();
    assert!(evaluation.accuracy > 0.6, "{evaluation:?}");
}

#[test]
fn version_zero_is_fixed_by_the_seed() {
    let task = task();
    let layout = AdapterLayout::new(&task).unwrap();
    let head: Vec<f32> = (0..16u8).map(f32::from).collect();
    let flat = version_zero(&task, Some(&head));
    assert_eq!(flat, version_zero(&task, Some(&head)));
    let other = TaskConfig {
        seed: [1; 32],
        ..task.clone()
    };
    assert_ne!(flat, version_zero(&other, Some(&head)));
    for part in layout.parts() {
        let values = &flat[part.range.clone()];
        match part.kind {
            PartKind::LoraA { .. } => {
                let bound = (3.0 / part.shape[0] as f32).sqrt();
                assert!(values.iter().all(|v| v.abs() <= bound));
                assert!(values.iter().any(|v| v.abs() > bound / 2.0));
            }
            PartKind::SoftPrompt => assert!(values.iter().all(|&v| v == 0.1)),
            PartKind::HeadWeight => assert_eq!(values, head),
            _ => assert!(values.iter().all(|&v| v == 0.0)),
        }
    }
    let tokens = prompt_tokens(&task, &layout);
    assert_eq!(tokens.len(), 2);
    assert!(tokens.iter().all(|token| (2..32).contains(token)));
}

//! Training and measuring on the CPU engine, with progress.

use std::path::Path;

use choir_shared::task::{AdapterConfig, Payload, TaskConfig};

use super::base::{Base, CpuEngine};
use super::error::NativeError;
use super::job::{Start, TrainedPart};
use super::parts::{Reduced, reduce};
use super::{Answer, Progress, Texts, read_floats, version_zero};
use crate::engine::cpu::CpuKernels;
use crate::train::batch::Examples;
use crate::train::{TrainError, Trainer};

/// Examples between two looks at the clock.
const CHUNK: usize = 256;

fn on_cpu(task: &TaskConfig, base: &Base) -> Result<Trainer<CpuEngine>, TrainError> {
    let engine = CpuEngine::new(CpuKernels::new());
    Trainer::with_encoder(engine, task.clone(), base.encoder())
}

/// A trainer at the job's start, of all parts or some.
pub(super) fn trainer(
    task: &TaskConfig,
    base: &Base,
    start: &Start,
    parts: Option<&[TrainedPart]>,
) -> Result<Trainer<CpuEngine>, NativeError> {
    let flat = version_zero(task, base, start)?;
    let (task, flat, reduced_head) = match parts {
        None => (task.clone(), flat, None),
        Some(parts) => {
            let Reduced {
                task,
                flat,
                frozen_head,
            } = reduce(task, &flat, parts)?;
            (task, flat, frozen_head)
        }
    };
    let mut trainer = on_cpu(&task, base)?;
    match (reduced_head, &task.payload) {
        (Some(head), _) => trainer.set_frozen_head(&head)?,
        (None, Payload::Adapter(AdapterConfig { head: false, .. })) => {
            let path: &Path = start.frozen_head.as_deref().ok_or(NativeError::NoHead)?;
            trainer.set_frozen_head(&read_floats(path)?)?;
        }
        (None, _) => {}
    }
    trainer.set_adapter(&flat)?;
    Ok(trainer)
}

/// A trainer of nothing but a head, with this weight.
pub(super) fn head_trainer(
    task: &TaskConfig,
    base: &Base,
    weight: &[f32],
) -> Result<Trainer<CpuEngine>, NativeError> {
    let head = AdapterConfig {
        head: true,
        ..AdapterConfig::default()
    };
    let task = TaskConfig {
        payload: Payload::Adapter(head),
        frozen_head: None,
        ..task.clone()
    };
    let mut trainer = on_cpu(&task, base)?;
    let mut flat = weight.to_vec();
    flat.resize(weight.len() + task.labels.len(), 0.0);
    trainer.set_adapter(&flat)?;
    Ok(trainer)
}

/// The centroids payload of these examples, by the plain encoder; `on_part` hears how many are done.
pub(crate) fn centroids(
    task: &TaskConfig,
    base: &Base,
    examples: &Examples,
    mut on_part: impl FnMut(usize),
) -> Result<Vec<f32>, TrainError> {
    let task = TaskConfig {
        payload: Payload::Centroids,
        frozen_head: None,
        ..task.clone()
    };
    let mut trainer = on_cpu(&task, base)?;
    let total = examples.len();
    let mut sum = Vec::new();
    for (done, part) in chunks(examples) {
        // Each part's payload is a mean over the part.
        let share = part.len() as f32 / total as f32;
        trainer.set_examples(part, 0);
        let payload = pollster::block_on(trainer.centroids())?;
        sum.resize(payload.len(), 0.0);
        sum.iter_mut()
            .zip(&payload)
            .for_each(|(sum, value)| *sum += share * value);
        on_part(done);
    }
    Ok(sum)
}

/// Accuracy and loss.
pub(super) fn evaluate(
    trainer: &mut Trainer<CpuEngine>,
    texts: &Texts,
) -> Result<Answer, NativeError> {
    let total = texts.examples.len();
    let mut progress = Progress::new("texts evaluated", total);
    let (mut loss, mut right) = (0.0, 0.0);
    for (done, part) in chunks(&texts.examples) {
        let evaluation = pollster::block_on(trainer.evaluate(&part))?;
        loss += f64::from(evaluation.loss) * part.len() as f64;
        right += f64::from(evaluation.accuracy) * part.len() as f64;
        progress.at(done, String::new);
    }
    let mean = |sum: f64| (sum / total.max(1) as f64) as f32;
    Ok(Answer {
        accuracy: Some(mean(right)),
        loss: Some(mean(loss)),
        count: Some(total),
        skipped: Some(texts.skipped),
        truncated: Some(texts.truncated),
        ..Answer::default()
    })
}

/// Steps on shuffled batches.
pub(super) fn train(
    trainer: &mut Trainer<CpuEngine>,
    examples: Examples,
    steps: u32,
    seed: u64,
) -> Result<(), NativeError> {
    trainer.set_examples(examples, seed);
    let mut progress = Progress::new("steps", steps as usize);
    for step in 1..=steps {
        let report = pollster::block_on(trainer.step())?;
        progress.at(step as usize, || format!(", loss {:.3}", report.loss));
    }
    Ok(())
}

/// Pieces of the examples, each with how many are done after it.
fn chunks(examples: &Examples) -> impl Iterator<Item = (usize, Examples)> + '_ {
    (0..examples.len()).step_by(CHUNK).map(move |first| {
        let last = (first + CHUNK).min(examples.len());
        (last, examples.slice(first..last))
    })
}

//! The class centroids of all clients: where heads start, and the baseline without any training.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use choir_shared::fixed_point::{adapter_bytes, adapter_from_bytes};
use choir_shared::strategy::ServerOptimizer;
use choir_shared::task::{Payload, TaskConfig, workload};

use super::Event;
use super::config::{Config, HeadStart, Training};
use super::data::DataSet;
use super::error::SimError;
use super::state::replace;
use super::strategy::{ClientOptimizer, Strategy};
use crate::engine::cpu::CpuKernels;
use crate::native::base::{Base, CpuEngine};
use crate::train::Trainer;

/// The payload of a centroids round in which every text counts once; kept in `file`, by the data's
/// digest.
pub(super) fn payload(
    base: &Base,
    config: &Config,
    data: &DataSet,
    file: &Path,
    on_event: &mut dyn FnMut(Event),
) -> Result<Vec<f32>, SimError> {
    if let Ok(bytes) = fs::read(file)
        && let Some(kept) = bytes.strip_prefix(data.digest.as_bytes().as_slice())
        && let Some(values) = adapter_from_bytes(kept)
    {
        return Ok(values);
    }
    let workload = workload::encoder();
    let encoder = base.encoder();
    let task = TaskConfig {
        base: choir_shared::task::BaseModel {
            shape: *encoder.shape(),
            ..workload.base
        },
        labels: data.labels.clone(),
        max_length: config.data.max_length,
        payload: Payload::Centroids,
        ..workload
    };
    let mut trainer = Trainer::with_encoder(CpuEngine::new(CpuKernels::new()), task, encoder)?;
    let total = data.train.len();
    let places: Vec<usize> = (0..total).collect();
    let mut last = Instant::now();
    let mut payload = Vec::new();
    for (turn, part) in places.chunks(CHUNK).enumerate() {
        trainer.set_examples(data.train.pack(part)?, 0);
        let of_part = pollster::block_on(trainer.centroids())?;
        // A payload is a mean over its texts.
        let share = part.len() as f32 / total as f32;
        payload.resize(of_part.len(), 0.0);
        payload
            .iter_mut()
            .zip(&of_part)
            .for_each(|(sum, value)| *sum += share * value);
        if last.elapsed() >= INTERVAL {
            last = Instant::now();
            let done = turn * CHUNK + part.len();
            on_event(Event::Note(format!("centroids: {done} of {total} texts")));
        }
    }
    let mut bytes = data.digest.as_bytes().to_vec();
    bytes.extend(adapter_bytes(&payload));
    replace(file, &bytes)?;
    Ok(payload)
}

/// A head and nothing else.
pub(super) fn head_strategy() -> Strategy {
    Strategy {
        name: "class centroids".to_owned(),
        rank: 0,
        alpha: None,
        targets: Vec::new(),
        virtual_tokens: 0,
        train: None,
        learning_rate: None,
        proximal: 0.0,
        client: ClientOptimizer::Adamw,
        server: ServerOptimizer::Average,
        weighting: None,
        bound: None,
    }
}

/// The experiment with heads that start at the centroids.
pub(super) fn at_centroids(config: &Config) -> Config {
    Config {
        training: Training {
            head: HeadStart::Centroids,
            ..config.training.clone()
        },
        ..config.clone()
    }
}

const CHUNK: usize = 256;
const INTERVAL: Duration = Duration::from_secs(2);

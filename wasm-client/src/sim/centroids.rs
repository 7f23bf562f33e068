//! The class centroids of all clients: where heads start, and the baseline without any training.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use choir_shared::fixed_point::{adapter_bytes, adapter_from_bytes};
use choir_shared::task::{TaskConfig, workload};

use super::Event;
use super::config::{Config, HeadStart, Training};
use super::data::DataSet;
use super::error::SimError;
use super::state::replace;
use super::strategy::Strategy;
use crate::engine::quantised::WeightPrecision;
use crate::native::base::Base;
use crate::native::run;

/// A base model and the class centroids that it gives.
pub(super) struct StartingPoint {
    pub(super) base: Base,
    /// The payload of a centroids round of all clients.
    pub(super) centroids: Vec<f32>,
}

impl StartingPoint {
    /// With the centroids that are in `folder`, or with new ones.
    pub(super) fn new(
        base: Base,
        config: &Config,
        data: &DataSet,
        folder: &Path,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Self, SimError> {
        let name = match base.precision() {
            WeightPrecision::F32 => "centroids.f32",
            WeightPrecision::Int8 => "centroids-int8.f32",
            WeightPrecision::Int4 => "centroids-int4.f32",
        };
        let centroids = payload(&base, config, data, &folder.join(name), on_event)?;
        Ok(Self { base, centroids })
    }
}

/// The payload of a centroids round in which every text counts once; kept in `file`, by the data's
/// digest.
fn payload(
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
    let task = TaskConfig {
        base: choir_shared::task::BaseModel {
            shape: *base.encoder().shape(),
            ..workload.base
        },
        labels: data.labels.clone(),
        max_length: config.data.max_length,
        ..workload
    };
    let total = data.train.len();
    let everything: Vec<usize> = (0..total).collect();
    let mut last = Instant::now();
    let payload = run::centroids(&task, base, &data.train.pack(&everything)?, |done| {
        if last.elapsed() >= INTERVAL {
            last = Instant::now();
            on_event(Event::Note(format!("centroids: {done} of {total} texts")));
        }
    })?;
    let mut bytes = data.digest.as_bytes().to_vec();
    bytes.extend(adapter_bytes(&payload));
    replace(file, &bytes)?;
    Ok(payload)
}

/// A head and nothing else.
pub(super) fn head_strategy() -> Strategy {
    Strategy {
        name: "class centroids".to_owned(),
        ..Strategy::default()
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

const INTERVAL: Duration = Duration::from_secs(2);

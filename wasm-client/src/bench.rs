//! The training workloads (version 1): shapes, weights and tokens from a fixed generator. Every
//! implementation of one computes the same losses.

pub mod decoder;
mod encoder;
mod generator;

use choir_shared::task::workload;

pub use choir_shared::task::workload::{REFERENCE_LOSSES, encoder as task};
pub use encoder::{SHAPE, adapter, batch, frozen};

use crate::engine::AdamW;

/// The optimizer of all workloads.
pub const OPTIMIZER: AdamW = AdamW {
    learning_rate: workload::OPTIMIZER.learning_rate,
    beta1: workload::OPTIMIZER.beta1,
    beta2: workload::OPTIMIZER.beta2,
    eps: workload::OPTIMIZER.eps,
    weight_decay: workload::OPTIMIZER.weight_decay,
};

/// Number of batches, used in turn.
pub const BATCHES: usize = 4;

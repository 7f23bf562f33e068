//! Where a client's updates come from: training, or, for measurements of everything else, chance.

use std::sync::Arc;

use choir_shared::control::TaskStatus;
use choir_shared::entropy::Entropy;
use choir_shared::fixed_point;
use choir_shared::task::AdapterLayout;

use super::aggregator::Aggregator;
use super::entropy::SystemEntropy;
use super::error::ClientError;
use super::training::{Desk, Lesson};
use crate::native::data::Rows;

/// A finished update that waits for its round.
pub(super) struct Update {
    pub(super) values: Vec<f32>,
    pub(super) examples: u32,
    /// Steps and the last one's loss; none where nothing was trained.
    pub(super) steps: u32,
    pub(super) loss: Option<f32>,
}

/// What a client trains on.
#[derive(Clone)]
pub(super) enum Share {
    /// Labelled texts.
    Labelled(Arc<Rows>),
    /// Passages, of a language task.
    Text(Arc<Vec<String>>),
}

/// A client's source of updates.
pub(super) enum Updates {
    /// Trained on the client's own share.
    Trained { desk: Desk, share: Share, seed: u64 },
    /// Uniform within the quantiser's bound.
    Random,
}

impl Updates {
    /// The update of the task's current version.
    pub(super) fn next(
        &self,
        aggregator: &Aggregator,
        status: &TaskStatus,
    ) -> Result<Update, ClientError> {
        match self {
            Self::Random => random(status),
            Self::Trained { desk, share, seed } => {
                let expected = AdapterLayout::new(&status.config)?.len();
                let start = floats(&aggregator.object(status.adapter)?)?;
                if start.len() != expected {
                    let found = start.len();
                    return Err(ClientError::Adapter { expected, found });
                }
                let frozen_head = match status.config.frozen_head {
                    Some(head) => Some(floats(&aggregator.object(head)?)?),
                    None => None,
                };
                desk.train(Lesson {
                    task: status.config.clone(),
                    start,
                    frozen_head,
                    share: share.clone(),
                    // As a tab: another order in each version.
                    seed: seed * 65_536 + u64::from(status.version.0),
                })
            }
        }
    }
}

fn floats(bytes: &[u8]) -> Result<Vec<f32>, ClientError> {
    let whole = fixed_point::adapter_from_bytes(bytes);
    whole.ok_or_else(|| ClientError::Adapter {
        expected: bytes.len().div_ceil(4),
        found: bytes.len() / 4,
    })
}

fn random(status: &TaskStatus) -> Result<Update, ClientError> {
    let len = AdapterLayout::new(&status.config)?.len();
    let mut bytes = vec![0; 4 * len];
    SystemEntropy.fill(&mut bytes);
    let bound = status.config.quantiser.bound;
    let (words, _) = bytes.as_chunks::<4>();
    let values = words
        .iter()
        .map(|word| (u32::from_le_bytes(*word) as f32 / u32::MAX as f32 * 2.0 - 1.0) * bound);
    Ok(Update {
        values: values.collect(),
        examples: 1,
        steps: 0,
        loss: None,
    })
}

//! A client's side of mode B: one report of one update.
//!
//! The update is consumed; the report's bytes are made once and only ever repeated. Who the helper
//! is, the page decides and no server: a task whose helper the page does not name gets no report.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::messages::Report;
use super::{ReportHeader, seed};
use crate::entropy::{self, Entropy};
use crate::ids::{Digest, PublicKey, ReportId, RoundId, TaskId, Version};
use crate::policy::{Policy, PolicyError};
use crate::secure_sum::{MaskKey, Sign, add_mask};
use crate::task::{TaskConfig, TaskError};
use crate::update::FrozenUpdate;
use crate::wire;

/// What a report is made of.
#[derive(Clone, Copy, Debug)]
pub struct ReportSetup<'a> {
    /// The page's conditions.
    pub policy: Policy,
    /// The helpers that the page trusts not to collude with the leader.
    pub helpers: &'a [PublicKey],
    /// The task's settings.
    pub task: &'a TaskConfig,
    /// The task.
    pub task_id: TaskId,
    /// The round.
    pub round_id: RoundId,
    /// What the update started from.
    pub version: Version,
    /// The global adapter of that version.
    pub adapter: Digest,
}

/// A report that is not made. Nothing was sent and the update is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// The task's settings make no sense.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The page's policy does not allow the task.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The task has one aggregator.
    #[error("the task has one aggregator: its updates are not reported but joined with")]
    OneAggregator,
    /// The update has another length than the task's payload.
    #[error("the update is not one of this task")]
    WrongLength,
    /// Nothing can be sealed to the helper's key.
    #[error("nothing can be sealed to the helper's key")]
    HelperKey,
}

/// One report. It holds nothing secret: the seed is wiped once it is sealed.
#[derive(Clone, Debug)]
pub struct ReportClient {
    id: ReportId,
    bytes: Vec<u8>,
}

impl ReportClient {
    /// Masks `update` and seals the mask's seed.
    ///
    /// # Errors
    /// [`ReportError`]; the update is gone.
    pub fn new(
        setup: &ReportSetup<'_>,
        update: FrozenUpdate,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, ReportError> {
        let task = setup.task;
        task.check()?;
        setup.policy.allows_report(task, setup.helpers)?;
        let model_digest = task.model_digest(setup.version, setup.adapter);
        let header = ReportHeader::new(task, setup.task_id, setup.round_id, model_digest)?
            .ok_or(ReportError::OneAggregator)?;
        if update.len() != header.d as usize {
            return Err(ReportError::WrongLength);
        }
        let ring = task.ring();
        let mask_seed = Zeroizing::new(entropy::array::<32>(entropy));
        let mut words = update.into_words();
        add_mask(
            &mut words,
            &MaskKey::new(mask_seed.clone()),
            Sign::Plus,
            ring,
        );
        let packed = ring.pack(&words);
        let (context, id) = (header.context(), ReportId(entropy::array(entropy)));
        let bound = (&context, id, Digest::of(&packed));
        let seed = seed::seal_seed(&header.helper, bound, &mask_seed, entropy)
            .ok_or(ReportError::HelperKey)?;
        let bytes = wire::encode(&Report {
            round: setup.round_id,
            context,
            id,
            seed,
            words: &packed,
        });
        Ok(Self { id, bytes })
    }

    /// The report's identifier.
    #[must_use]
    pub const fn id(&self) -> ReportId {
        self.id
    }

    /// What is sent, the same each time.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

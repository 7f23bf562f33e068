//! The helper's side of mode B: the sum of a batch's masks, given once.
//!
//! What protects a client here is what the helper refuses: a batch below its own minimum, a report
//! twice, a header of another task. None of it is taken from the leader. It holds one sum of `d`
//! words and one packed answer, whatever the size of the batch.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::messages::{self, BatchAnswer, BatchRefusal, BatchReply, BatchRequest, SealedReport};
use super::{ReportContext, ReportHeader, seed};
use crate::ids::{Digest, PublicKey, ReportId, TaskId};
use crate::secure_sum::{self, MaskKey, Sign, add_mask};
use crate::task::{Aggregation, TaskConfig, TaskError};
use crate::wire::{self, WireError};

/// The helper's X25519 secret. Wiped when dropped, never printed.
pub struct HelperKey(Zeroizing<[u8; 32]>);

impl HelperKey {
    /// The key with these bytes.
    #[must_use]
    pub const fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// What clients seal seeds to.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        secure_sum::x25519_public(&self.0)
    }
}

/// What a helper remembers of a task's batches. One batch is looked up and recorded without another
/// in between.
pub trait BatchLog {
    /// Why storage failed.
    type Error;

    /// The reply to this very batch, if it was the last that was answered.
    ///
    /// # Errors
    /// Those of storage, as everywhere here.
    fn reply(&self, batch: &Digest) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Whether a report was in an answered batch.
    ///
    /// # Errors
    /// See [`Self::reply`].
    fn is_used(&self, report: &ReportId) -> Result<bool, Self::Error>;

    /// Remembers all these reports for as long as the task is there, and the reply.
    ///
    /// # Errors
    /// See [`Self::reply`]; then none of it is remembered.
    fn record(
        &mut self,
        batch: &Digest,
        reports: &[ReportId],
        reply: &[u8],
    ) -> Result<(), Self::Error>;
}

/// A batch without an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError<E> {
    /// It is against the rules.
    #[error("refused: {0}")]
    Refused(#[from] BatchRefusal),
    /// It could not be remembered, so it is not answered.
    #[error("the log failed")]
    Log(E),
}

/// A task that this helper does not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HelperTaskError {
    /// Its settings make no sense.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// It has one aggregator, or another helper.
    #[error("the task does not name this helper's key")]
    OtherHelper,
    /// Its smallest batch is below this helper's.
    #[error("the task's smallest batch is below {0}, this helper's minimum")]
    BelowMinimum(u16),
}

/// A task that is registered with a helper.
#[derive(Clone, Debug)]
pub struct HelperTask {
    task: TaskConfig,
    task_id: TaskId,
}

impl HelperTask {
    /// Registers a task with a helper of this key that answers for no fewer reports than `minimum`.
    ///
    /// # Errors
    /// [`HelperTaskError`].
    pub fn new(
        task: TaskConfig,
        task_id: TaskId,
        key: &PublicKey,
        minimum: u16,
    ) -> Result<Self, HelperTaskError> {
        task.check()?;
        let is_own = |aggregation: &Aggregation| matches!(aggregation, Aggregation::TwoAggregators(helper) if helper.key == *key);
        if !is_own(&task.aggregation) {
            return Err(HelperTaskError::OtherHelper);
        }
        if task.cohort.min_cohort < minimum {
            return Err(HelperTaskError::BelowMinimum(minimum));
        }
        Ok(Self { task, task_id })
    }

    /// Largest body that a batch of this task may have.
    #[must_use]
    pub const fn batch_limit(&self) -> usize {
        messages::batch_limit(self.task.cohort.cohort_size)
    }

    /// The reply to a batch, from its bytes. The same bytes get the same reply, as long as no other
    /// batch was answered since: an answer may have been lost.
    ///
    /// # Errors
    /// [`AnswerError`]; no report counts as used then.
    pub fn answer<L: BatchLog>(
        &self,
        key: &HelperKey,
        request: &[u8],
        log: &mut L,
    ) -> Result<Vec<u8>, AnswerError<L::Error>> {
        let batch = Digest::of(request);
        let request: BatchRequest =
            wire::decode(request, self.batch_limit()).map_err(|error| match error {
                WireError::TooLarge => BatchRefusal::TooMany,
                _ => BatchRefusal::Malformed,
            })?;
        let context = self.context(key, &request.header)?;
        if let Some(reply) = log.reply(&batch).map_err(AnswerError::Log)? {
            return Ok(reply);
        }
        let reports = request.reports.as_slice();
        self.check_size(reports.len())?;
        check_distinct(reports)?;
        for report in reports {
            if log.is_used(&report.id).map_err(AnswerError::Log)? {
                return Err(BatchRefusal::Used(report.id).into());
            }
        }
        let (masks, left_out) = self.sum(key, &context, reports)?;
        let reply = wire::encode(&BatchReply::Answer(BatchAnswer {
            batch,
            left_out,
            masks,
        }));
        let ids: Vec<ReportId> = reports.iter().map(|report| report.id).collect();
        log.record(&batch, &ids, &reply).map_err(AnswerError::Log)?;
        Ok(reply)
    }

    /// The context of a header, if the header is what this helper would make of its own copy of the
    /// task. Round and model are the leader's to say: they are bound, not checked.
    fn context(&self, key: &HelperKey, header: &[u8]) -> Result<ReportContext, BatchRefusal> {
        let (given, rest) = postcard::take_from_bytes::<ReportHeader>(header)
            .map_err(|_| BatchRefusal::Malformed)?;
        if given.helper != key.public() {
            return Err(BatchRefusal::OtherHelper);
        }
        let (round, model) = (given.round_id, given.model_digest);
        let own = ReportHeader::new(&self.task, self.task_id, round, model);
        match own {
            Ok(Some(own)) if rest.is_empty() && own == given => Ok(own.context()),
            _ => Err(BatchRefusal::Header),
        }
    }

    fn check_size(&self, reports: usize) -> Result<(), BatchRefusal> {
        let minimum = self.task.cohort.min_cohort;
        if reports < usize::from(minimum) {
            return Err(BatchRefusal::TooFew {
                reports: reports as u16,
                minimum,
            });
        }
        if reports > usize::from(self.task.cohort.cohort_size) {
            return Err(BatchRefusal::TooMany);
        }
        Ok(())
    }

    /// The packed sum of the masks whose seeds open, and the reports whose seeds do not. Noise that
    /// the helper adds by itself belongs here, onto the sum before it is packed.
    fn sum(
        &self,
        key: &HelperKey,
        context: &ReportContext,
        reports: &[SealedReport],
    ) -> Result<(Vec<u8>, Vec<ReportId>), BatchRefusal> {
        let mut seeds = Vec::with_capacity(reports.len());
        let mut left_out = Vec::new();
        for report in reports {
            let bound = (context, report.id, report.vector);
            match seed::open_seed(&key.0, bound, &report.seed) {
                Some(seed) => seeds.push(seed),
                None => left_out.push(report.id),
            }
        }
        if seeds.len() < usize::from(self.task.cohort.min_cohort) {
            return Err(BatchRefusal::TooFewOpened(left_out));
        }
        let ring = self.task.ring();
        let coordinates = self.coordinates();
        let mut sum = Zeroizing::new(alloc::vec![0; coordinates]);
        for seed in seeds {
            add_mask(&mut sum, &MaskKey::new(seed), Sign::Plus, ring);
        }
        Ok((ring.pack(&sum), left_out))
    }

    fn coordinates(&self) -> usize {
        // Panic safety: the task passed its check, which makes the layout.
        crate::task::AdapterLayout::new(&self.task)
            .expect("a checked task has a layout")
            .ring_len()
    }
}

fn check_distinct(reports: &[SealedReport]) -> Result<(), BatchRefusal> {
    let mut seen = BTreeSet::new();
    match reports.iter().find(|report| !seen.insert(report.id)) {
        Some(twice) => Err(BatchRefusal::Repeated(twice.id)),
        None => Ok(()),
    }
}

/// A log in memory, for tests and simulations.
#[cfg(feature = "test-util")]
#[derive(Clone, Debug, Default)]
pub struct MemoryLog {
    used: BTreeSet<ReportId>,
    last: Option<(Digest, Vec<u8>)>,
}

#[cfg(feature = "test-util")]
impl BatchLog for MemoryLog {
    type Error = core::convert::Infallible;

    fn reply(&self, batch: &Digest) -> Result<Option<Vec<u8>>, Self::Error> {
        let same = self.last.as_ref().filter(|(answered, _)| answered == batch);
        Ok(same.map(|(_, reply)| reply.clone()))
    }

    fn is_used(&self, report: &ReportId) -> Result<bool, Self::Error> {
        Ok(self.used.contains(report))
    }

    fn record(
        &mut self,
        batch: &Digest,
        reports: &[ReportId],
        reply: &[u8],
    ) -> Result<(), Self::Error> {
        self.used.extend(reports);
        self.last = Some((*batch, reply.to_vec()));
        Ok(())
    }
}

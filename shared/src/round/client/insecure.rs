//! A client whose quorum is too small, so that tests can show what the right one is for.
//!
//! Only in builds with the feature `test-util`, never in one that people get.

use super::membership::Membership;
use super::{Agreement, ClientRound};
use crate::secure_sum::corrupt_clients;

/// Quorums that do not protect anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsecureQuorum {
    /// More than half of those who are said to have shared, and of the corrupt: an aggregator that
    /// tells two groups different lists of sharers gets both kinds of share of one client
    /// (docs/threat-model.md, "Why the quorum is over the roster").
    RelativeToSharers,
}

impl ClientRound {
    /// DANGEROUS: this client may give its update away. For tests of the attack only.
    #[must_use]
    pub fn with_insecure_quorum(mut self, quorum: InsecureQuorum) -> Self {
        self.agreement.insecure_quorum = Some(quorum);
        self
    }
}

impl Membership {
    /// Counts the quorum as the agreement says, once it is said who shared.
    pub(super) fn with_quorum_of(mut self, agreement: &Agreement, sharers: u16) -> Self {
        if agreement.insecure_quorum == Some(InsecureQuorum::RelativeToSharers) {
            let corrupt_permille = agreement.task.cohort.corrupt_permille;
            let corrupt = corrupt_clients(self.parameters.clients, corrupt_permille);
            self.parameters.quorum = ((u32::from(sharers) + corrupt) / 2 + 1) as u16;
        }
        self
    }
}

//! Thresholds of a cohort on the complete graph.

use serde::{Deserialize, Serialize};

use crate::wire::limits;

/// The numbers that a round runs by. Built only where they are possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// `n`: clients in the roster.
    pub clients: u16,
    /// `m`: neighbours of each client.
    pub neighbours: u16,
    /// `t`: shares that reconstruct a seed.
    pub threshold: u16,
    /// `q`: signatures that let shares be opened.
    pub quorum: u16,
}

/// `c = ceil(n g / 1000)`: how many of `clients` are assumed corrupt.
#[must_use]
pub const fn corrupt_clients(clients: u16, corrupt_permille: u16) -> u32 {
    (clients as u32 * corrupt_permille as u32).div_ceil(1000)
}

impl Parameters {
    /// `m = n - 1`, `t = ceil(n / 2)`, `q = floor((n + c) / 2) + 1`, for 3 to 49 clients of whom a
    /// quorum can exist.
    #[must_use]
    pub fn complete_graph(clients: u16, corrupt_permille: u16) -> Option<Self> {
        if !(limits::MIN_COHORT..=limits::MAX_COHORT).contains(&clients) {
            return None;
        }
        let quorum = (u32::from(clients) + corrupt_clients(clients, corrupt_permille)) / 2 + 1;
        let quorum = u16::try_from(quorum)
            .ok()
            .filter(|&quorum| quorum <= clients)?;
        Some(Self {
            clients,
            neighbours: clients - 1,
            threshold: clients.div_ceil(2),
            quorum,
        })
    }

    /// Placeholder of this slice: the complete graph for every size.
    #[must_use]
    pub fn new(clients: u16, corrupt_permille: u16, _drop_permille: u16) -> Option<Self> {
        Self::complete_graph(clients, corrupt_permille)
    }

    /// Whether a sum of `survivors` updates can be unmasked: a quorum of them, and enough others to
    /// hold the shares of each.
    #[must_use]
    pub const fn can_unmask(&self, survivors: u16) -> bool {
        survivors >= self.quorum && survivors > self.threshold
    }
}

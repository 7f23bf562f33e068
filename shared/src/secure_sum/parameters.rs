//! The numbers that a cohort's secure sum runs by: how many neighbours, how many shares, how many
//! signatures.
//!
//! Below 50 clients everybody is everybody's neighbour (Bonawitz and others 2017); from 50 on each
//! client chooses a few at random (after Bell and others 2020), as many as the [`search`] finds.

use serde::{Deserialize, Serialize};

use crate::wire::limits;

mod search;

/// Smallest cohort for which a sparse graph is looked for.
const SPARSE_FROM: u16 = 50;

/// The numbers that a round runs by. Built only where they are possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// `n`: clients in the roster.
    pub clients: u16,
    /// `m`: neighbours that each client chooses to hold its shares.
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

/// `q = floor((n + c) / 2) + 1`: so many signatures that no two lists can both have them. `None`
/// where no round can run: fewer than 3 clients, more than 1000, or more signatures than clients.
#[must_use]
pub const fn quorum(clients: u16, corrupt_permille: u16) -> Option<u16> {
    if clients < limits::MIN_COHORT || clients > limits::MAX_COHORT {
        return None;
    }
    let quorum = (clients as u32 + corrupt_clients(clients, corrupt_permille)) / 2 + 1;
    if quorum > clients as u32 {
        return None;
    }
    Some(quorum as u16)
}

impl Parameters {
    /// The parameters of `clients` of whom `corrupt_permille` thousandths are assumed corrupt and
    /// `drop_permille` thousandths may be lost at random: the fewest neighbours, and for them the
    /// lowest threshold, that keep every update hidden but for a chance of 2^-40 and lose a cohort
    /// with one of at most 2^-10. Where fewer neighbours than everybody do not, and below 50 clients:
    /// the complete graph, `m = n - 1` and `t = ceil(n / 2)`, which hides updates only from fewer than
    /// `t` corrupt clients. `None` exactly where [`quorum`] is.
    ///
    /// Everybody in a round computes the same: nothing here depends on the machine.
    #[must_use]
    pub fn new(clients: u16, corrupt_permille: u16, drop_permille: u16) -> Option<Self> {
        let quorum = quorum(clients, corrupt_permille)?;
        let sparse = (clients >= SPARSE_FROM)
            .then(|| search::sparse(clients, quorum, corrupt_permille, drop_permille))
            .flatten();
        let complete = || (clients - 1, clients.div_ceil(2));
        let (neighbours, threshold) = sparse.unwrap_or_else(complete);
        Some(Self {
            clients,
            neighbours,
            threshold,
            quorum,
        })
    }

    /// `h = q - c`: honest updates in any sum that opens, where as many as assumed are corrupt.
    #[must_use]
    pub const fn honest(&self, corrupt_permille: u16) -> u16 {
        let corrupt = corrupt_clients(self.clients, corrupt_permille);
        (self.quorum as u32).saturating_sub(corrupt) as u16
    }

    /// Clients with whom one client is expected to share a pair mask, `2m - m^2 / (n - 1)` rounded:
    /// those it chose and those that chose it.
    #[must_use]
    pub const fn masks(&self) -> u16 {
        let (others, chosen) = (self.clients as u32 - 1, self.neighbours as u32);
        let twice = 2 * (2 * chosen * others - chosen * chosen);
        ((twice + others) / (2 * others)) as u16
    }

    /// Whether a sum of `survivors` updates can be unmasked: a quorum of them, and enough others to
    /// hold the shares of each. On the complete graph that is enough; on a sparse one each owner's
    /// own neighbours decide.
    #[must_use]
    pub const fn can_unmask(&self, survivors: u16) -> bool {
        survivors >= self.quorum && survivors > self.threshold
    }
}

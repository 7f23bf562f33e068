//! The randomness of a client that is to do the same again.

use choir_shared::entropy::InsecureSeededEntropy;

/// The stream of one client.
pub(super) fn of(client: u16) -> InsecureSeededEntropy {
    InsecureSeededEntropy::new(0x5eed_0000 + u64::from(client))
}

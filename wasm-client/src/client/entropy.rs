//! A native client's source of secrets: the system's own, through `getrandom`.

use choir_shared::entropy::Entropy;

/// The system's random source.
pub(super) struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&mut self, out: &mut [u8]) {
        // Panic safety: a system without a random source must not make keys. The panic ends the
        // client before anything was sent.
        getrandom::fill(out).expect("the system has a random source");
    }
}

/// A number from 0 up to 1, 1 excluded.
pub(super) fn fraction() -> f64 {
    let mut bytes = [0; 8];
    SystemEntropy.fill(&mut bytes);
    (u64::from_le_bytes(bytes) >> 11) as f64 / (1_u64 << 53) as f64
}

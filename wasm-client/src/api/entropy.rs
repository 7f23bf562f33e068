//! The tab's source of secrets: the browser's own, through `getrandom`.

use choir_shared::entropy::Entropy;

/// `crypto.getRandomValues`.
pub(super) struct TabEntropy;

impl Entropy for TabEntropy {
    fn fill(&mut self, out: &mut [u8]) {
        // Panic safety: a browser without a random source must not make keys. The panic ends the
        // module before anything was sent.
        getrandom::fill(out).expect("the browser has a random source");
    }
}

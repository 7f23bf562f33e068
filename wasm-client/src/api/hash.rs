//! SHA-256 of a file as it streams in; WebCrypto only hashes what is there as a whole.

use choir_shared::ids::Digest;
use sha2::{Digest as _, Sha256};
use wasm_bindgen::prelude::wasm_bindgen;

/// A running SHA-256.
#[wasm_bindgen]
#[derive(Default)]
pub struct StreamHash(Sha256);

#[wasm_bindgen]
impl StreamHash {
    /// Of nothing yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, chunk: &[u8]) {
        self.0.update(chunk);
    }

    /// The digest in hex; the handle is spent.
    pub fn finish(self) -> String {
        Digest(self.0.finalize().into()).to_string()
    }
}

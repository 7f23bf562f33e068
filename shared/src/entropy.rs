//! Where secrets come from: the caller's cryptographic random source.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use zeroize::Zeroize;

/// A cryptographically secure source of random bytes.
pub trait Entropy {
    /// Fills `out` with fresh random bytes.
    fn fill(&mut self, out: &mut [u8]);
}

/// `N` fresh bytes.
pub(crate) fn array<const N: usize>(entropy: &mut dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes);
    bytes
}

/// A uniform number below `bound`, which is positive: words of the last, incomplete run of `bound`
/// are drawn again.
pub(crate) fn below(entropy: &mut dyn Entropy, bound: u32) -> u32 {
    let excess = (u32::MAX % bound + 1) % bound;
    loop {
        let word = u32::from_le_bytes(array(entropy));
        if word <= u32::MAX - excess {
            return word % bound;
        }
    }
}

/// A ChaCha20 stream under a fresh key, for what takes more random bits than a caller should be asked
/// for. Wiped when dropped.
pub(crate) fn stream(entropy: &mut dyn Entropy) -> ChaCha20Rng {
    let mut key = array::<32>(entropy);
    let stream = ChaCha20Rng::from_seed(key);
    key.zeroize();
    stream
}

/// A reproducible source for tests: ChaCha20 under a key made of the seed. Anyone who knows the
/// seed knows every secret.
#[cfg(feature = "test-util")]
pub struct InsecureSeededEntropy(chacha20::ChaCha20);

#[cfg(feature = "test-util")]
impl InsecureSeededEntropy {
    /// The stream of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        use chacha20::KeyIvInit;
        let key = crate::ids::Digest::of_parts(&[b"choir/test-entropy", &seed.to_le_bytes()]);
        Self(chacha20::ChaCha20::new(&key.0.into(), &[0; 12].into()))
    }

    /// The next 8 bytes as a number.
    pub fn next_u64(&mut self) -> u64 {
        u64::from_le_bytes(array(self))
    }

    /// A number below `bound` (not exactly uniform; for plans of tests).
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound.max(1)
    }
}

#[cfg(feature = "test-util")]
impl Entropy for InsecureSeededEntropy {
    fn fill(&mut self, out: &mut [u8]) {
        use chacha20::cipher::StreamCipher;
        out.fill(0);
        self.0.apply_keystream(out);
    }
}

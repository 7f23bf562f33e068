//! Masked vectors look uniform, whatever is in them; and the tests that say so do fail where a mask
//! is left out, used twice, too short, or no mask.
//!
//! Statistics find slips of an implementation only. That a mask hides what it masks rests on
//! ChaCha20, and on the vectors of its standard.
//!
//! Each vector gives p-values, by the families of [`statistics`]; those of a family have to be
//! uniform themselves (Kolmogorov and Smirnov, at 1e-4). The entropy is seeded: a run is the same
//! every time. A run of full size has 1,000 sessions of 2^20 words for each of three clients:
//!
//! ```text
//! cargo test --release -p choir-shared --features test-util --test uniformity -- --ignored
//! ```

use choir_shared::entropy::{Entropy, InsecureSeededEntropy};
use choir_shared::secure_sum::{MaskKey, Ring, Sign, add_mask};
use choir_shared::sim::random::Stream;
use zeroize::Zeroizing;

mod sessions;
mod statistics;

use sessions::{CLIENTS, Input, Sessions};
use statistics::{Suite, two_sample};

/// Below this a family's p-values are not uniform.
const LIMIT: f64 = 1e-4;
const FAMILIES: usize = 7;

fn assert_uniform(sessions: u64, words: usize) {
    let sources = Sessions::new(words);
    let mut suite = Suite::new(sources.ring());
    let mut counts = [Input::Zero, Input::Most, Input::Update].map(|_| suite.no_counts());
    for session in 0..sessions {
        let kind = (session % 3) as usize;
        let input = [Input::Zero, Input::Most, Input::Update][kind];
        let vectors = sources.masked(session, input);
        for vector in &vectors {
            suite.count(&mut counts[kind], vector);
        }
        suite.add(&vectors);
    }
    let verdict = suite.verdict();
    assert_eq!(verdict.len(), FAMILIES);
    for (family, p) in verdict {
        assert!(p >= LIMIT, "{family}: the p-values have p = {p:e}");
    }
    let [zero, most, update] = &counts;
    for (one, other) in [(zero, most), (zero, update), (most, update)] {
        for p in two_sample(one, other) {
            assert!(p >= LIMIT, "two inputs differ with p = {p:e}");
        }
    }
}

#[test]
fn masked_vectors_are_uniform_whatever_is_in_them() {
    assert_uniform(1_000, 1 << 13);
}

#[test]
#[ignore = "five minutes of CPU: the full size of the test above"]
fn masked_vectors_are_uniform_whatever_is_in_them_at_full_size() {
    assert_uniform(1_000, 1 << 20);
}

/// Plain vectors of a session, and masks made by hand: of each client one self mask, of each two a
/// pair mask.
struct ByHand {
    sources: Sessions,
    entropy: InsecureSeededEntropy,
}

const SESSIONS: u64 = 40;

impl ByHand {
    fn new(seed: u64) -> Self {
        Self {
            sources: Sessions::new(1 << 12),
            entropy: InsecureSeededEntropy::new(seed),
        }
    }

    fn key(&mut self) -> MaskKey {
        let mut bytes = Zeroizing::new([0; 32]);
        self.entropy.fill(&mut *bytes);
        MaskKey::new(bytes)
    }

    fn plain(&mut self) -> Vec<Vec<u32>> {
        self.sources.plain(Input::Update, &mut self.entropy)
    }

    fn ring(&self) -> Ring {
        self.sources.ring()
    }

    /// So many clients, with a pair mask for each two of them; `own` says whether each has a self
    /// mask too.
    fn masked(&mut self, clients: usize, own: bool) -> Vec<Vec<u32>> {
        let ring = self.ring();
        let mut vectors = self.plain();
        vectors.truncate(clients);
        for one in 0..clients {
            if own {
                let key = self.key();
                add_mask(&mut vectors[one], &key, Sign::Plus, ring);
            }
            for other in one + 1..clients {
                let key = self.key();
                add_mask(&mut vectors[one], &key, Sign::Plus, ring);
                add_mask(&mut vectors[other], &key, Sign::Minus, ring);
            }
        }
        vectors
    }

    /// The families that fail on sessions made by `make`.
    fn failing(mut self, mut make: impl FnMut(&mut Self) -> Vec<Vec<u32>>) -> Vec<&'static str> {
        let ring = self.ring();
        let mut suite = Suite::new(ring);
        for _ in 0..SESSIONS {
            let mut vectors = make(&mut self);
            for word in vectors.iter_mut().flatten() {
                *word &= ring.mask();
            }
            suite.add(&vectors);
        }
        let failed = |(family, p): (&'static str, f64)| (p < LIMIT).then_some(family);
        suite.verdict().into_iter().filter_map(failed).collect()
    }
}

#[test]
fn masks_made_by_hand_pass() {
    // The control of the controls.
    for clients in [2, CLIENTS] {
        let failing = ByHand::new(1).failing(|by| by.masked(clients, true));
        assert!(failing.is_empty(), "{failing:?}");
    }
}

#[test]
fn a_self_mask_that_is_omitted_is_noticed_once_a_neighbour_is_opened() {
    // The third client's secret is opened and its pair masks are taken off: the only mask that is
    // left is the one that the other two share, and it cancels in their sum.
    let failing = ByHand::new(2).failing(|by| by.masked(CLIENTS - 1, false));
    assert!(failing.contains(&"sums of clients"), "{failing:?}");
}

#[test]
fn a_mask_that_is_used_in_two_rounds_is_noticed() {
    let mut keys: Option<Vec<MaskKey>> = None;
    let failing = ByHand::new(3).failing(|by| {
        let ring = by.ring();
        let keys = keys.get_or_insert_with(|| (0..CLIENTS).map(|_| by.key()).collect());
        let mut vectors = by.plain();
        for (vector, key) in vectors.iter_mut().zip(keys) {
            add_mask(vector, key, Sign::Plus, ring);
        }
        vectors
    });
    assert!(failing.contains(&"differences of sessions"), "{failing:?}");
    assert!(failing.contains(&"correlation of sessions"), "{failing:?}");
}

#[test]
fn a_mask_of_a_bit_less_is_noticed() {
    let failing = ByHand::new(4).failing(|by| {
        let short = by.ring().mask() >> 1;
        let mut vectors = by.plain();
        for vector in &mut vectors {
            let mut mask = vec![0; vector.len()];
            add_mask(&mut mask, &by.key(), Sign::Plus, by.ring());
            for (word, mask) in vector.iter_mut().zip(mask) {
                *word = word.wrapping_add(mask & short);
            }
        }
        vectors
    });
    assert!(failing.contains(&"bytes"), "{failing:?}");
}

#[test]
fn a_mask_of_float_noise_is_noticed() {
    let mut noise = Stream::new(5, "noise");
    let failing = ByHand::new(5).failing(|by| {
        let width = f64::from(by.ring().mask()) / 8.0;
        let mut vectors = by.plain();
        for word in vectors.iter_mut().flatten() {
            *word = word.wrapping_add((noise.normal() * width) as i64 as u32);
        }
        vectors
    });
    assert!(failing.contains(&"bytes"), "{failing:?}");
}

#[test]
fn inputs_without_masks_differ() {
    let mut by = ByHand::new(6);
    let suite = Suite::new(by.ring());
    let [mut zero, mut most] = [suite.no_counts(), suite.no_counts()];
    let sources = Sessions::new(1 << 12);
    for vector in sources.plain(Input::Zero, &mut by.entropy) {
        suite.count(&mut zero, &vector);
    }
    for vector in sources.plain(Input::Most, &mut by.entropy) {
        suite.count(&mut most, &vector);
    }
    assert!(two_sample(&zero, &most).iter().any(|&p| p < LIMIT));
}

//! A detector for plain updates in bytes that should not have them.
//!
//! [`Detector`] knows an update's values and integers in every encoding that a careless program
//! could have used, and finds any run of 16 consecutive coordinates of them (see [`encodings`] for
//! the list). It shows slips of an implementation; that masks hide what they mask rests on ChaCha20.
//!
//! [`agrees_beyond_chance`] compares two masked vectors of the same update.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

pub mod encodings;

use encodings::Encoding;

/// Coordinates of one window that is looked for.
const WINDOW: usize = 8;

/// Shortest pattern: an accidental match has probability 2^-64 at each place.
const KEY_BYTES: usize = 8;

/// Windows with fewer distinct values say nothing: zeros are everywhere.
const DISTINCT: usize = 5;

/// One client's plain update.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a> {
    /// The integers, the weight last, if they are known.
    pub words: &'a [u32],
    /// The real values, if they are known.
    pub values: &'a [f32],
}

/// A plain update was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leak {
    /// Whose: the place in what the detector was made of.
    pub client: usize,
    /// How it was written.
    pub encoding: Encoding,
    /// Its first coordinate.
    pub coordinate: usize,
    /// Where in the searched bytes.
    pub offset: usize,
}

struct Pattern {
    client: usize,
    encoding: Encoding,
    coordinate: usize,
    bytes: Vec<u8>,
}

/// Finds plain updates in bytes.
pub struct Detector {
    patterns: Vec<Pattern>,
    /// Places in `patterns` of those that start with a key.
    by_key: BTreeMap<[u8; KEY_BYTES], Vec<usize>>,
    /// A bit for each hash of a key: nearly all places of a haystack stop here.
    filter: Vec<u64>,
}

impl Detector {
    /// A detector of these updates.
    #[must_use]
    pub fn new(updates: &[Plain<'_>]) -> Self {
        let mut patterns = Vec::new();
        for (client, plain) in updates.iter().enumerate() {
            push_patterns(&mut patterns, client, plain);
        }
        let mut by_key: BTreeMap<[u8; KEY_BYTES], Vec<usize>> = BTreeMap::new();
        let bits = (patterns.len() * 16).next_power_of_two().max(1 << 16);
        let mut filter = alloc::vec![0u64; bits / 64];
        for (place, pattern) in patterns.iter().enumerate() {
            let Some(key) = pattern.bytes.first_chunk::<KEY_BYTES>() else {
                continue;
            };
            by_key.entry(*key).or_default().push(place);
            let bit = hash(*key, bits);
            filter[bit / 64] |= 1 << (bit % 64);
        }
        Self {
            patterns,
            by_key,
            filter,
        }
    }

    /// Every place of `haystack` where a run of a plain update starts.
    #[must_use]
    pub fn find(&self, haystack: &[u8]) -> Vec<Leak> {
        let bits = self.filter.len() * 64;
        let mut leaks = Vec::new();
        for (offset, window) in haystack.windows(KEY_BYTES).enumerate() {
            let Some(key) = window.first_chunk::<KEY_BYTES>() else {
                continue;
            };
            let bit = hash(*key, bits);
            if self.filter[bit / 64] >> (bit % 64) & 1 == 0 {
                continue;
            }
            let candidates = self.by_key.get(key).into_iter().flatten();
            leaks.extend(
                candidates
                    .map(|&place| &self.patterns[place])
                    .filter(|pattern| haystack[offset..].starts_with(&pattern.bytes))
                    .map(|pattern| Leak {
                        client: pattern.client,
                        encoding: pattern.encoding,
                        coordinate: pattern.coordinate,
                        offset,
                    }),
            );
        }
        leaks
    }
}

/// Every place of `haystack` where a run of one plain update starts.
#[must_use]
pub fn find_leaks(haystack: &[u8], plain: &Plain<'_>) -> Vec<Leak> {
    Detector::new(&[*plain]).find(haystack)
}

fn push_patterns(patterns: &mut Vec<Pattern>, client: usize, plain: &Plain<'_>) {
    let weight = plain.words.last().copied().unwrap_or_default();
    let length = plain.words.len().max(plain.values.len());
    for coordinate in (0..length).step_by(WINDOW) {
        let range = coordinate..(coordinate + WINDOW).min(length);
        let words = plain
            .words
            .get(range.clone())
            .filter(|words| distinct(words) >= DISTINCT);
        let values = plain.values.get(range).filter(|values| {
            distinct(&values.iter().map(|v| v.to_bits()).collect::<Vec<_>>()) >= DISTINCT
        });
        encodings::each(
            words.unwrap_or_default(),
            values.unwrap_or_default(),
            weight,
            |encoding, bytes| {
                if bytes.len() >= KEY_BYTES {
                    patterns.push(Pattern {
                        client,
                        encoding,
                        coordinate,
                        bytes,
                    });
                }
            },
        );
    }
}

fn distinct(words: &[u32]) -> usize {
    let mut sorted = words.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.len()
}

fn hash(key: [u8; KEY_BYTES], bits: usize) -> usize {
    let mixed = u64::from_le_bytes(key).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as usize & (bits - 1)
}

/// Whether two masked vectors, as little-endian bytes, have more equal bytes or more equal words at
/// the same places than independent uniform ones: beyond six standard deviations, or more than one
/// word and one more for each 2^28.
#[must_use]
pub fn agrees_beyond_chance(one: &[u8], other: &[u8]) -> bool {
    let places = one.len().min(other.len()) as f64;
    let bytes = one.iter().zip(other).filter(|(a, b)| a == b).count() as f64;
    let words = one
        .chunks_exact(4)
        .zip(other.chunks_exact(4))
        .filter(|(a, b)| a == b)
        .count();
    let (mean, variance) = (places / 256.0, places * 255.0 / 65_536.0);
    let excess = bytes - mean;
    excess > 0.0 && excess * excess > 36.0 * variance + 36.0 || words > 1 + (one.len() >> 30)
}

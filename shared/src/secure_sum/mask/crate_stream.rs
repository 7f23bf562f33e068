//! ChaCha20 (RFC 8439) by the `chacha20` crate: a tile of stream at a time, then added.

use chacha20::cipher::{StreamCipher, StreamCipherSeek};
use chacha20::{ChaCha20, KeyIvInit};
use zeroize::Zeroize;

use super::Sign;

/// Bytes of stream that are expanded at a time: 64 blocks, small enough for the stack and the
/// first-level cache.
const TILE_BYTES: usize = 4096;

/// A key and a nonce.
pub(super) struct Stream(ChaCha20);

impl Stream {
    /// The stream of this key and nonce.
    pub(super) fn new(key: &[u8; 32], nonce: &[u8; 12]) -> Self {
        Self(ChaCha20::new(key.into(), nonce.into()))
    }

    /// Adds the stream's words from word `first` on to the coordinates, or subtracts them.
    pub(super) fn fold_words(self, vector: &mut [u32], first: usize, sign: Sign) {
        self.fold::<4>(vector, first, sign, u32::from_le_bytes);
    }

    /// The same with half a word for each coordinate, the low half first; `first` counts halves.
    pub(super) fn fold_halves(self, vector: &mut [u32], first: usize, sign: Sign) {
        self.fold::<2>(vector, first, sign, |bytes| {
            u16::from_le_bytes(bytes).into()
        });
    }

    fn fold<const WIDTH: usize>(
        mut self,
        vector: &mut [u32],
        first: usize,
        sign: Sign,
        word: impl Fn([u8; WIDTH]) -> u32,
    ) {
        self.0.seek(first as u64 * WIDTH as u64);
        let mut tile = [0; TILE_BYTES];
        for words in vector.chunks_mut(TILE_BYTES / WIDTH) {
            let tile = &mut tile[..words.len() * WIDTH];
            self.0.write_keystream(tile);
            let masks = tile.as_chunks().0.iter().map(|bytes| word(*bytes));
            let places = words.iter_mut().zip(masks);
            match sign {
                Sign::Plus => places.for_each(|(word, mask)| *word = word.wrapping_add(mask)),
                Sign::Minus => places.for_each(|(word, mask)| *word = word.wrapping_sub(mask)),
            }
        }
        tile.zeroize();
    }
}

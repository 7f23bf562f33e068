//! ChaCha20 (RFC 8439, section 2.3) four blocks at a time, one block for each lane of 128-bit
//! vectors, added straight into the vector that it masks.
//!
//! For wasm, where the `chacha20` crate has no vector code. No branch and no index depends on the
//! key or on the vector.

use super::Sign;
use super::four::Four;
use zeroize::Zeroize;

/// Words of one block.
const BLOCK: usize = 16;
/// Words of the four blocks that are made at a time.
const TILE: usize = 4 * BLOCK;
/// "expand 32-byte k".
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// A key and a nonce as the rows of the state that hold them.
pub(super) struct Stream {
    key: [u32; 8],
    nonce: [u32; 3],
}

impl Stream {
    /// The stream of this key and nonce.
    pub(super) fn new(key: &[u8; 32], nonce: &[u8; 12]) -> Self {
        let mut stream = Self {
            key: [0; 8],
            nonce: [0; 3],
        };
        little_endian(key, &mut stream.key);
        little_endian(nonce, &mut stream.nonce);
        stream
    }

    /// Adds the stream's words from word `first` on to the coordinates, or subtracts them.
    pub(super) fn fold_words(self, vector: &mut [u32], first: usize, sign: Sign) {
        self.fold(vector, first, sign, |words| [words]);
    }

    /// The same with half a word for each coordinate, the low half first; `first` counts halves.
    pub(super) fn fold_halves(self, vector: &mut [u32], first: usize, sign: Sign) {
        self.fold(vector, first, sign, Four::halves);
    }

    /// Each vector of the stream is `spread` into those of `N` times as many coordinates.
    #[inline(always)]
    fn fold<const N: usize>(
        &self,
        vector: &mut [u32],
        first: usize,
        sign: Sign,
        spread: impl Fn(Four) -> [Four; N] + Copy,
    ) {
        match sign {
            Sign::Plus => self.tiles(vector, first, spread, Four::add),
            Sign::Minus => self.tiles(vector, first, spread, Four::sub),
        }
    }

    #[inline(always)]
    fn tiles<const N: usize>(
        &self,
        vector: &mut [u32],
        first: usize,
        spread: impl Fn(Four) -> [Four; N] + Copy,
        fold: impl Fn(Four, Four) -> Four + Copy,
    ) {
        let block = N * BLOCK;
        let mut counter = (first / block) as u32;
        let skipped = first % block;
        let mut rest = vector;
        if skipped > 0 {
            let head = rest.len().min(N * TILE - skipped);
            let (head, after) = rest.split_at_mut(head);
            self.part(head, counter, skipped, spread, fold);
            counter = counter.wrapping_add(4);
            rest = after;
        }
        let mut tiles = rest.chunks_exact_mut(N * TILE);
        for tile in &mut tiles {
            self.tile(tile, counter, spread, fold);
            counter = counter.wrapping_add(4);
        }
        self.part(tiles.into_remainder(), counter, 0, spread, fold);
    }

    /// Part of a tile, by way of a whole one.
    fn part<const N: usize>(
        &self,
        part: &mut [u32],
        counter: u32,
        skipped: usize,
        spread: impl Fn(Four) -> [Four; N],
        fold: impl Fn(Four, Four) -> Four,
    ) {
        if part.is_empty() {
            return;
        }
        let mut whole = [0; 2 * TILE];
        let place = skipped..skipped + part.len();
        whole[place.clone()].copy_from_slice(part);
        self.tile(&mut whole[..N * TILE], counter, spread, fold);
        part.copy_from_slice(&whole[place]);
        whole.zeroize();
    }

    #[inline(always)]
    fn tile<const N: usize>(
        &self,
        tile: &mut [u32],
        counter: u32,
        spread: impl Fn(Four) -> [Four; N],
        fold: impl Fn(Four, Four) -> Four,
    ) {
        let (tile, _) = tile.as_chunks_mut::<4>();
        let state = self.blocks(counter);
        let (rows, _) = state.as_chunks::<4>();
        for (quarter, rows) in rows.iter().enumerate() {
            for (block, words) in Four::transposed(*rows).into_iter().enumerate() {
                let at = N * (4 * block + quarter);
                for (place, mask) in tile[at..at + N].iter_mut().zip(spread(words)) {
                    *place = fold(Four::new(*place), mask).words();
                }
            }
        }
    }

    /// The four blocks from `counter` on: 16 words of the state, each for all four.
    #[inline(always)]
    fn blocks(&self, counter: u32) -> [Four; BLOCK] {
        let mut start = [Four::splat(0); BLOCK];
        let fixed = CONSTANTS
            .iter()
            .chain(&self.key)
            .map(|word| Four::splat(*word));
        start
            .iter_mut()
            .zip(fixed)
            .for_each(|(row, word)| *row = word);
        start[12] = Four::splat(counter).add(Four::new([0, 1, 2, 3]));
        for (row, word) in start[13..].iter_mut().zip(self.nonce) {
            *row = Four::splat(word);
        }
        let mut state = start;
        for _ in 0..10 {
            quarter_round::<0, 4, 8, 12>(&mut state);
            quarter_round::<1, 5, 9, 13>(&mut state);
            quarter_round::<2, 6, 10, 14>(&mut state);
            quarter_round::<3, 7, 11, 15>(&mut state);
            quarter_round::<0, 5, 10, 15>(&mut state);
            quarter_round::<1, 6, 11, 12>(&mut state);
            quarter_round::<2, 7, 8, 13>(&mut state);
            quarter_round::<3, 4, 9, 14>(&mut state);
        }
        for (row, start) in state.iter_mut().zip(start) {
            *row = row.add(start);
        }
        state
    }
}

/// RFC 8439, section 2.1.
#[inline(always)]
fn quarter_round<const A: usize, const B: usize, const C: usize, const D: usize>(
    state: &mut [Four; BLOCK],
) {
    state[A] = state[A].add(state[B]);
    state[D] = state[D].xor(state[A]).rotate::<16>();
    state[C] = state[C].add(state[D]);
    state[B] = state[B].xor(state[C]).rotate::<12>();
    state[A] = state[A].add(state[B]);
    state[D] = state[D].xor(state[A]).rotate::<8>();
    state[C] = state[C].add(state[D]);
    state[B] = state[B].xor(state[C]).rotate::<7>();
}

fn little_endian(bytes: &[u8], words: &mut [u32]) {
    let (chunks, _) = bytes.as_chunks();
    for (word, bytes) in words.iter_mut().zip(chunks) {
        *word = u32::from_le_bytes(*bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::super::crate_stream;
    use super::*;
    use alloc::vec::Vec;

    const NONCES: [[u8; 12]; 2] = [[0; 12], [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 255, 254]];

    fn key() -> [u8; 32] {
        core::array::from_fn(|at| at as u8)
    }

    fn coordinates(count: usize) -> Vec<u32> {
        (0..count as u32)
            .map(|at| at.wrapping_mul(0x9e37_79b9))
            .collect()
    }

    fn both_agree(count: usize, first: usize, sign: Sign, nonce: &[u8; 12]) {
        let (mut ours, mut theirs) = (coordinates(count), coordinates(count));
        Stream::new(&key(), nonce).fold_words(&mut ours, first, sign);
        crate_stream::Stream::new(&key(), nonce).fold_words(&mut theirs, first, sign);
        assert!(ours == theirs, "{count} words from {first}");
        Stream::new(&key(), nonce).fold_halves(&mut ours, first, sign);
        crate_stream::Stream::new(&key(), nonce).fold_halves(&mut theirs, first, sign);
        assert!(ours == theirs, "{count} halves from {first}");
    }

    #[test]
    fn every_length_gives_the_words_of_the_chacha20_crate() {
        for count in 0..=4096 {
            both_agree(count, 0, Sign::Plus, &NONCES[0]);
        }
    }

    #[test]
    fn every_place_in_a_tile_gives_the_words_of_the_chacha20_crate() {
        for first in 0..=4 * TILE {
            for count in [1, 63, 300] {
                both_agree(count, first, Sign::Minus, &NONCES[1]);
            }
        }
    }

    #[test]
    fn far_blocks_give_the_words_of_the_chacha20_crate() {
        for block in [1 << 16, (1 << 24) - 2, (1 << 31) - 3, (1 << 32) - 40] {
            for skipped in [0, 1, 15, 16, 31, 32, 33] {
                both_agree(200, block * BLOCK + skipped, Sign::Plus, &NONCES[0]);
            }
        }
    }

    #[test]
    fn the_block_of_rfc_8439_2_3_2() {
        let nonce = [0, 0, 0, 9, 0, 0, 0, 0x4a, 0, 0, 0, 0];
        let mut block = [0; BLOCK];
        Stream::new(&key(), &nonce).fold_words(&mut block, BLOCK, Sign::Plus);
        assert_eq!(
            block,
            [
                0xe4e7_f110,
                0x1559_3bd1,
                0x1fdd_0f50,
                0xc471_20a3,
                0xc7f4_d1c7,
                0x0368_c033,
                0x9aaa_2204,
                0x4e6c_d4c3,
                0x4664_82d2,
                0x09aa_9f07,
                0x05d7_c214,
                0xa202_8bd9,
                0xd19c_12b5,
                0xb94e_16de,
                0xe883_d0cb,
                0x4e3c_50a2,
            ]
        );
    }

    #[test]
    fn the_ciphertext_of_rfc_8439_2_4_2() {
        let plain = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip \
            for the future, sunscreen would be it.";
        let nonce = [0, 0, 0, 0, 0, 0, 0, 0x4a, 0, 0, 0, 0];
        let mut words = [0; 2 * BLOCK];
        Stream::new(&key(), &nonce).fold_words(&mut words, BLOCK, Sign::Plus);
        let stream = words.iter().flat_map(|word| word.to_le_bytes());
        let cipher: Vec<u8> = plain.iter().zip(stream).map(|(a, b)| a ^ b).collect();
        let hex: alloc::string::String = cipher
            .iter()
            .map(|byte| alloc::format!("{byte:02x}"))
            .collect();
        assert_eq!(
            hex,
            "6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0b\
             f91b65c5524733ab8f593dabcd62b3571639d624e65152ab8f530c359f0861d8\
             07ca0dbf500d6a6156a38e088a22b65e52bc514d16ccf806818ce91ab7793736\
             5af90bbf74a35be6b40b8eedf2785e42874d"
        );
    }
}

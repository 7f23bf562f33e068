//! Four 32-bit words side by side: one 128-bit vector where wasm has them, an array elsewhere.
//!
//! Only safe operations: a vector is made of four words and read back as four words, which the
//! compiler turns into one load and one store.

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(super) use vector::Four;

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
pub(super) use array::Four;

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod vector {
    use core::arch::wasm32::{
        i8x16_shuffle, u32x4, u32x4_add, u32x4_extend_high_u16x8, u32x4_extend_low_u16x8,
        u32x4_extract_lane, u32x4_shl, u32x4_shr, u32x4_shuffle, u32x4_splat, u32x4_sub,
        u64x2_shuffle, v128, v128_or, v128_xor,
    };

    /// Four words.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Four(v128);

    impl Four {
        #[inline(always)]
        pub(in super::super) fn new([a, b, c, d]: [u32; 4]) -> Self {
            Self(u32x4(a, b, c, d))
        }

        #[inline(always)]
        pub(in super::super) fn splat(word: u32) -> Self {
            Self(u32x4_splat(word))
        }

        #[inline(always)]
        pub(in super::super) fn words(self) -> [u32; 4] {
            [
                u32x4_extract_lane::<0>(self.0),
                u32x4_extract_lane::<1>(self.0),
                u32x4_extract_lane::<2>(self.0),
                u32x4_extract_lane::<3>(self.0),
            ]
        }

        #[inline(always)]
        pub(in super::super) fn add(self, other: Self) -> Self {
            Self(u32x4_add(self.0, other.0))
        }

        #[inline(always)]
        pub(in super::super) fn sub(self, other: Self) -> Self {
            Self(u32x4_sub(self.0, other.0))
        }

        #[inline(always)]
        pub(in super::super) fn xor(self, other: Self) -> Self {
            Self(v128_xor(self.0, other.0))
        }

        /// Each word rotated to the left. V8 has a cheap shuffle for halves of words; for single bytes
        /// its shuffle costs more than the three operations (measured).
        #[inline(always)]
        pub(in super::super) fn rotate<const BITS: u32>(self) -> Self {
            let v = self.0;
            Self(match BITS {
                16 => i8x16_shuffle::<2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13>(v, v),
                _ => v128_or(u32x4_shl(v, BITS), u32x4_shr(v, 32 - BITS)),
            })
        }

        /// The four words of each place, for four vectors.
        #[inline(always)]
        pub(in super::super) fn transposed([a, b, c, d]: [Self; 4]) -> [Self; 4] {
            let low = u32x4_shuffle::<0, 4, 1, 5>(a.0, b.0);
            let high = u32x4_shuffle::<2, 6, 3, 7>(a.0, b.0);
            let other_low = u32x4_shuffle::<0, 4, 1, 5>(c.0, d.0);
            let other_high = u32x4_shuffle::<2, 6, 3, 7>(c.0, d.0);
            [
                Self(u64x2_shuffle::<0, 2>(low, other_low)),
                Self(u64x2_shuffle::<1, 3>(low, other_low)),
                Self(u64x2_shuffle::<0, 2>(high, other_high)),
                Self(u64x2_shuffle::<1, 3>(high, other_high)),
            ]
        }

        /// The eight halves of the words, each a word, the low half of a word first.
        #[inline(always)]
        pub(in super::super) fn halves(self) -> [Self; 2] {
            [
                Self(u32x4_extend_low_u16x8(self.0)),
                Self(u32x4_extend_high_u16x8(self.0)),
            ]
        }
    }
}

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod array {
    use core::array::from_fn;

    /// Four words.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Four([u32; 4]);

    impl Four {
        #[inline(always)]
        pub(in super::super) fn new(words: [u32; 4]) -> Self {
            Self(words)
        }

        #[inline(always)]
        pub(in super::super) fn splat(word: u32) -> Self {
            Self([word; 4])
        }

        #[inline(always)]
        pub(in super::super) fn words(self) -> [u32; 4] {
            self.0
        }

        #[inline(always)]
        pub(in super::super) fn add(self, other: Self) -> Self {
            Self(from_fn(|at| self.0[at].wrapping_add(other.0[at])))
        }

        #[inline(always)]
        pub(in super::super) fn sub(self, other: Self) -> Self {
            Self(from_fn(|at| self.0[at].wrapping_sub(other.0[at])))
        }

        #[inline(always)]
        pub(in super::super) fn xor(self, other: Self) -> Self {
            Self(from_fn(|at| self.0[at] ^ other.0[at]))
        }

        /// Each word rotated to the left.
        #[inline(always)]
        pub(in super::super) fn rotate<const BITS: u32>(self) -> Self {
            Self(self.0.map(|word| word.rotate_left(BITS)))
        }

        /// The four words of each place, for four vectors.
        #[inline(always)]
        pub(in super::super) fn transposed(rows: [Self; 4]) -> [Self; 4] {
            from_fn(|column| Self(from_fn(|row| rows[row].0[column])))
        }

        /// The eight halves of the words, each a word, the low half of a word first.
        #[inline(always)]
        pub(in super::super) fn halves(self) -> [Self; 2] {
            let half = |at: usize| self.0[at / 2] >> (16 * (at % 2)) & 0xffff;
            [Self(from_fn(half)), Self(from_fn(|at| half(at + 4)))]
        }
    }
}

//! The ways in which eight coordinates of an update can be written.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::ids::to_hex;

/// How numbers are laid out as bytes. The alternatives of one layout are told apart by the caller's
/// pattern, not by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layout {
    /// 32-bit floats, little-endian.
    F32Little,
    /// 32-bit floats, big-endian.
    F32Big,
    /// 16-bit floats, little-endian.
    F16Little,
    /// 16-bit floats, big-endian.
    F16Big,
    /// Integers of 32 bits, little-endian.
    U32Little,
    /// Integers of 32 bits, big-endian.
    U32Big,
    /// Integers around zero, little-endian.
    I32Little,
    /// Integers around zero, big-endian.
    I32Big,
    /// The low bits of integers, this many of each, lowest first.
    Packed(u8),
    /// LEB128.
    Varint,
    /// LEB128 of zigzag integers around zero.
    ZigzagVarint,
}

/// How bytes are written as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Encoding {
    /// As they are.
    Raw(Layout),
    /// Hex.
    Hex(Layout),
    /// Base64, either alphabet.
    Base64(Layout),
    /// Decimal integers.
    DecimalWords,
    /// Decimal integers around zero.
    DecimalCentred,
    /// Decimal fractions.
    DecimalValues,
}

/// Gives every encoding of a window: of integers of a client with this `weight`, of real values.
/// Either may be empty.
pub fn each(words: &[u32], values: &[f32], weight: u32, mut give: impl FnMut(Encoding, Vec<u8>)) {
    for (layout, bytes) in layouts(words, values, weight) {
        let hex = to_hex(&bytes);
        give(Encoding::Hex(layout), hex.to_ascii_uppercase().into_bytes());
        give(Encoding::Hex(layout), hex.into_bytes());
        for phase in 0..3 {
            for alphabet in [STANDARD, URL_SAFE] {
                give(Encoding::Base64(layout), base64(&bytes, phase, alphabet));
            }
        }
        give(Encoding::Raw(layout), bytes);
    }
    let centred = centre(words, weight);
    for separator in [",", ", ", " ", "\n", ";", "\t"] {
        let joined = |texts: Vec<String>| texts.join(separator).into_bytes();
        if !words.is_empty() {
            let texts = words.iter().map(|word| format!("{word}")).collect();
            give(Encoding::DecimalWords, joined(texts));
            let texts = centred.iter().map(|word| format!("{word}")).collect();
            give(Encoding::DecimalCentred, joined(texts));
        }
        if !values.is_empty() {
            let texts = values.iter().map(|value| format!("{value}")).collect();
            give(Encoding::DecimalValues, joined(texts));
            // What a program prints that has 64-bit floats only.
            let texts = values
                .iter()
                .map(|value| format!("{}", f64::from(*value)))
                .collect();
            give(Encoding::DecimalValues, joined(texts));
        }
    }
}

fn layouts(words: &[u32], values: &[f32], weight: u32) -> Vec<(Layout, Vec<u8>)> {
    let mut layouts = Vec::new();
    if !values.is_empty() {
        let halves: Vec<u16> = values.iter().map(|value| half(*value)).collect();
        layouts.push((Layout::F32Little, flat(values, |value| value.to_le_bytes())));
        layouts.push((Layout::F32Big, flat(values, |value| value.to_be_bytes())));
        layouts.push((Layout::F16Little, flat(&halves, |half| half.to_le_bytes())));
        layouts.push((Layout::F16Big, flat(&halves, |half| half.to_be_bytes())));
    }
    if !words.is_empty() {
        let centred = centre(words, weight);
        layouts.push((Layout::U32Little, flat(words, |word| word.to_le_bytes())));
        layouts.push((Layout::U32Big, flat(words, |word| word.to_be_bytes())));
        layouts.push((Layout::I32Little, flat(&centred, |word| word.to_le_bytes())));
        layouts.push((Layout::I32Big, flat(&centred, |word| word.to_be_bytes())));
        for bits in 9..32 {
            layouts.push((Layout::Packed(bits), pack(words, bits)));
        }
        layouts.push((
            Layout::Varint,
            words.iter().flat_map(|&word| varint(word)).collect(),
        ));
        let zigzag = |word: &i32| ((word << 1) ^ (word >> 31)) as u32;
        let bytes = centred
            .iter()
            .flat_map(|word| varint(zigzag(word)))
            .collect();
        layouts.push((Layout::ZigzagVarint, bytes));
    }
    layouts
}

fn flat<T: Copy, const N: usize>(items: &[T], bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    items.iter().flat_map(|&item| bytes(item)).collect()
}

/// Integers with the one that stands for zero taken off, at the default 65,535 levels.
fn centre(words: &[u32], weight: u32) -> Vec<i32> {
    let zero = i64::from(weight) * 65_535 / 2;
    words
        .iter()
        .map(|&word| (i64::from(word) - zero) as i32)
        .collect()
}

/// The low bits of each word, lowest first.
#[must_use]
pub fn pack(words: &[u32], bits: u8) -> Vec<u8> {
    let mut bytes = alloc::vec![0; (words.len() * usize::from(bits)).div_ceil(8)];
    for (place, word) in words.iter().enumerate() {
        for bit in 0..usize::from(bits) {
            let target = place * usize::from(bits) + bit;
            bytes[target / 8] |= ((word >> bit & 1) as u8) << (target % 8);
        }
    }
    bytes
}

/// LEB128.
#[must_use]
pub fn varint(mut word: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while word >= 0x80 {
        bytes.push(word as u8 | 0x80);
        word >>= 7;
    }
    bytes.push(word as u8);
    bytes
}

/// The nearest 16-bit float, ties to even.
#[must_use]
pub fn half(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    if magnitude >= 0x4780_0000 {
        return sign
            | if magnitude > 0x7f80_0000 {
                0x7e00
            } else {
                0x7c00
            };
    }
    // In normal numbers 13 bits of the mantissa go; in subnormal ones the more, the smaller.
    let (mantissa, shift) = if magnitude >= 0x3880_0000 {
        (magnitude - 0x3800_0000, 13)
    } else {
        let exponent = magnitude >> 23;
        if exponent < 102 {
            return sign;
        }
        (magnitude & 0x007f_ffff | 0x0080_0000, 126 - exponent)
    };
    let (kept, rest, tie) = (
        mantissa >> shift,
        mantissa & ((1 << shift) - 1),
        1u32 << (shift - 1),
    );
    let up = rest > tie || rest == tie && kept & 1 == 1;
    sign | (kept as u16 + u16::from(up))
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Base64 of the whole groups of three bytes when the first byte is at this place of its group.
fn base64(bytes: &[u8], phase: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let inner = bytes.get((3 - phase) % 3..).unwrap_or_default();
    inner
        .chunks_exact(3)
        .flat_map(|group| {
            let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
            [18, 12, 6, 0].map(|shift| alphabet[(bits >> shift & 63) as usize])
        })
        .collect()
}

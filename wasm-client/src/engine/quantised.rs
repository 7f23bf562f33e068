//! Frozen weights in eight or four bits.
//!
//! Group-wise and symmetric: each row is cut into groups of [`GROUP`] neighbouring columns, and a
//! value is `q·scale`, `q` a whole number and `scale` the group's largest magnitude over the largest
//! `q`. Groups instead of one scale per matrix or row keep a large value from coarsening all
//! others (Shen et al. 2020, *Q-BERT*, section 3.2); 32 values to a scale are the blocks of GGML's
//! `Q8_0` and `Q4_0`. The factors of LoRA are trained in f32 above such weights, and gradients pass
//! through the dequantised values (Dettmers et al. 2023, *QLoRA*, equation 5).
//!
//! Groups lie along the columns for three reasons. A row of an embedding table has scales of its
//! own, so a rare token's row does not suffer from its neighbours. In `x·W` and in `d_y·Wᵀ` a tile
//! of at most 32 columns meets one group at a time, so that a scale is read once for many products.
//! And one layout serves tables and linear layers.

use core::ops::Range;

use serde::{Deserialize, Serialize};

use super::EngineError;
use super::checks;

/// Columns that share a scale.
pub const GROUP: usize = 32;

/// How the weights of a frozen matrix are kept.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum WeightPrecision {
    /// As they are.
    #[default]
    F32,
    /// Eight bits and a scale per group: 1.125 bytes a value.
    Int8,
    /// Four bits and a scale per group: 0.625 bytes a value.
    Int4,
}

impl WeightPrecision {
    /// The integers of a quantised precision; none for f32.
    pub fn integers(self) -> Option<Integers> {
        match self {
            Self::F32 => None,
            Self::Int8 => Some(Integers::Int8),
            Self::Int4 => Some(Integers::Int4),
        }
    }
}

/// The whole numbers that stand for weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Integers {
    /// -127 to 127, one a byte.
    Int8,
    /// -7 to 7, two a byte.
    Int4,
}

impl Integers {
    /// The largest; the smallest is its negative.
    pub fn largest(self) -> f32 {
        match self {
            Self::Int8 => 127.0,
            Self::Int4 => 7.0,
        }
    }

    /// Bytes of so many neighbouring columns of a row.
    fn bytes(self, columns: usize) -> usize {
        match self {
            Self::Int8 => columns,
            Self::Int4 => columns.div_ceil(2),
        }
    }
}

/// A frozen matrix `[rows, columns]` in whole numbers, row-major, with a scale per group.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantisedMatrix {
    shape: [usize; 2],
    integers: Integers,
    /// Rows of whole bytes; of two columns in a byte the first has the lower half.
    bytes: Vec<u8>,
    /// `[rows, groups]`.
    scales: Vec<f32>,
}

impl QuantisedMatrix {
    /// The nearest matrix of such numbers. A group with a value that is no finite number yields
    /// none either, as it would in f32.
    ///
    /// # Errors
    /// [`EngineError::Shape`] if there are not `rows·columns` values.
    pub fn new(values: &[f32], shape: [usize; 2], integers: Integers) -> Result<Self, EngineError> {
        let [rows, columns] = shape;
        checks::length("matrix to be quantised", rows * columns, values.len())?;
        let mut matrix = Self {
            shape,
            integers,
            bytes: Vec::with_capacity(rows * integers.bytes(columns)),
            scales: Vec::with_capacity(rows * columns.div_ceil(GROUP)),
        };
        for row in values.chunks_exact(columns.max(1)) {
            row.chunks(GROUP).for_each(|group| matrix.push_group(group));
        }
        Ok(matrix)
    }

    fn push_group(&mut self, group: &[f32]) {
        let largest = if group.iter().all(|value| value.is_finite()) {
            group
                .iter()
                .fold(0.0, |top: f32, value| top.max(value.abs()))
        } else {
            f32::NAN
        };
        let scale = largest / self.integers.largest();
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        let limit = self.integers.largest();
        let nearest =
            |value: &f32| (value * inverse).round_ties_even().clamp(-limit, limit) as i8 as u8;
        match self.integers {
            Integers::Int8 => self.bytes.extend(group.iter().map(nearest)),
            Integers::Int4 => self.bytes.extend(group.chunks(2).map(|pair| {
                let high = pair.get(1).map_or(0, nearest);
                nearest(&pair[0]) & 15 | high << 4
            })),
        }
        self.scales.push(scale);
    }

    /// `[rows, columns]`.
    pub fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// Its whole numbers.
    pub fn integers(&self) -> Integers {
        self.integers
    }

    /// Bytes of numbers and scales.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len() + 4 * self.scales.len()
    }

    /// Groups of a row.
    pub fn groups(&self) -> usize {
        self.shape[1].div_ceil(GROUP)
    }

    /// The scale of a row's group.
    pub fn scale(&self, row: usize, group: usize) -> f32 {
        self.scales[row * self.groups() + group]
    }

    /// The whole number at a place.
    pub fn number(&self, row: usize, column: usize) -> i8 {
        let bytes = self.row(row);
        match self.integers {
            Integers::Int8 => bytes[column] as i8,
            Integers::Int4 => nibble(bytes[column / 2], column),
        }
    }

    /// Columns of a row, dequantised. The first one begins a group.
    pub fn dequantise(&self, row: usize, columns: Range<usize>, out: &mut [f32]) {
        let first_group = columns.start / GROUP;
        debug_assert!(columns.start.is_multiple_of(GROUP) && columns.len() == out.len());
        let scales = &self.scales[row * self.groups() + first_group..];
        let bytes = &self.row(row)[self.integers.bytes(columns.start)..];
        let groups = bytes.chunks(self.integers.bytes(GROUP));
        for ((out, bytes), scale) in out.chunks_mut(GROUP).zip(groups).zip(scales) {
            match self.integers {
                Integers::Int8 => out
                    .iter_mut()
                    .zip(bytes)
                    .for_each(|(out, byte)| *out = f32::from(*byte as i8) * scale),
                Integers::Int4 => out.chunks_mut(2).zip(bytes).for_each(|(pair, byte)| {
                    for (half, out) in pair.iter_mut().enumerate() {
                        *out = f32::from(nibble(*byte, half)) * scale;
                    }
                }),
            }
        }
    }

    /// All of it, dequantised: `[rows, columns]`.
    pub fn dequantised(&self) -> Vec<f32> {
        let [rows, columns] = self.shape;
        let mut values = vec![0.0; rows * columns];
        for (row, out) in values.chunks_exact_mut(columns.max(1)).enumerate() {
            self.dequantise(row, 0..columns, out);
        }
        values
    }

    fn row(&self, row: usize) -> &[u8] {
        let len = self.integers.bytes(self.shape[1]);
        &self.bytes[row * len..][..len]
    }
}

/// Half of a byte, with its sign: the lower one for an even column.
fn nibble(byte: u8, column: usize) -> i8 {
    let raised = if column.is_multiple_of(2) {
        byte << 4
    } else {
        byte
    };
    raised as i8 >> 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(len: usize) -> Vec<f32> {
        let mix = |i: usize| ((i * 104_729 + 17) * 48_271) % 65_537;
        (0..len).map(|i| mix(i) as f32 / 32_768.5 - 1.0).collect()
    }

    #[test]
    fn a_value_is_off_by_at_most_half_a_step_of_its_group() {
        for integers in [Integers::Int8, Integers::Int4] {
            for shape @ [rows, columns] in [[1, 1], [3, 31], [5, 32], [2, 97], [7, 64]] {
                let values = values(rows * columns);
                let matrix = QuantisedMatrix::new(&values, shape, integers).unwrap();
                let found = matrix.dequantised();
                for (at, (found, value)) in found.iter().zip(&values).enumerate() {
                    let (row, column) = (at / columns, at % columns);
                    let scale = matrix.scale(row, column / GROUP);
                    let number = f32::from(matrix.number(row, column));
                    assert!((found - value).abs() <= 0.5001 * scale, "{shape:?} {at}");
                    assert_eq!(*found, number * scale, "{shape:?} {at}");
                }
            }
        }
    }

    #[test]
    fn what_is_quantised_already_stays_as_it_is() {
        for integers in [Integers::Int8, Integers::Int4] {
            let once = QuantisedMatrix::new(&values(192), [3, 64], integers).unwrap();
            let twice = QuantisedMatrix::new(&once.dequantised(), [3, 64], integers).unwrap();
            assert_eq!(once.bytes, twice.bytes);
        }
    }

    #[test]
    fn a_part_of_a_row_is_that_of_the_whole() {
        let matrix = QuantisedMatrix::new(&values(200), [2, 100], Integers::Int4).unwrap();
        let mut part = [0.0; 36];
        matrix.dequantise(1, 64..100, &mut part);
        assert_eq!(part, matrix.dequantised()[164..200]);
    }

    #[test]
    fn zeros_stay_zeros_and_what_is_no_number_stays_none() {
        let mut values = vec![0.0; 64];
        values[40] = f32::INFINITY;
        let matrix = QuantisedMatrix::new(&values, [1, 64], Integers::Int8).unwrap();
        let found = matrix.dequantised();
        assert!(found[..32].iter().all(|value| *value == 0.0));
        assert!(found[32..].iter().all(|value| value.is_nan()));
        assert!(QuantisedMatrix::new(&values, [2, 31], Integers::Int8).is_err());
    }

    #[test]
    fn bytes_are_those_of_the_precision() {
        let of = |integers| QuantisedMatrix::new(&values(3200), [10, 320], integers).unwrap();
        assert_eq!(of(Integers::Int8).len_bytes(), 3600);
        assert_eq!(of(Integers::Int4).len_bytes(), 2000);
    }
}

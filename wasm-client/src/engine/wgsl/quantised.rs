//! Quantised matrices on the device: how they lie there, and the WGSL text that reads them.
//!
//! Numbers lie in blocks of 4 rows by 4 columns. A word of a block has four numbers of a column, one
//! to a byte, so that `unpack4x8snorm`, which every device has, turns it into four steps of `x·W`; the
//! four words together are four columns of each row, which is what `d_y·Wᵀ` wants. In four bits a word
//! has two columns, the first in the lower halves of the bytes; a number is read as the byte that it
//! is the upper half of. Blocks follow each other along a row. Scales lie `[groups, rows]` and take in
//! the 1/127 of the unpacking.

use core::fmt::Write as _;
use core::ops::Range;
use std::rc::Rc;

use super::super::EngineError;
use super::super::quantised::{GROUP, Integers, QuantisedMatrix};
use super::WgslKernels;
use super::memory::{GpuBuffer, Scales};

/// Blocks of four columns to a group of columns.
pub(super) const GROUP_BLOCKS: usize = GROUP / 4;

impl WgslKernels {
    pub(super) fn upload_values(
        &mut self,
        values: &[f32],
        shape: [usize; 2],
    ) -> Result<GpuBuffer, EngineError> {
        let buffer = self.create_matrix(None, shape)?;
        for part in buffer.parts() {
            let [first, rows] = [part.first, part.matrix.rows].map(|rows| rows * shape[1]);
            let values = bytemuck::cast_slice(&values[first..first + rows]);
            part.matrix.write(&self.device, values);
        }
        // Lets go of the copies that wait for a submit.
        self.device.queue.submit([]);
        Ok(buffer)
    }

    pub(super) fn upload_matrix(
        &mut self,
        matrix: &QuantisedMatrix,
    ) -> Result<GpuBuffer, EngineError> {
        let buffer = self.create_matrix(Some(matrix.integers()), matrix.shape())?;
        for part in buffer.parts() {
            let rows = part.first..part.first + part.matrix.rows;
            let words = blocks(matrix, rows.clone());
            part.matrix
                .write(&self.device, bytemuck::cast_slice(&words));
            if let Some(on_device) = &part.matrix.scales {
                let values = scales(matrix, rows);
                on_device
                    .values
                    .write(&self.device, bytemuck::cast_slice(&values));
            }
        }
        self.device.queue.submit([]);
        Ok(buffer)
    }

    /// A frozen matrix without values in one buffer, its scales in another.
    pub(super) fn create_whole(
        &mut self,
        integers: Option<Integers>,
        shape: [usize; 2],
    ) -> Result<GpuBuffer, EngineError> {
        let mut create = |what, len| self.memory.create_frozen(&self.device, what, len);
        let Some(integers) = integers else {
            let buffer = create("frozen", shape[0] * shape[1])?;
            return Ok(GpuBuffer {
                rows: shape[0],
                ..buffer
            });
        };
        let [words, scales] = lengths(integers, shape);
        let buffer = create("quantised", words)?;
        let values = create("scales", scales)?;
        let scales = Scales {
            integers,
            shape,
            values,
        };
        Ok(GpuBuffer {
            // No kernel for f32 values may take it for some.
            len: 0,
            rows: shape[0],
            scales: Some(Rc::new(scales)),
            ..buffer
        })
    }
}

/// Words of the numbers, and how many scales.
pub(super) fn lengths(integers: Integers, [rows, columns]: [usize; 2]) -> [usize; 2] {
    let blocks = rows.div_ceil(4) * columns.div_ceil(4);
    [
        blocks * words_per_block(integers) as usize,
        columns.div_ceil(GROUP) * rows.next_multiple_of(4),
    ]
}

/// The numbers of these rows in blocks; rows and columns past the end are zero.
fn blocks(matrix: &QuantisedMatrix, rows: Range<usize>) -> Vec<u32> {
    let columns = matrix.shape()[1];
    let integers = matrix.integers();
    let number = |row: usize, column: usize| {
        if row < rows.end && column < columns {
            matrix.number(row, column)
        } else {
            0
        }
    };
    let mut words = Vec::with_capacity(lengths(integers, [rows.len(), columns])[0]);
    for row in rows.clone().step_by(4) {
        for column in (0..columns).step_by(4) {
            let lanes = |byte: &dyn Fn(usize) -> u8| {
                u32::from_le_bytes([byte(row), byte(row + 1), byte(row + 2), byte(row + 3)])
            };
            match integers {
                Integers::Int8 => words.extend(
                    (column..column + 4).map(|column| lanes(&|row| number(row, column) as u8)),
                ),
                Integers::Int4 => words.extend([column, column + 2].map(|column| {
                    lanes(&|row| {
                        number(row, column) as u8 & 15 | (number(row, column + 1) as u8) << 4
                    })
                })),
            }
        }
    }
    words
}

/// `[groups, rows]` as bits of f32, rows in whole blocks.
fn scales(matrix: &QuantisedMatrix, rows: Range<usize>) -> Vec<u32> {
    let unpacked = match matrix.integers() {
        Integers::Int8 => 127.0,
        Integers::Int4 => 127.0 / 16.0,
    };
    let scale = |group, row| {
        if row < rows.end {
            matrix.scale(row, group) * unpacked
        } else {
            0.0
        }
    };
    (0..matrix.groups())
        .flat_map(|group| {
            let last = rows.start + rows.len().next_multiple_of(4);
            (rows.start..last).map(move |row| scale(group, row).to_bits())
        })
        .collect()
}

/// Words of a block of 4 rows by 4 columns.
pub(super) fn words_per_block(integers: Integers) -> u32 {
    match integers {
        Integers::Int8 => 4,
        Integers::Int4 => 2,
    }
}

/// The type of a block.
pub(super) fn block_type(integers: Integers) -> &'static str {
    match integers {
        Integers::Int8 => "vec4<u32>",
        Integers::Int4 => "vec2<u32>",
    }
}

/// Text of the four columns of the block named `block`, each a vector of four rows, unscaled.
pub(super) fn unpacked_columns(integers: Integers, block: &str) -> [String; 4] {
    match integers {
        Integers::Int8 => {
            ["x", "y", "z", "w"].map(|lane| format!("unpack4x8snorm({block}.{lane})"))
        }
        // Lower halves are raised to upper ones; what is below them is cleared.
        Integers::Int4 => {
            [("x", " * 16u"), ("x", ""), ("y", " * 16u"), ("y", "")].map(|(word, raised)| {
                format!("unpack4x8snorm(({block}.{word}{raised}) & 0xf0f0f0f0u)")
            })
        }
    }
}

/// Text of `fn weight(row, column) -> f32`: one value of a matrix of `rows` by `columns`, bound as
/// words `w` and `scales`.
pub(super) fn weight_function(integers: Integers, rows: &str, columns: &str) -> String {
    let words = words_per_block(integers);
    let word = match integers {
        Integers::Int8 => "let word = w[at + column % 4u];",
        Integers::Int4 => {
            "let pair = w[at + column % 4u / 2u];
  let word = select(pair, pair * 16u, column % 2u == 0u) & 0xf0f0f0f0u;"
        }
    };
    let mut text = String::new();
    let _ = writeln!(
        text,
        "fn weight(row: u32, column: u32) -> f32 {{
  let at = {words}u * (row / 4u * (({columns} + 3u) / 4u) + column / 4u);
  {word}
  let scale = scales[column / {GROUP}u * (({rows} + 3u) / 4u * 4u) + row];
  return unpack4x8snorm(word)[row % 4u] * scale;
}}"
    );
    text
}

/// Text of the word table of an embedding, bound as blocks `word` and `word_scales`.
pub(super) fn table_rows(integers: Integers) -> String {
    let block = block_type(integers);
    let columns = unpacked_columns(integers, "q").map(|column| format!("{column}[row % 4u]"));
    format!(
        "@group(0) @binding(2) var<storage, read> word: array<{block}>;
@group(0) @binding(6) var<storage, read> word_scales: array<f32>;

fn word_vector(row: u32, column: u32) -> vec4<f32> {{
  let q = word[row / 4u * call.dim4 + column];
  let scale = word_scales[column / {GROUP_BLOCKS}u * call.word_rows + row];
  return scale * vec4<f32>({});
}}

",
        columns.join(", ")
    )
}

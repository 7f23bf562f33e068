//! Frozen matrices that are larger than the largest buffer that a kernel may bind: held in several
//! buffers by their rows, and used by one call for each.
//!
//! That is done where a matrix can be so large: for the word table, and for the weights of linear
//! layers, a language head among them. Every other kernel refuses such a matrix.

use std::rc::Rc;

use super::super::quantised::Integers;
use super::super::{EngineError, LinearLayer, Weight};
use super::WgslKernels;
use super::linear::{LowRank, Way};
use super::memory::GpuBuffer;
use super::quantised::lengths;

/// Rows of which a part has a multiple where it can: whole tiles of every width.
const UNIT: usize = 32;

/// A matrix in several buffers.
#[derive(Debug)]
pub(super) struct Parts {
    /// `[rows, columns]` of the whole.
    pub(super) shape: [usize; 2],
    parts: Vec<Part>,
}

/// Some of its rows.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// The first of them.
    pub(super) first: usize,
    /// A matrix by itself.
    pub(super) matrix: GpuBuffer,
}

/// Which columns of wider matrices a product reads and writes.
#[derive(Clone, Copy)]
pub(super) struct Window {
    /// Columns of `x`, and the first that is read.
    pub(super) x: [usize; 2],
    /// Columns of `y`, and the first that is written.
    pub(super) y: [usize; 2],
    /// Whether the product is added to what is there, beside what its layer says.
    pub(super) adds: bool,
}

impl Window {
    /// All columns of matrices that are no wider than the product.
    pub(super) fn whole(x_columns: usize, y_columns: usize) -> Self {
        Self {
            x: [x_columns, 0],
            y: [y_columns, 0],
            adds: false,
        }
    }

    /// True if rows and what is read and written of them begin at whole vectors of four.
    pub(super) fn is_in_vectors(self) -> bool {
        let values = [self.x, self.y].concat();
        values.iter().all(|values| values.is_multiple_of(4))
    }
}

impl GpuBuffer {
    /// Its parts in order; itself where it is whole.
    pub(super) fn parts(&self) -> Vec<Part> {
        match &self.split {
            Some(split) => split.parts.clone(),
            None => vec![Part {
                first: 0,
                matrix: self.clone(),
            }],
        }
    }
}

impl WgslKernels {
    /// A frozen matrix without values, in as few buffers as hold it.
    pub(super) fn create_matrix(
        &mut self,
        integers: Option<Integers>,
        shape @ [rows, columns]: [usize; 2],
    ) -> Result<GpuBuffer, EngineError> {
        self.device.check()?;
        let limit = self.device.largest_matrix;
        let Some(most) = rows_of_part(integers, shape, limit) else {
            return self.create_whole(integers, shape);
        };
        let mut parts = Vec::with_capacity(rows.div_ceil(most));
        for first in (0..rows).step_by(most) {
            let shape = [most.min(rows - first), columns];
            let matrix = self.create_whole(integers, shape)?;
            parts.push(Part { first, matrix });
        }
        let whole = parts[0].matrix.clone();
        let bytes = parts.iter().map(|part| part.matrix.bytes).sum();
        Ok(GpuBuffer {
            // No kernel may take its first part for all of it.
            len: 0,
            rows,
            bytes,
            split: Some(Rc::new(Parts { shape, parts })),
            ..whole
        })
    }

    /// The product with a split matrix, part by part; `buffers` are x and y.
    pub(super) fn split_product(
        &mut self,
        buffers: [&GpuBuffer; 2],
        layer: &LinearLayer<GpuBuffer>,
        parts: &[Part],
        rows: usize,
        way: Way,
        low_rank: Option<LowRank<'_>>,
    ) -> Result<(), EngineError> {
        let [input, output] = layer.shape;
        for Part { first, matrix } in parts {
            let is_first = *first == 0;
            let of_part = LinearLayer {
                weight: Weight::Frozen(matrix.clone()),
                bias: layer.bias.clone().filter(|_| is_first),
                trained_bias: None,
                lora: None,
                shape: [matrix.rows, output],
            };
            match way {
                // Each part takes some of the input's columns, and adds to all of the output's.
                Way::Forward => {
                    let window = Window {
                        x: [input, *first],
                        y: [output, 0],
                        adds: !is_first,
                    };
                    let low_rank = low_rank.clone().filter(|_| is_first);
                    self.whole_product(buffers, &of_part, rows, way, low_rank, Some(window))?;
                }
                Way::Backward { .. } => {
                    let window = Window {
                        x: [output, 0],
                        y: [input, *first],
                        adds: false,
                    };
                    let low_rank = low_rank.clone().map(|part| part.after_columns(*first));
                    self.whole_product(buffers, &of_part, rows, way, low_rank, Some(window))?;
                }
            }
        }
        Ok(())
    }
}

/// Rows that fit one buffer, where not all of them do.
fn rows_of_part(
    integers: Option<Integers>,
    [rows, columns]: [usize; 2],
    limit: u64,
) -> Option<usize> {
    let bytes = |rows: usize| {
        let values = match integers {
            None => rows * columns,
            Some(integers) => lengths(integers, [rows, columns]).into_iter().max()?,
        };
        Some(4 * values as u64)
    };
    if bytes(rows)? <= limit {
        return None;
    }
    // In fours, as numbers lie in blocks and vectors are read. A part of none is refused by its size.
    let fitting = 4 * (limit / bytes(4)?.max(1)) as usize;
    let whole_units = fitting - fitting % UNIT;
    let most = if whole_units > 0 {
        whole_units
    } else {
        fitting
    };
    (most > 0).then_some(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_fit_and_are_of_whole_tiles_where_they_can() {
        for integers in [None, Some(Integers::Int8), Some(Integers::Int4)] {
            for rows in (1..500).step_by(7) {
                for limit in (1_000..100_000).step_by(1_777) {
                    let Some(most) = rows_of_part(integers, [rows, 36], limit) else {
                        continue;
                    };
                    assert!(most.is_multiple_of(4) && most > 0 && most < rows);
                    assert!(most < UNIT || most.is_multiple_of(UNIT));
                    assert_eq!(rows_of_part(integers, [most, 36], limit), None);
                }
            }
        }
    }
}

//! A matrix in eight bits, times its scales.

use super::{FileTensor, WeightsError};
use crate::engine::quantised::GROUP;

/// Multiplies the numbers of a matrix by their scales.
pub(super) fn scale(matrix: &mut FileTensor, scales: &FileTensor) -> Result<(), WeightsError> {
    let refused = || WeightsError::Scales {
        name: matrix.name.clone(),
        shape: matrix.shape.clone(),
        found: scales.shape.clone(),
    };
    let &[rows, columns] = matrix.shape.as_slice() else {
        return Err(refused());
    };
    // How many rows and columns share a scale.
    let [tall, wide] = if scales.shape == [rows, columns.div_ceil(GROUP)] {
        [1, GROUP]
    } else if scales.shape == [rows.div_ceil(GROUP), columns] {
        [GROUP, 1]
    } else {
        return Err(refused());
    };
    let of_row = columns.div_ceil(wide);
    if scales.values.len() != of_row * rows.div_ceil(tall) {
        return Err(refused());
    }
    for (row, values) in matrix.values.chunks_exact_mut(columns.max(1)).enumerate() {
        let scales = &scales.values[row / tall * of_row..][..of_row];
        for (values, scale) in values.chunks_mut(wide).zip(scales) {
            values.iter_mut().for_each(|value| *value *= scale);
        }
    }
    Ok(())
}

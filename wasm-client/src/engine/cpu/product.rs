//! Matrix products by the crate `gemm`: one thread in a tab, all cores natively.

use gemm::Parallelism;

use crate::engine::EngineError;

/// A slice read as a matrix. Every element lies within the slice.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    shape: [usize; 2],
    strides: [usize; 2],
}

/// A view of `values` as a matrix.
pub(super) fn matrix(
    values: &[f32],
    shape: [usize; 2],
    strides: [usize; 2],
) -> Result<Matrix<'_>, EngineError> {
    let last = |axis: usize| (shape[axis] - 1) * strides[axis];
    if shape.contains(&0) || last(0) + last(1) < values.len() {
        return Ok(Matrix {
            values,
            shape,
            strides,
        });
    }
    Err(EngineError::Shape {
        what: "operand of a matrix product".to_owned(),
        expected: shape[0] * shape[1],
        found: values.len(),
    })
}

/// A row-major matrix.
pub(super) fn row_major(values: &[f32], shape: [usize; 2]) -> Result<Matrix<'_>, EngineError> {
    matrix(values, shape, [shape[1], 1])
}

/// The transpose of a row-major matrix of shape `[columns, rows]`.
pub(super) fn transposed(
    values: &[f32],
    [rows, columns]: [usize; 2],
) -> Result<Matrix<'_>, EngineError> {
    matrix(values, [columns, rows], [1, columns])
}

/// What becomes of the product.
#[derive(Clone, Copy, Default)]
pub(super) struct Store<'a> {
    /// Factor of the product; none is 1.
    pub(super) scale: Option<f32>,
    /// Add to the output instead of writing it.
    pub(super) add: bool,
    /// Added to each row.
    pub(super) bias: Option<&'a [f32]>,
}

/// `out (+)= scale·a·b + bias`, row-major.
pub(super) fn multiply(
    out: &mut [f32],
    a: Matrix<'_>,
    b: Matrix<'_>,
    store: Store<'_>,
) -> Result<(), EngineError> {
    let width = b.shape[1];
    multiply_columns(out, [0, width], a, b, store)
}

/// [`multiply`] into the columns of `out` from `first` on, of `width` in all.
pub(super) fn multiply_columns(
    out: &mut [f32],
    [first, width]: [usize; 2],
    a: Matrix<'_>,
    b: Matrix<'_>,
    store: Store<'_>,
) -> Result<(), EngineError> {
    let ([rows, inner], [depth, columns]) = (a.shape, b.shape);
    let biases = store.bias.map_or(columns, <[f32]>::len);
    let fits = first + columns <= width && out.len() == rows * width;
    if inner != depth || biases != columns || !fits {
        return Err(EngineError::Shape {
            what: format!("matrix product of {rows} by {inner} and {depth} by {columns}"),
            expected: rows * width,
            found: out.len(),
        });
    }
    if out.is_empty() || columns == 0 {
        return Ok(());
    }
    if let Some(bias) = store.bias {
        add_bias(out, [first, width], bias, store.add);
    }
    let stride = |matrix: &Matrix<'_>, axis: usize| matrix.strides[axis] as isize;
    // SAFETY: `matrix` has checked that every element of `a` and of `b` lies within its slice, and
    // the lines above that `out` has `rows` rows of `width` values, `columns` of them from `first`
    // on, which nothing else refers to.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            depth,
            out[first..].as_mut_ptr(),
            1,
            width as isize,
            store.add || store.bias.is_some(),
            a.values.as_ptr(),
            stride(&a, 1),
            stride(&a, 0),
            b.values.as_ptr(),
            stride(&b, 1),
            stride(&b, 0),
            1.0,
            store.scale.unwrap_or(1.0),
            false,
            false,
            false,
            PARALLELISM,
        );
    }
    Ok(())
}

fn add_bias(out: &mut [f32], [first, width]: [usize; 2], bias: &[f32], add: bool) {
    for row in out.chunks_exact_mut(width) {
        let row = &mut row[first..][..bias.len()];
        if add {
            row.iter_mut().zip(bias).for_each(|(y, bias)| *y += bias);
        } else {
            row.copy_from_slice(bias);
        }
    }
}

#[cfg(target_arch = "wasm32")]
const PARALLELISM: Parallelism = Parallelism::None;
/// All of rayon's threads, for products that are worth it.
#[cfg(not(target_arch = "wasm32"))]
const PARALLELISM: Parallelism = Parallelism::Rayon(0);

#[cfg(test)]
mod tests {
    use super::{Store, multiply, row_major, transposed};
    use crate::engine::EngineError;

    fn values(seed: usize, len: usize) -> Vec<f32> {
        let mix = |i: usize| ((seed * 7919 + i * 104_729 + 17) * 48_271) % 65_537;
        (0..len).map(|i| mix(i) as f32 / 32_768.5 - 1.0).collect()
    }

    fn flipped(values: &[f32], [rows, columns]: [usize; 2]) -> Vec<f32> {
        (0..rows * columns)
            .map(|at| values[(at % rows) * columns + at / rows])
            .collect()
    }

    fn expected(
        [rows, inner, columns]: [usize; 3],
        [a, b, before]: [&[f32]; 3],
        store: Store<'_>,
    ) -> Vec<f64> {
        let scale = f64::from(store.scale.unwrap_or(1.0));
        (0..rows * columns)
            .map(|at| {
                let (i, j) = (at / columns, at % columns);
                let sum: f64 = (0..inner)
                    .map(|k| f64::from(a[i * inner + k]) * f64::from(b[k * columns + j]))
                    .sum();
                let kept = if store.add { before[at] } else { 0.0 };
                let bias = store.bias.map_or(0.0, |bias| bias[j]);
                scale * sum + f64::from(kept) + f64::from(bias)
            })
            .collect()
    }

    #[test]
    fn every_size_order_and_store_gives_the_plain_product() {
        let sizes = [
            [1, 1, 1],
            [1, 384, 5],
            [7, 8, 5],
            [50, 32, 50],
            [13, 700, 77],
            [65, 33, 130],
        ];
        for size @ [rows, inner, columns] in sizes {
            let (a, b) = (values(1, rows * inner), values(2, inner * columns));
            let (before, bias) = (values(3, rows * columns), values(4, columns));
            let (a_flipped, b_flipped) =
                (flipped(&a, [rows, inner]), flipped(&b, [inner, columns]));
            let lefts = [
                row_major(&a, [rows, inner]).unwrap(),
                transposed(&a_flipped, [inner, rows]).unwrap(),
            ];
            let rights = [
                row_major(&b, [inner, columns]).unwrap(),
                transposed(&b_flipped, [columns, inner]).unwrap(),
            ];
            for (add, scale, bias) in [
                (false, None, None),
                (false, Some(0.5), Some(&bias[..])),
                (true, Some(-2.0), None),
                (true, None, Some(&bias[..])),
            ] {
                let store = Store { scale, add, bias };
                let expected = expected(size, [&a, &b, &before], store);
                for (left, right) in lefts
                    .iter()
                    .flat_map(|left| rights.map(|right| (*left, right)))
                {
                    let mut out = before.clone();
                    multiply(&mut out, left, right, store).unwrap();
                    for (found, expected) in out.iter().zip(&expected) {
                        let error = (f64::from(*found) - expected).abs();
                        assert!(error < 1e-4, "{size:?}: {found} is not {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn operands_that_do_not_fit_are_refused() {
        let values = values(1, 64);
        let a = row_major(&values, [4, 8]).unwrap();
        let mut out = [0.0; 16];
        for (shape, len, fits) in [
            ([8, 4], 16, true),
            ([7, 4], 16, false),
            ([8, 5], 16, false),
            ([8, 4], 15, false),
        ] {
            let b = row_major(&values, shape).unwrap();
            let ended = multiply(&mut out[..len], a, b, Store::default());
            assert_eq!(ended.is_ok(), fits, "{shape:?} into {len}");
            assert!(fits || matches!(ended, Err(EngineError::Shape { .. })));
        }
        assert!(row_major(&values, [9, 8]).is_err());
    }
}

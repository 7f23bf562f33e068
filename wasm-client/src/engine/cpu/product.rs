//! Matrix products by `rten-gemm`.

use rten_gemm::{BiasVector, GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_tensor::prelude::*;
use rten_tensor::{Matrix, NdTensorView};

use crate::engine::EngineError;

/// A view of `values` as a matrix.
pub(super) fn matrix(
    values: &[f32],
    shape: [usize; 2],
    strides: [usize; 2],
) -> Result<Matrix<'_>, EngineError> {
    NdTensorView::from_slice_with_strides(shape, values, strides).map_err(|_| EngineError::Shape {
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

/// The right-hand side.
pub(super) enum Right<'a> {
    Plain(Matrix<'a>),
    Packed(&'a PackedBMatrix<f32>),
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

/// The products of this machine.
pub(super) struct Products {
    gemm: GemmExecutor,
}

impl Products {
    pub(super) fn new() -> Self {
        Self {
            gemm: GemmExecutor::new(),
        }
    }

    /// The kernel's name.
    pub(super) fn name(&self) -> &str {
        self.gemm.kernel_name()
    }

    pub(super) fn pack(&self, right: Matrix<'_>) -> PackedBMatrix<f32> {
        self.gemm.prepack_b(right)
    }

    /// `out (+)= scale·a·b + bias`, row-major.
    pub(super) fn multiply(
        &self,
        out: &mut [f32],
        a: Matrix<'_>,
        b: Right<'_>,
        store: Store<'_>,
    ) -> Result<(), EngineError> {
        let b = match b {
            Right::Plain(matrix) => GemmInputB::Unpacked(matrix),
            Right::Packed(packed) => GemmInputB::Packed(packed),
        };
        let options = GemmOptions {
            alpha: store.scale.unwrap_or(1.0),
            beta: if store.add { 1.0 } else { 0.0 },
            bias: store.bias.map(BiasVector::Row),
            a_quant: None,
            b_quant: None,
        };
        let found = out.len();
        self.gemm
            .gemm(out, GemmInputA::Unpacked(a), b, options)
            .map_err(|error| EngineError::Shape {
                what: format!("matrix product ({error})"),
                expected: a.len(),
                found,
            })
    }
}

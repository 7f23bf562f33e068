//! Products with a quantised matrix: a panel of it is dequantised at a time, and `gemm` multiplies
//! by that. A panel is used by all rows while it is in cache, so that dequantising costs little
//! beside the product.

use core::cell::RefCell;

use super::buffer::Meter;
use super::product::{Matrix, Store, multiply_columns, row_major, transposed};
use crate::engine::EngineError;
use crate::engine::quantised::{GROUP, QuantisedMatrix};

/// Most values of a panel, about a mebibyte; a panel is at least one group wide.
const PANEL: usize = 1 << 18;

/// Which side of `W` meets `x`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// `x·W`.
    Plain,
    /// `x·Wᵀ`.
    Transposed,
}

/// Room for a panel, kept from product to product.
#[derive(Default)]
pub(super) struct Panel(RefCell<Vec<f32>>);

impl Panel {
    /// `out (+)= x·W + bias`, or by `Wᵀ`.
    pub(super) fn multiply(
        &self,
        out: &mut [f32],
        x: Matrix<'_>,
        weights: &QuantisedMatrix,
        side: Side,
        store: Store<'_>,
        meter: &Meter,
    ) -> Result<(), EngineError> {
        let [rows, columns] = weights.shape();
        let (inner, width) = match side {
            Side::Plain => (rows, columns),
            Side::Transposed => (columns, rows),
        };
        let step =
            (PANEL / inner.max(1) / GROUP * GROUP).clamp(GROUP, width.next_multiple_of(GROUP));
        let mut panel = self.0.borrow_mut();
        if panel.len() < step * inner {
            meter.add(size_of::<f32>() * (step * inner - panel.len()));
            panel.resize(step * inner, 0.0);
        }
        for first in (0..width).step_by(step) {
            let last = width.min(first + step);
            let bias = store.bias.and_then(|bias| bias.get(first..last));
            let store = Store { bias, ..store };
            let values = &mut panel[..inner * (last - first)];
            let part = match side {
                Side::Plain => {
                    for (row, out) in values.chunks_exact_mut(last - first).enumerate() {
                        weights.dequantise(row, first..last, out);
                    }
                    row_major(values, [inner, last - first])?
                }
                Side::Transposed => {
                    for (row, out) in (first..last).zip(values.chunks_exact_mut(inner)) {
                        weights.dequantise(row, 0..columns, out);
                    }
                    transposed(values, [last - first, inner])?
                }
            };
            multiply_columns(out, [first, width], x, part, store)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::product::multiply;
    use super::*;
    use crate::engine::quantised::Integers;

    fn values(seed: usize, len: usize) -> Vec<f32> {
        let mix = |i: usize| ((seed * 7919 + i * 104_729 + 17) * 48_271) % 65_537;
        (0..len).map(|i| mix(i) as f32 / 32_768.5 - 1.0).collect()
    }

    #[test]
    fn panels_of_any_number_give_the_product_of_the_dequantised_matrix() {
        let (panel, meter) = (Panel::default(), Meter::default());
        let shapes = [[1, 1], [7, 33], [64, 96], [1031, 401], [401, 1031]];
        for (integers, shape) in [Integers::Int8, Integers::Int4]
            .into_iter()
            .flat_map(|integers| shapes.map(|shape| (integers, shape)))
        {
            let [inputs, outputs] = shape;
            let matrix =
                QuantisedMatrix::new(&values(1, inputs * outputs), shape, integers).unwrap();
            let whole = matrix.dequantised();
            for (side, inner, width) in [
                (Side::Plain, inputs, outputs),
                (Side::Transposed, outputs, inputs),
            ] {
                let rows = 5;
                let (x, bias) = (values(2, rows * inner), values(3, width));
                let x = row_major(&x, [rows, inner]).unwrap();
                let weights = match side {
                    Side::Plain => row_major(&whole, shape).unwrap(),
                    Side::Transposed => transposed(&whole, shape).unwrap(),
                };
                for add in [false, true] {
                    let store = Store {
                        add,
                        bias: Some(&bias),
                        scale: None,
                    };
                    let mut found = values(4, rows * width);
                    let mut expected = found.clone();
                    panel
                        .multiply(&mut found, x, &matrix, side, store, &meter)
                        .unwrap();
                    multiply(&mut expected, x, weights, store).unwrap();
                    for (found, expected) in found.iter().zip(&expected) {
                        assert!((found - expected).abs() < 1e-3, "{integers:?} {shape:?}");
                    }
                }
            }
        }
    }
}

//! Linear layers: products, low-rank parts, biases, and their gradients.

use super::super::super::kernels::{
    Kernels, LinearCall, LinearInputGradient, LoraGradient, WeightGradient,
};
use super::super::super::{LinearLayer, LoraFactors, Parameter, Weight};
use super::*;

struct Case {
    rows: usize,
    shape: [usize; 2],
    rank: usize,
    trained: bool,
}

/// Flat order: A, B, weight, bias.
struct Layer {
    layer: LinearLayer<GpuBuffer>,
    flat: Vec<f64>,
    weight: Vec<f64>,
    bias: Vec<f64>,
    a: Parameter,
    b: Parameter,
    trained: [Parameter; 2],
}

const SCALE: f32 = 1.5;

fn parameter(start: usize, shape: [usize; 2]) -> Parameter {
    Parameter {
        range: start..start + shape[0] * shape[1],
        shape,
    }
}

impl Layer {
    fn new(kernels: &mut WgslKernels, case: &Case, values: &mut Values) -> Self {
        let [k, n] = case.shape;
        let rank = case.rank;
        let a = parameter(1, [k, rank]);
        let b = parameter(a.range.end, [rank, n]);
        let weight_at = parameter(b.range.end, case.shape);
        let bias_at = parameter(weight_at.range.end, [1, n]);
        let flat = values.take(bias_at.range.end);
        kernels.load_adapter(&flat).unwrap();
        let (weight, bias) = if case.trained {
            (
                flat[weight_at.range.clone()].to_vec(),
                flat[bias_at.range.clone()].to_vec(),
            )
        } else {
            (values.take(k * n), values.take(n))
        };
        let frozen = (
            kernels.upload(&weight, [k, n]).unwrap(),
            kernels.upload(&bias, [1, n]).unwrap(),
        );
        let of = |frozen, at: &Parameter| {
            if case.trained {
                Weight::Trained(at.clone())
            } else {
                Weight::Frozen(frozen)
            }
        };
        let lora = (rank > 0).then(|| LoraFactors {
            a: a.clone(),
            b: b.clone(),
            scale: SCALE,
        });
        Self {
            layer: LinearLayer {
                weight: of(frozen.0, &weight_at),
                bias: Some(of(frozen.1, &bias_at)),
                lora,
                shape: case.shape,
            },
            flat: wide(&flat),
            weight: wide(&weight),
            bias: wide(&bias),
            a,
            b,
            trained: [weight_at, bias_at],
        }
    }

    /// W + scale·A·B.
    fn full(&self) -> Vec<f64> {
        let ([k, rank], n) = (self.a.shape, self.b.shape[1]);
        let (a, b) = (
            &self.flat[self.a.range.clone()],
            &self.flat[self.b.range.clone()],
        );
        let delta = matmul(a, b, [k, rank, n]);
        self.weight
            .iter()
            .zip(delta)
            .map(|(w, d)| w + f64::from(SCALE) * d)
            .collect()
    }
}

fn check(kernels: &mut WgslKernels, case: &Case) {
    let Case {
        rows,
        shape: [k, n],
        rank,
        ..
    } = *case;
    let what = format!("{rows} x {k} x {n}, rank {rank}");
    let mut values = Values(rows as u32 + n as u32);
    let layer = Layer::new(kernels, case, &mut values);
    let (x, d_y, before) = (
        values.take(rows * k),
        values.take(rows * n),
        values.take(rows * k),
    );
    let (x_at, d_y_at) = (put(kernels, &x, rows), put(kernels, &d_y, rows));
    let (x, d_y) = (wide(&x), wide(&d_y));
    let y_at = scratch(kernels, rows, n);
    let low = (rank > 0).then(|| scratch(kernels, rows, rank));
    let d_low = (rank > 0).then(|| scratch(kernels, rows, rank));

    let call = LinearCall {
        x: &x_at,
        layer: &layer.layer,
        low_rank: low.as_ref(),
        y: &y_at,
        rows,
    };
    kernels.linear(call).unwrap();
    let mut expected = matmul(&x, &layer.full(), [rows, k, n]);
    expected
        .iter_mut()
        .enumerate()
        .for_each(|(i, y)| *y += layer.bias[i % n]);
    assert_near(&get(kernels, &y_at, rows * n), &expected, &what);

    if let (Some(low), Some(d_low), Some(lora)) = (&low, &d_low, &layer.layer.lora) {
        let (x, d_y) = (&x_at, &d_y_at);
        let call = LoraGradient {
            x,
            d_y,
            lora,
            low_rank: low,
            d_low_rank: d_low,
            rows,
        };
        kernels.lora_gradient(call).unwrap();
    }
    let [weight, bias] = &layer.trained;
    let (weight, bias, shape) = (Some(weight), Some(bias), [k, n]);
    let call = WeightGradient {
        x: &x_at,
        d_y: &d_y_at,
        weight,
        bias,
        shape,
        rows,
    };
    kernels.weight_gradient(call).unwrap();
    let found = gradient(kernels);
    let (a, b) = (
        &layer.flat[layer.a.range.clone()],
        &layer.flat[layer.b.range.clone()],
    );
    let d_w = matmul(&transpose(&x, [rows, k]), &d_y, [k, rows, n]);
    let scaled: Vec<_> = d_w.iter().map(|value| value * f64::from(SCALE)).collect();
    let d_a = matmul(&scaled, &transpose(b, [rank, n]), [k, n, rank]);
    let d_b = matmul(&transpose(a, [k, rank]), &scaled, [rank, k, n]);
    let d_bias = matmul(&vec![1.0; rows], &d_y, [1, rows, n]);
    assert_near(&found[layer.a.range.clone()], &d_a, &format!("dA {what}"));
    assert_near(&found[layer.b.range.clone()], &d_b, &format!("dB {what}"));
    assert_near(
        &found[layer.trained[0].range.clone()],
        &d_w,
        &format!("dW {what}"),
    );
    assert_near(
        &found[layer.trained[1].range.clone()],
        &d_bias,
        &format!("db {what}"),
    );

    let d_x = matmul(&d_y, &transpose(&layer.full(), [k, n]), [rows, n, k]);
    for add in [false, true] {
        let d_x_at = if add {
            put(kernels, &before, rows)
        } else {
            scratch(kernels, rows, k)
        };
        kernels
            .linear_input_gradient(LinearInputGradient {
                d_y: &d_y_at,
                layer: &layer.layer,
                d_low_rank: d_low.as_ref(),
                d_x: &d_x_at,
                add,
                rows,
            })
            .unwrap();
        let share = f64::from(u8::from(add));
        let expected: Vec<_> = d_x
            .iter()
            .zip(&before)
            .map(|(d, b)| d + share * f64::from(*b))
            .collect();
        assert_near(
            &get(kernels, &d_x_at, rows * k),
            &expected,
            &format!("dx {what} {add}"),
        );
    }
}

#[test]
fn products_and_their_gradients_at_odd_row_counts() {
    on_device(|kernels| {
        for rows in [1, 7, 33, 400] {
            check(
                kernels,
                &Case {
                    rows,
                    shape: [64, 96],
                    rank: 8,
                    trained: false,
                },
            );
        }
    });
}

#[test]
fn every_rank_and_narrow_shapes() {
    on_device(|kernels| {
        for rank in [0, 1, 2, 3, 5, 16] {
            check(
                kernels,
                &Case {
                    rows: 33,
                    shape: [32, 12],
                    rank,
                    trained: false,
                },
            );
        }
        check(
            kernels,
            &Case {
                rows: 26,
                shape: [688, 48],
                rank: 4,
                trained: false,
            },
        );
        check(
            kernels,
            &Case {
                rows: 26,
                shape: [36, 344],
                rank: 4,
                trained: false,
            },
        );
    });
}

#[test]
fn trained_weights_and_odd_class_counts() {
    on_device(|kernels| {
        for classes in [1, 3, 77] {
            check(
                kernels,
                &Case {
                    rows: 8,
                    shape: [64, classes],
                    rank: 0,
                    trained: true,
                },
            );
            check(
                kernels,
                &Case {
                    rows: 9,
                    shape: [30, classes],
                    rank: 2,
                    trained: false,
                },
            );
        }
    });
}

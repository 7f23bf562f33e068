//! Linear layers: products, low-rank parts, biases, and their gradients.

use super::super::super::kernels::{
    Kernels, LinearCall, LinearInputGradient, LoraGradient, LowRankCall, LowRankWay, WeightGradient,
};
use super::super::super::quantised::{Integers, QuantisedMatrix};
use super::super::super::{LinearLayer, LoraFactors, Parameter, Weight};
use super::*;

struct Case {
    rows: usize,
    shape: [usize; 2],
    rank: usize,
    weights: Kept,
    /// Where the first factor begins in the flat adapter.
    start: usize,
}

/// What a layer's weights are kept in; the bias is trained with them, else in f32.
#[derive(Clone, Copy)]
enum Kept {
    Trained,
    F32,
    Quantised(Integers),
}

impl Case {
    fn new(rows: usize, shape: [usize; 2], rank: usize, weights: Kept) -> Self {
        Self {
            rows,
            shape,
            rank,
            weights,
            start: 1,
        }
    }
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

pub(super) const SCALE: f32 = 1.5;

pub(super) fn parameter(start: usize, shape: [usize; 2]) -> Parameter {
    Parameter {
        range: start..start + shape[0] * shape[1],
        shape,
    }
}

impl Layer {
    fn new(kernels: &mut WgslKernels, case: &Case, values: &mut Values) -> Self {
        let [k, n] = case.shape;
        let rank = case.rank;
        let a = parameter(case.start, [k, rank]);
        let b = parameter(a.range.end, [rank, n]);
        let weight_at = parameter(b.range.end, case.shape);
        let bias_at = parameter(weight_at.range.end, [1, n]);
        let flat = values.take(bias_at.range.end);
        kernels.load_adapter(&flat).unwrap();
        let (mut weight, bias) = match case.weights {
            Kept::Trained => (
                flat[weight_at.range.clone()].to_vec(),
                flat[bias_at.range.clone()].to_vec(),
            ),
            _ => (values.take(k * n), values.take(n)),
        };
        let bias_of = |kernels: &mut WgslKernels| kernels.upload(&bias, [1, n]).unwrap();
        let [weight_of, bias_of] = match case.weights {
            Kept::Trained => [
                Weight::Trained(weight_at.clone()),
                Weight::Trained(bias_at.clone()),
            ],
            Kept::F32 => {
                let weight = kernels.upload(&weight, [k, n]).unwrap();
                [Weight::Frozen(weight), Weight::Frozen(bias_of(kernels))]
            }
            Kept::Quantised(integers) => {
                let matrix = QuantisedMatrix::new(&weight, [k, n], integers).unwrap();
                weight = matrix.dequantised();
                let weight = kernels.upload_quantised(matrix).unwrap();
                [Weight::Frozen(weight), Weight::Frozen(bias_of(kernels))]
            }
        };
        let lora = (rank > 0).then(|| LoraFactors {
            a: a.clone(),
            b: b.clone(),
            scale: SCALE,
        });
        Self {
            layer: LinearLayer {
                weight: weight_of,
                bias: Some(bias_of),
                trained_bias: None,
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

    if let (Some(low_rank), Some(lora)) = (&low, &layer.layer.lora) {
        let x = &x_at;
        let calls = [LowRankCall { lora, x, low_rank }];
        kernels.low_rank(LowRankWay::Forward, &calls, rows).unwrap();
    }
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
        let calls = [LowRankCall {
            lora,
            x: d_y,
            low_rank: d_low,
        }];
        kernels
            .low_rank(LowRankWay::Backward, &calls, rows)
            .unwrap();
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
    whole_and_split(|kernels| {
        for rows in [1, 7, 33, 400] {
            check(kernels, &Case::new(rows, [64, 96], 8, Kept::F32));
        }
    });
}

#[test]
fn every_rank_and_narrow_shapes() {
    whole_and_split(|kernels| {
        for rank in [0, 1, 2, 3, 5, 16] {
            check(kernels, &Case::new(33, [32, 12], rank, Kept::F32));
        }
        check(kernels, &Case::new(26, [688, 48], 4, Kept::F32));
        check(kernels, &Case::new(26, [36, 344], 4, Kept::F32));
        let aligned = Case::new(26, [32, 48], 4, Kept::F32);
        check(
            kernels,
            &Case {
                start: 0,
                ..aligned
            },
        );
    });
}

#[test]
fn trained_weights_and_odd_class_counts() {
    on_device(|kernels| {
        for classes in [1, 3, 77] {
            check(kernels, &Case::new(8, [64, classes], 0, Kept::Trained));
            check(kernels, &Case::new(9, [30, classes], 2, Kept::F32));
        }
    });
}

#[test]
fn quantised_weights_of_any_shape_multiply_as_their_dequantised_values() {
    whole_and_split(|kernels| {
        for integers in [Integers::Int8, Integers::Int4] {
            let weights = Kept::Quantised(integers);
            for shape in [
                [64, 96],
                [36, 344],
                [688, 48],
                [4, 4],
                [1, 1],
                [31, 37],
                [97, 5],
            ] {
                for (rows, rank) in [(1, 0), (13, 3), (33, 8)] {
                    check(kernels, &Case::new(rows, shape, rank, weights));
                }
            }
        }
    });
}

#[test]
fn a_layer_is_one_dispatch_each_way_and_its_factors_are_one_more() {
    on_device(|kernels| {
        for (rank, forward, backward) in [(8, 1, 2), (3, 1, 2), (0, 1, 1)] {
            let case = Case::new(33, [64, 96], rank, Kept::F32);
            let mut values = Values(5);
            let Layer { layer, .. } = Layer::new(kernels, &case, &mut values);
            let [x, y, d_x] = [64, 96, 64].map(|columns| scratch(kernels, 33, columns));
            let [low, d_low] = [0; 2].map(|_| scratch(kernels, 33, rank.max(1)));
            let before = kernels.counts().dispatches;
            let low_rank = layer.lora.as_ref().map(|_| &low);
            let call = LinearCall {
                x: &x,
                layer: &layer,
                low_rank,
                y: &y,
                rows: 33,
            };
            kernels.linear(call).unwrap();
            let between = kernels.counts().dispatches;
            assert_eq!(between - before, forward, "rank {rank}");
            if let Some(lora) = &layer.lora {
                let call = LoraGradient {
                    x: &x,
                    d_y: &y,
                    lora,
                    low_rank: &low,
                    d_low_rank: &d_low,
                    rows: 33,
                };
                kernels.lora_gradient(call).unwrap();
            }
            let call = LinearInputGradient {
                d_y: &y,
                layer: &layer,
                d_low_rank: layer.lora.as_ref().map(|_| &d_low),
                d_x: &d_x,
                add: false,
                rows: 33,
            };
            kernels.linear_input_gradient(call).unwrap();
            assert_eq!(
                kernels.counts().dispatches - between,
                backward,
                "rank {rank}"
            );
        }
    });
}

#[test]
fn a_quantised_matrix_of_another_shape_or_in_another_place_is_refused() {
    on_device(|kernels| {
        let matrix = || QuantisedMatrix::new(&[0.5; 128], [8, 16], Integers::Int8).unwrap();
        let weight = kernels.upload_quantised(matrix()).unwrap();
        let (x, y) = (scratch(kernels, 3, 16), scratch(kernels, 3, 8));
        for (weight, bias) in [
            (weight.clone(), None),
            (y.clone(), Some(Weight::Frozen(weight))),
        ] {
            let layer = LinearLayer {
                weight: Weight::Frozen(weight),
                bias,
                trained_bias: None,
                lora: None,
                shape: [16, 8],
            };
            let call = LinearCall {
                x: &x,
                layer: &layer,
                low_rank: None,
                y: &y,
                rows: 3,
            };
            assert!(matches!(
                kernels.linear(call),
                Err(EngineError::Shape { .. })
            ));
        }
    });
}

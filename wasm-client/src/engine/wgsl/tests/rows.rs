//! Norms, activations and the flat adapter.

use super::super::super::kernels::{Kernels, NormCall, NormGradient};
use super::super::super::{Activation, AdamW};
use super::*;

#[test]
fn norm_and_its_gradient() {
    on_device(|kernels| {
        for (rows, residual) in [(1, false), (7, true), (33, false), (400, true)] {
            norm(kernels, rows, residual);
        }
    });
}

fn norm(kernels: &mut WgslKernels, rows: usize, with_residual: bool) {
    const DIM: usize = 64;
    let eps = 1e-5;
    let mut values = Values(rows as u32);
    let [x, residual, d_y, before] = [(); 4].map(|()| values.take(rows * DIM));
    let [gain, bias] = [(); 2].map(|()| values.take(DIM));
    let [x_at, residual_at, d_y_at] = [&x, &residual, &d_y].map(|v| put(kernels, v, rows));
    let [gain_at, bias_at] = [&gain, &bias].map(|v| kernels.upload(v, [1, DIM]).unwrap());
    let [normalized, y] = [(); 2].map(|()| scratch(kernels, rows, DIM));
    let rstd = scratch(kernels, rows, 1);
    kernels
        .norm(NormCall {
            x: &x_at,
            residual: with_residual.then_some(&residual_at),
            gain: &gain_at,
            bias: &bias_at,
            eps,
            normalized: &normalized,
            rstd: &rstd,
            y: &y,
            rows,
            dim: DIM,
        })
        .unwrap();
    let (mut expected, mut d_x) = (Vec::new(), Vec::new());
    for row in 0..rows {
        let at = |values: &[f32], c: usize| f64::from(values[row * DIM + c]);
        let share = f64::from(u8::from(with_residual));
        let sums: Vec<_> = (0..DIM)
            .map(|c| at(&x, c) + share * at(&residual, c))
            .collect();
        let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / DIM as f64;
        let centre = mean(&mut sums.iter().copied());
        let variance = mean(&mut sums.iter().map(|s| (s - centre).powi(2)));
        let scale = 1.0 / (variance + f64::from(eps)).sqrt();
        let hat: Vec<_> = sums.iter().map(|s| (s - centre) * scale).collect();
        let g: Vec<_> = (0..DIM).map(|c| at(&d_y, c) * f64::from(gain[c])).collect();
        let slope = mean(&mut g.iter().zip(&hat).map(|(g, h)| g * h));
        let level = mean(&mut g.iter().copied());
        expected.extend((0..DIM).map(|c| hat[c] * f64::from(gain[c]) + f64::from(bias[c])));
        d_x.extend((0..DIM).map(|c| scale * (g[c] - level - hat[c] * slope)));
    }
    let found = get(kernels, &y, rows * DIM);
    assert_near(&found, &expected, "norm");
    let again = scratch(kernels, rows, DIM);
    let inputs = [&normalized, &gain_at, &bias_at];
    kernels.norm_output(inputs, &again, [rows, DIM]).unwrap();
    assert_eq!(get(kernels, &again, rows * DIM), found);
    for add in [false, true] {
        let d_x_at = if add {
            put(kernels, &before, rows)
        } else {
            scratch(kernels, rows, DIM)
        };
        kernels
            .norm_gradient(NormGradient {
                d_y: &d_y_at,
                normalized: &normalized,
                rstd: &rstd,
                gain: &gain_at,
                d_x: &d_x_at,
                add,
                rows,
                dim: DIM,
            })
            .unwrap();
        let share = f64::from(u8::from(add));
        let expected: Vec<_> = d_x
            .iter()
            .zip(&before)
            .map(|(d, b)| d + share * f64::from(*b))
            .collect();
        assert_near(
            &get(kernels, &d_x_at, rows * DIM),
            &expected,
            "d_x of the norm",
        );
    }
}

/// The error function by its series, exact enough up to 4.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        let n = f64::from(n);
        term *= -x * x / n;
        sum += term / (2.0 * n + 1.0);
    }
    sum * 2.0 / core::f64::consts::PI.sqrt()
}

fn value_and_slope(kind: Activation, x: f64) -> (f64, f64) {
    match kind {
        Activation::Gelu => {
            let below = 0.5 * (1.0 + erf(x / 2.0_f64.sqrt()));
            let density = (-0.5 * x * x).exp() / (2.0 * core::f64::consts::PI).sqrt();
            (x * below, below + x * density)
        }
        Activation::GeluTanh => {
            let rate = (2.0 / core::f64::consts::PI).sqrt();
            let t = (rate * (x + 0.044715 * x * x * x)).tanh();
            let rise = rate * (1.0 + 3.0 * 0.044715 * x * x);
            (
                0.5 * x * (1.0 + t),
                0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * rise,
            )
        }
        Activation::Silu => {
            let s = 1.0 / (1.0 + (-x).exp());
            (x * s, s * (1.0 + x * (1.0 - s)))
        }
    }
}

#[test]
fn activations_and_their_slopes_also_in_place() {
    on_device(|kernels| {
        const LEN: usize = 1003;
        let mut values = Values(1);
        let x: Vec<_> = values.take(LEN).iter().map(|value| 5.0 * value).collect();
        let d_y = values.take(LEN);
        for kind in [Activation::Gelu, Activation::GeluTanh, Activation::Silu] {
            let [x_at, d_y_at] = [&x, &d_y].map(|values| put(kernels, values, 1));
            let [y, d_x] = [(); 2].map(|()| scratch(kernels, 1, LEN));
            kernels.activation(kind, &x_at, &y, LEN).unwrap();
            kernels
                .activation_gradient(kind, &x_at, &d_y_at, &d_x, LEN)
                .unwrap();
            kernels
                .activation_gradient(kind, &x_at, &d_y_at, &d_y_at, LEN)
                .unwrap();
            let expected: Vec<_> = x
                .iter()
                .map(|x| value_and_slope(kind, f64::from(*x)))
                .collect();
            let values: Vec<_> = expected.iter().map(|(value, _)| *value).collect();
            let slopes: Vec<_> = expected
                .iter()
                .zip(&d_y)
                .map(|((_, s), d)| s * f64::from(*d))
                .collect();
            assert_near(&get(kernels, &y, LEN), &values, &format!("{kind:?}"));
            assert_near(
                &get(kernels, &d_x, LEN),
                &slopes,
                &format!("{kind:?} slope"),
            );
            assert_near(
                &get(kernels, &d_y_at, LEN),
                &slopes,
                &format!("{kind:?} in place"),
            );
        }
    });
}

#[test]
fn adamw_follows_its_definition_and_restarts_with_a_new_adapter() {
    on_device(|kernels| {
        const LEN: usize = 31;
        let (rate, beta1, beta2, eps, decay) = (1e-2, 0.9, 0.999, 1e-8, 0.01);
        let optimizer = AdamW {
            learning_rate: rate,
            beta1,
            beta2,
            eps,
            weight_decay: decay,
        };
        let mut values = Values(5);
        for _ in 0..2 {
            let (flat, g) = (values.take(LEN), values.take(LEN));
            kernels.load_adapter(&flat).unwrap();
            assert_eq!(pollster::block_on(kernels.read_adapter()).unwrap(), flat);
            let raw = &kernels.adapter.gradient.raw;
            kernels
                .device
                .queue
                .write_buffer(raw, 0, bytemuck::cast_slice(&g));
            let mut expected = wide(&flat);
            let (mut m, mut v) = ([0.0; LEN], [0.0; LEN]);
            let [rate, beta1, beta2, eps, decay] = [rate, beta1, beta2, eps, decay].map(f64::from);
            for t in 1..=3 {
                kernels.optimizer_step(&optimizer).unwrap();
                for i in 0..LEN {
                    let g = f64::from(g[i]);
                    m[i] = beta1 * m[i] + (1.0 - beta1) * g;
                    v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
                    let (m, v) = (m[i] / (1.0 - beta1.powi(t)), v[i] / (1.0 - beta2.powi(t)));
                    expected[i] -= rate * decay * expected[i] + rate * m / (v.sqrt() + eps);
                }
            }
            let found = pollster::block_on(kernels.read_adapter()).unwrap();
            assert_near(&found, &expected, "adapter");
        }
    });
}

#[test]
fn adamw_goes_on_from_a_state_that_was_read() {
    on_device(|kernels| {
        const LEN: usize = 31;
        let optimizer = AdamW {
            learning_rate: 1e-2,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.01,
        };
        let mut values = Values(6);
        let (flat, g) = (values.take(LEN), values.take(LEN));
        let load = |kernels: &mut WgslKernels, flat: &[f32]| {
            kernels.load_adapter(flat).unwrap();
            let raw = &kernels.adapter.gradient.raw;
            let queue = &kernels.device.queue;
            queue.write_buffer(raw, 0, bytemuck::cast_slice(&g));
        };
        load(kernels, &flat);
        kernels.optimizer_step(&optimizer).unwrap();
        kernels.optimizer_step(&optimizer).unwrap();
        let middle = pollster::block_on(kernels.read_adapter()).unwrap();
        let state = pollster::block_on(kernels.read_optimizer()).unwrap();
        assert_eq!(state.steps, 2);
        kernels.optimizer_step(&optimizer).unwrap();
        let expected = pollster::block_on(kernels.read_adapter()).unwrap();
        load(kernels, &middle);
        kernels.load_optimizer(&state).unwrap();
        kernels.optimizer_step(&optimizer).unwrap();
        assert_eq!(
            pollster::block_on(kernels.read_adapter()).unwrap(),
            expected
        );
    });
}

#[test]
fn more_different_uniforms_than_their_buffer_holds() {
    on_device(|kernels| {
        const LEN: usize = 5;
        let flat = Values(1).take(LEN);
        kernels.load_adapter(&flat).unwrap();
        kernels.begin(&batch(&[1], 0)).unwrap();
        let steps = 1100;
        for _ in 0..steps {
            let optimizer = AdamW {
                learning_rate: 1.0 / 1024.0,
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-8,
                weight_decay: 0.5,
            };
            kernels.optimizer_step(&optimizer).unwrap();
        }
        let found = pollster::block_on(kernels.read_adapter()).unwrap();
        // Without a gradient every step only decays.
        let decay = (1.0_f64 - 1.0 / 2048.0).powi(steps);
        let expected: Vec<_> = wide(&flat).iter().map(|value| value * decay).collect();
        assert_near(&found, &expected, "decayed adapter");
        assert_eq!(kernels.counts().submits, 2);
    });
}

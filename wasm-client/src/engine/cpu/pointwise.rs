//! Functions of single values, written without branches so that loops over them become SIMD code.

use core::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

use super::parallel::map_pieces;

/// Lanes of the sums below: two 128-bit registers.
const LANES: usize = 8;

/// `e^x`, relative error below 2e-7 (degree-5 polynomial of Cephes' `expf`); 0 below -87.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding 1.5·2^23 rounds to the nearest integer, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first exact in few bits.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let clamped = if x > 88.0 { 88.0 } else { x };
    let clamped = if clamped < -87.0 { -87.0 } else { clamped };
    let rounded = clamped * LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = clamped - n * LN_2_HIGH - n * LN_2_LOW;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 5e-1;
    let y = p * r * r + r + 1.0;
    let two_to_n = f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23));
    let value = y * two_to_n;
    if x < -87.0 { 0.0 } else { value }
}

/// The error function, absolute error below 4e-7: a rational function of x² on [-4, 4], beyond
/// which erf is ±1 in f32.
#[inline(always)]
fn erf(x: f32) -> f32 {
    let x = if x > 4.0 { 4.0 } else { x };
    let x = if x < -4.0 { -4.0 } else { x };
    let x2 = x * x;
    let mut p = -2.726_142_3e-10;
    p = p * x2 + 2.770_681_4e-8;
    p = p * x2 - 2.101_024e-6;
    p = p * x2 - 5.692_506_4e-5;
    p = p * x2 - 7.349_906_3e-4;
    p = p * x2 - 2.954_6e-3;
    p = p * x2 - 1.609_603_3e-2;
    let mut q = -1.456_607_2e-5;
    q = q * x2 - 2.133_740_6e-4;
    q = q * x2 - 1.682_827e-3;
    q = q * x2 - 7.373_329e-3;
    q = q * x2 - 1.426_473_9e-2;
    x * p / q
}

/// `x·Φ(x)`.
#[inline(always)]
pub(super) fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2))
}

/// `Φ(x) + x·φ(x)`.
#[inline(always)]
pub(super) fn gelu_slope(x: f32) -> f32 {
    const FRAC_1_SQRT_2PI: f32 = 0.398_942_3;
    let cumulative = 0.5 * (1.0 + erf(x * FRAC_1_SQRT_2));
    cumulative + x * FRAC_1_SQRT_2PI * exp(-0.5 * x * x)
}

/// `x·(1 + tanh u)/2 = x·sigmoid(2u)` with `u = √(2/π)·(x + 0.044715·x³)`.
#[inline(always)]
pub(super) fn gelu_tanh(x: f32) -> f32 {
    x / (1.0 + exp(-2.0 * tanh_argument(x)))
}

/// Its derivative: `s + x·s·(1 - s)·2u'` with `s = sigmoid(2u)`.
#[inline(always)]
pub(super) fn gelu_tanh_slope(x: f32) -> f32 {
    let s = 1.0 / (1.0 + exp(-2.0 * tanh_argument(x)));
    let rise = SQRT_2_OVER_PI * (1.0 + 3.0 * TANH_CUBE * x * x);
    s + 2.0 * x * s * (1.0 - s) * rise
}

const SQRT_2_OVER_PI: f32 = 0.797_884_6;
const TANH_CUBE: f32 = 0.044_715;

#[inline(always)]
fn tanh_argument(x: f32) -> f32 {
    SQRT_2_OVER_PI * (x + TANH_CUBE * x * x * x)
}

/// `x·sigmoid(x)`.
#[inline(always)]
pub(super) fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// Its derivative.
#[inline(always)]
pub(super) fn silu_slope(x: f32) -> f32 {
    let sigmoid = 1.0 / (1.0 + exp(-x));
    sigmoid * (1.0 + x * (1.0 - sigmoid))
}

/// `y = f(x)`.
pub(super) fn map(x: &[f32], y: &mut [f32], f: impl Fn(f32) -> f32 + Sync) {
    map_pieces(y, x, |y, x| {
        y.iter_mut().zip(x).for_each(|(y, x)| *y = f(*x))
    });
}

/// `d *= f(x)`.
pub(super) fn scale_by(x: &[f32], d: &mut [f32], f: impl Fn(f32) -> f32 + Sync) {
    map_pieces(d, x, |d, x| {
        d.iter_mut().zip(x).for_each(|(d, x)| *d *= f(*x))
    });
}

/// `Σ f(a, b)` over two slices of the same length.
#[inline(always)]
pub(super) fn sum_by(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] += f(a[lane], b[lane]);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(&a, &b)| f(a, b)).sum();
    lanes.iter().sum::<f32>() + rest
}

/// `Σ a·b`.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum_by(a, b, |a, b| a * b)
}

/// `Σ a`.
pub(super) fn sum(a: &[f32]) -> f32 {
    sum_by(a, a, |a, _| a)
}

/// The largest value; minus infinity of none.
pub(super) fn max(values: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] = larger(chunk[lane], lanes[lane]);
        }
    }
    lanes
        .iter()
        .chain(rest)
        .copied()
        .fold(f32::NEG_INFINITY, |a, b| larger(b, a))
}

/// Replaces each value by `e^(value - shift)`.
pub(super) fn exp_shifted(values: &mut [f32], shift: f32) {
    for value in values {
        *value = exp(*value - shift);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// erf in f64 by its Maclaurin series, good to 1e-13 for |x| <= 4.
    fn erf_series(x: f64) -> f64 {
        let mut term = x;
        let mut total = x;
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            total += term / f64::from(2 * n + 1);
        }
        total * core::f64::consts::FRAC_2_SQRT_PI
    }

    #[test]
    fn erf_is_within_four_ten_millionths() {
        let worst = (-6000..6000)
            .map(|i| f64::from(i) / 1000.0)
            .map(|x| {
                let exact = if x.abs() > 4.0 {
                    x.signum()
                } else {
                    erf_series(x)
                };
                (f64::from(erf(x as f32)) - exact).abs()
            })
            .fold(0.0, f64::max);
        assert!(worst < 4e-7, "worst error {worst:e}");
    }

    #[test]
    fn exp_is_within_two_ten_millionths_relative() {
        let worst = (-8600..8700)
            .map(|i| i as f32 / 100.0)
            .map(|x| (f64::from(exp(x)) / f64::from(x).exp() - 1.0).abs())
            .fold(0.0, f64::max);
        assert!(worst < 2e-7, "worst error {worst:e}");
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn slopes_are_derivatives() {
        for i in -50..50 {
            let x = i as f32 / 10.0;
            let h = 1e-2;
            let gelu_ratio = (gelu(x + h) - gelu(x - h)) / (2.0 * h);
            assert!((gelu_ratio - gelu_slope(x)).abs() < 1e-3, "gelu at {x}");
            let silu_ratio = (silu(x + h) - silu(x - h)) / (2.0 * h);
            assert!((silu_ratio - silu_slope(x)).abs() < 1e-3, "silu at {x}");
        }
    }

    #[test]
    fn reductions_match_plain_loops() {
        let a: Vec<f32> = (0..37).map(|i| (i * 7 % 11) as f32 - 5.0).collect();
        assert_eq!(sum(&a), a.iter().sum::<f32>());
        assert_eq!(dot(&a, &a), a.iter().map(|v| v * v).sum::<f32>());
        assert_eq!(max(&a), 5.0);
    }
}

// GELU by the error function (0), SiLU (1) and GELU by the hyperbolic tangent (2); each with its
// derivative.
struct Call { len4: u32, kind: u32 }
@group(0) @binding(0) var<uniform> call: Call;

const GROUP: u32 = 64u;

// Abramowitz and Stegun 7.1.26 for z >= 0, given exp(-z²); the error is below 1.5e-7.
fn erf_positive(z: vec4<f32>, falling: vec4<f32>) -> vec4<f32> {
  let t = 1.0 / (1.0 + 0.3275911 * z);
  let series = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t
    + 0.254829592) * t;
  return 1.0 - series * falling;
}

// The normal distribution function and its density.
fn normal(x: vec4<f32>) -> array<vec4<f32>, 2> {
  let falling = exp(-0.5 * x * x);
  let half = 0.5 * erf_positive(abs(x) * 0.7071067811865476, falling);
  let below = select(0.5 - half, 0.5 + half, x >= vec4<f32>());
  return array<vec4<f32>, 2>(below, 0.3989422804014327 * falling);
}

// (1 + tanh u)/2 = sigmoid(2u) with u = √(2/π)·(x + 0.044715·x³).
fn half_tanh(x: vec4<f32>) -> vec4<f32> {
  return 1.0 / (1.0 + exp(-1.5957691216057308 * (x + 0.044715 * x * x * x)));
}

fn value_of(x: vec4<f32>) -> vec4<f32> {
  if (call.kind == 1u) { return x / (1.0 + exp(-x)); }
  if (call.kind == 2u) { return x * half_tanh(x); }
  return x * normal(x)[0];
}

fn slope_of(x: vec4<f32>) -> vec4<f32> {
  if (call.kind == 2u) {
    let s = half_tanh(x);
    return s + x * s * (1.0 - s) * 1.5957691216057308 * (1.0 + 0.134145 * x * x);
  }
  if (call.kind == 1u) {
    let s = 1.0 / (1.0 + exp(-x));
    return s * (1.0 + x * (1.0 - s));
  }
  let n = normal(x);
  return n[0] + x * n[1];
}


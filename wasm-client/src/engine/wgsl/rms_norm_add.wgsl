struct Call { rows: u32, dim4: u32, eps: f32 }
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> residual: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> gain: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> sum: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> rstd: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4<f32>>;

// The residual stream goes on with the sum.
fn value_at(at: u32) -> vec4<f32> {
  let value = x[at] + residual[at];
  sum[at] = value;
  return value;
}


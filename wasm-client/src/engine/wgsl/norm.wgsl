// Layer norm of x + residual, one thread per row: mean, then variance, then the result.
struct Call { rows: u32, dim4: u32, residual: u32, eps: f32 }
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> residual: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> gain: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> normalized: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> rstd: array<f32>;
@group(0) @binding(7) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= call.rows) { return; }
  let at = id.x * call.dim4;
  var sum = vec4<f32>();
  for (var c = 0u; c < call.dim4; c++) {
    var value = x[at + c];
    if (call.residual != 0u) { value += residual[at + c]; }
    sum += value;
    normalized[at + c] = value;
  }
  let share = 1.0 / f32(call.dim4 * 4u);
  let mean = (sum.x + sum.y + sum.z + sum.w) * share;
  var squares = vec4<f32>();
  for (var c = 0u; c < call.dim4; c++) {
    let value = normalized[at + c] - mean;
    squares += value * value;
  }
  let variance = (squares.x + squares.y + squares.z + squares.w) * share;
  let scale = 1.0 / sqrt(variance + call.eps);
  rstd[id.x] = scale;
  for (var c = 0u; c < call.dim4; c++) {
    let value = (normalized[at + c] - mean) * scale;
    normalized[at + c] = value;
    y[at + c] = value * gain[c] + bias[c];
  }
}

// Gradient of what a root-mean-square norm normalized, one thread per row:
// d_x (+)= rstd·(g - n·mean(g·n)) with g = d_y·gain, n = x·rstd.
struct Call { rows: u32, dim4: u32, add: u32 }
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> rstd: array<f32>;
@group(0) @binding(4) var<storage, read> gain: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> d_x: array<vec4<f32>>;

@compute @workgroup_size(8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= call.rows) { return; }
  let at = id.x * call.dim4;
  var products = vec4<f32>();
  for (var c = 0u; c < call.dim4; c++) { products += d_y[at + c] * gain[c] * x[at + c]; }
  let scale = rstd[id.x];
  let mean = (products.x + products.y + products.z + products.w) / f32(call.dim4 * 4u);
  let slope = mean * scale * scale;
  for (var c = 0u; c < call.dim4; c++) {
    var value = scale * (d_y[at + c] * gain[c] - x[at + c] * slope);
    if (call.add != 0u) { value += d_x[at + c]; }
    d_x[at + c] = value;
  }
}

// Gradient of what a layer norm normalized, one thread per row:
// d_x (+)= rstd·(g - mean(g) - n·mean(g·n)) with g = d_y·gain, n = (x - mean(x))·rstd.
struct Call { rows: u32, dim4: u32, add: u32 }
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> rstd: array<f32>;
@group(0) @binding(4) var<storage, read> gain: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> d_x: array<vec4<f32>>;

fn mean_of(total: vec4<f32>) -> f32 {
  return (total.x + total.y + total.z + total.w) / f32(call.dim4 * 4u);
}

@compute @workgroup_size(8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= call.rows) { return; }
  let at = id.x * call.dim4;
  var values = vec4<f32>();
  var gradients = vec4<f32>();
  for (var c = 0u; c < call.dim4; c++) {
    values += x[at + c];
    gradients += d_y[at + c] * gain[c];
  }
  let mean_x = mean_of(values);
  let mean_g = mean_of(gradients);
  var products = vec4<f32>();
  for (var c = 0u; c < call.dim4; c++) { products += d_y[at + c] * gain[c] * (x[at + c] - mean_x); }
  let scale = rstd[id.x];
  let slope = mean_of(products) * scale * scale;
  for (var c = 0u; c < call.dim4; c++) {
    var value = scale * (d_y[at + c] * gain[c] - mean_g - (x[at + c] - mean_x) * slope);
    if (call.add != 0u) { value += d_x[at + c]; }
    d_x[at + c] = value;
  }
}

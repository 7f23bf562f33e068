// What a norm's gain has its gradient from, one thread per row: products = d_y·n with n = x·rstd, in
// a layer norm n = (x - mean(x))·rstd.
struct Call { rows: u32, dim4: u32, centred: u32 }
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> rstd: array<f32>;
@group(0) @binding(4) var<storage, read_write> products: array<vec4<f32>>;

@compute @workgroup_size(8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= call.rows) { return; }
  let at = id.x * call.dim4;
  var mean = 0.0;
  if (call.centred != 0u) {
    var total = vec4<f32>();
    for (var c = 0u; c < call.dim4; c++) { total += x[at + c]; }
    mean = (total.x + total.y + total.z + total.w) / f32(call.dim4 * 4u);
  }
  for (var c = 0u; c < call.dim4; c++) {
    products[at + c] = d_y[at + c] * (x[at + c] - mean) * rstd[id.x];
  }
}

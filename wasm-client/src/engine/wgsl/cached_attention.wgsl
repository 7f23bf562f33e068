// Attention of rows that go on with a sequence to all kept rows up to their own. `VECTORS` is a
// head's columns in fours.
struct Call { threads: u32, heads: u32, group: u32, past: u32, scale: f32 }
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> keys: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> values: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(GROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= call.threads) { return; }
  let at = id.x * VECTORS;
  let head = id.x % call.heads;
  let stride = call.heads / call.group * VECTORS;
  let column = head / call.group * VECTORS;
  let end = call.past + id.x / call.heads + 1u;
  var own: array<vec4<f32>, VECTORS>;
  var sum: array<vec4<f32>, VECTORS>;
  for (var d = 0u; d < VECTORS; d++) { own[d] = q[at + d] * call.scale; }
  var top = -1e30;
  var weight = 0.0;
  for (var s = 0u; s < end; s++) {
    let place = s * stride + column;
    var score = 0.0;
    for (var d = 0u; d < VECTORS; d++) { score += dot(own[d], keys[place + d]); }
    let next = max(top, score);
    let keep = exp(top - next);
    let p = exp(score - next);
    weight = weight * keep + p;
    for (var d = 0u; d < VECTORS; d++) { sum[d] = sum[d] * keep + p * values[place + d]; }
    top = next;
  }
  for (var d = 0u; d < VECTORS; d++) { out[at + d] = sum[d] / weight; }
}

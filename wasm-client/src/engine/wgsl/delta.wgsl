// delta[row, head] = Σ d_out·out, one thread per row and head.
struct Call { count: u32, heads: u32, dim4: u32 }
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> d_out: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> out: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> delta: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
) {
  let index = id.y * groups.x * 64u + id.x;
  if (index >= call.count) { return; }
  let at = index * call.dim4;
  var sum = 0.0;
  for (var d = 0u; d < call.dim4; d++) { sum += dot(d_out[at + d], out[at + d]); }
  delta[index] = sum;
}

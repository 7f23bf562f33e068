// Keeps keys and values: `first` is where the new rows begin among the kept ones, in fours.
struct Call { count: u32, first: u32 }
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> keys: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> values: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
) {
  let at = id.y * groups.x * 64u + id.x;
  if (at >= call.count) { return; }
  keys[call.first + at] = k[at];
  values[call.first + at] = v[at];
}

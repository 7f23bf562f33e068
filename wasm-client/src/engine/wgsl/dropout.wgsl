// out (+)= x, some of it left out and the rest times a factor; four values a thread.
struct Call { len4: u32, adds: u32, key: u32, threshold: u32, factor: f32 }
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>;

fn hash(input: vec4<u32>) -> vec4<u32> {
  let state = input * 747796405u + 2891336453u;
  let word = ((state >> ((state >> vec4(28u)) + 4u)) ^ state) * 277803737u;
  return (word >> vec4(22u)) ^ word;
}

@compute @workgroup_size(64)
fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
) {
  let at = id.y * groups.x * 64u + id.x;
  if (at >= call.len4) { return; }
  let places = vec4(4u * at) + vec4(0u, 1u, 2u, 3u);
  let hashes = hash(call.key + hash(places));
  var value = select(x[at] * call.factor, vec4(0.0), hashes < vec4(call.threshold));
  if (call.adds != 0u) { value += out[at]; }
  out[at] = value;
}

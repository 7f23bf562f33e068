// Gradient of the prompt: the sum over the sequences of each virtual token's gradient.
// `sequences` holds per sequence: first row, end, label, virtual tokens.
struct Call { count: u32, dim: u32, batch: u32, offset: u32 }
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> sequences: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> d_x: array<f32>;
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
) {
  let at = id.y * groups.x * 64u + id.x;
  if (at >= call.count) { return; }
  var sum = 0.0;
  for (var b = 0u; b < call.batch; b++) {
    sum += d_x[sequences[b].x * call.dim + at];
  }
  gradient[call.offset + at] = sum;
}

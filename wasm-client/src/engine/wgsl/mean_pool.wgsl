// Mean over each sequence's real tokens, one thread per sequence and four columns.
struct Call { count: u32, dim4: u32 }
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> sequences: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
) {
  let at = id.y * groups.x * 64u + id.x;
  if (at >= call.count) { return; }
  let sequence = sequences[at / call.dim4];
  let column = at % call.dim4;
  let first = sequence.x + sequence.w;
  var sum = vec4<f32>();
  for (var row = first; row < sequence.y; row++) { sum += x[row * call.dim4 + column]; }
  out[at] = sum / f32(max(sequence.y, first + 1u) - first);
}

// Gradients of silu(gate)·up by both, four values a thread.
struct Call { len4: u32 }
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> gate: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> up: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> d_gate: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> d_up: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
) {
  let at = id.y * groups.x * 64u + id.x;
  if (at >= call.len4) { return; }
  let x = gate[at];
  let d = d_y[at];
  let s = 1.0 / (1.0 + exp(-x));
  d_gate[at] = d * up[at] * s * (1.0 + x * (1.0 - s));
  d_up[at] = d * x * s;
}

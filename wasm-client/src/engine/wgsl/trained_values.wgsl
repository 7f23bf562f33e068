// Trained values, added to frozen ones where there are any.
struct Call { count: u32, offset: u32, adds: u32 }
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> frozen: array<f32>;
@group(0) @binding(2) var<storage, read> adapter: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
) {
  let at = id.y * groups.x * 64u + id.x;
  if (at >= call.count) { return; }
  var value = adapter[call.offset + at];
  if (call.adds != 0u) { value += frozen[at]; }
  out[at] = value;
}

// The virtual tokens' rows of every sequence: replaced by trained or other rows, or by zeros, or
// added to. `sequences` holds per sequence: first row, end, label, virtual tokens.
struct Call { count: u32, values: u32, columns: u32, offset: u32, has_source: u32, adds: u32 }
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> sequences: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> source: array<f32>;
@group(0) @binding(3) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
) {
  let at = id.y * groups.x * 64u + id.x;
  if (at >= call.count) { return; }
  let place = at % call.values;
  let out = sequences[at / call.values].x * call.columns + place;
  var value = 0.0;
  if (call.has_source != 0u) { value = source[call.offset + place]; }
  if (call.adds != 0u) { value += x[out]; }
  x[out] = value;
}

// Gradient of the mean: every real token's row gets its share, virtual tokens get zero.
struct Call { count: u32, dim4: u32 }
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> sequences: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> d_out: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> d_x: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
) {
  let at = id.y * groups.x * 64u + id.x;
  if (at >= call.count) { return; }
  let row = rows[at / call.dim4];
  let sequence = sequences[row.w];
  var value = vec4<f32>();
  if (row.y == 0u) {
    let tokens = f32(sequence.y - sequence.x - sequence.w);
    value = d_out[row.w * call.dim4 + at % call.dim4] / tokens;
  }
  d_x[at] = value;
}

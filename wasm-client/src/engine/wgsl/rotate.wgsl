// Rotary positions in place: of each head's columns, j and j + half turn by the row's angle j.
// `Part` is as many neighbouring columns as divide a half, defined by the text before this one.
// `rows` holds the position third; `table` per position the cosines of the angles, then the sines.
struct Call { count: u32, first_heads: u32, second_heads: u32, half: u32, sign: f32 }
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> table: array<Part>;
@group(0) @binding(3) var<storage, read_write> first: array<Part>;
@group(0) @binding(4) var<storage, read_write> second: array<Part>;

@compute @workgroup_size(64)
fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
) {
  let index = id.y * groups.x * 64u + id.x;
  if (index >= call.count) { return; }
  let j = index % call.half;
  let heads = call.first_heads + call.second_heads;
  let head = index / call.half % heads;
  let row = index / call.half / heads;
  let angle = rows[row].z * 2u * call.half + j;
  let cosine = table[angle];
  let sine = call.sign * table[angle + call.half];
  if (head < call.first_heads) {
    let at = (row * call.first_heads + head) * 2u * call.half + j;
    let low = first[at];
    let up = first[at + call.half];
    first[at] = low * cosine - up * sine;
    first[at + call.half] = up * cosine + low * sine;
  } else {
    let at = (row * call.second_heads + head - call.first_heads) * 2u * call.half + j;
    let low = second[at];
    let up = second[at + call.half];
    second[at] = low * cosine - up * sine;
    second[at + call.half] = up * cosine + low * sine;
  }
}

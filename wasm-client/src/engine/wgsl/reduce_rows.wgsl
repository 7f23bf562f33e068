// out[j, n] = scale · Σ_rows p[row, j]·q[row, n]: gradients of weights, factors and biases. Two such
// sums share a dispatch: the first takes the first workgroups, the second the others.
// A workgroup owns 4 × 16 results; its 8 slices of rows are summed through workgroup memory.
struct Call {
  rows: u32, first_groups: u32, first_ones: u32, second_ones: u32,
  first_j_len: u32, first_n_len: u32, first_offset: u32,
  first_j_stride: u32, first_n_stride: u32, first_scale: f32,
  second_j_len: u32, second_n_len: u32, second_offset: u32,
  second_j_stride: u32, second_n_stride: u32, second_scale: f32,
}
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> first_p: array<f32>;
@group(0) @binding(2) var<storage, read> first_q: array<f32>;
@group(0) @binding(3) var<storage, read> second_p: array<f32>;
@group(0) @binding(4) var<storage, read> second_q: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

const SLICES: u32 = 8u;
const J: u32 = 4u;
var<workgroup> parts: array<f32, 512>;

@compute @workgroup_size(4, 8)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let of_both = group.y * groups.x + group.x;
  let is_second = of_both >= call.first_groups;
  let own = select(of_both, of_both - call.first_groups, is_second);
  let across = (select(call.first_n_len, call.second_n_len, is_second) + 15u) / 16u;
  let j = own / across * J;
  let n = own % across * 16u;
  var sums: array<vec4<f32>, 4>;
  if (is_second) {
    if (j < call.second_j_len) { sums = second_sums(j, n + local.x, local.y); }
  } else {
    if (j < call.first_j_len) { sums = first_sums(j, n + local.x, local.y); }
  }
  for (var i = 0u; i < J; i++) {
    for (var part = 0u; part < 4u; part++) {
      parts[local.y * 64u + i * 16u + part * 4u + local.x] = sums[i][part];
    }
  }
  workgroupBarrier();
  for (var at = lane; at < 64u; at += 32u) {
    var sum = 0.0;
    for (var s = 0u; s < SLICES; s++) { sum += parts[s * 64u + at]; }
    if (is_second) {
      store_second(j + at / 16u, n + at % 16u, sum);
    } else {
      store_first(j + at / 16u, n + at % 16u, sum);
    }
  }
}

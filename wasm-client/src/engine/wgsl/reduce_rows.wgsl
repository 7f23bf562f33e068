// out[j, n] = scale · Σ_rows p[row, j]·q[row, n]: gradients of weights, factors and biases.
// A workgroup owns 8 × 16 results; its 8 slices of rows are summed through workgroup memory.
// A lane's four columns lie four apart, so that neighbouring lanes read neighbouring values.
struct Call {
  rows: u32, j_len: u32, n_len: u32, offset: u32,
  j_stride: u32, n_stride: u32, ones: u32, scale: f32,
}
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> p: array<f32>;
@group(0) @binding(2) var<storage, read> q: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

const SLICES: u32 = 8u;
const J: u32 = 8u;
var<workgroup> parts: array<f32, 1024>;

// Column j of p in four rows, or ones.
fn column(rows: vec4<u32>, j: u32) -> vec4<f32> {
  let at = rows * call.j_len + min(j, call.j_len - 1u);
  let values = vec4<f32>(p[at.x], p[at.y], p[at.z], p[at.w]);
  return select(values, vec4<f32>(1.0), call.ones != 0u);
}

fn values(row: u32, columns: vec4<u32>) -> vec4<f32> {
  let at = row * call.n_len + columns;
  return vec4<f32>(q[at.x], q[at.y], q[at.z], q[at.w]);
}

@compute @workgroup_size(4, 8)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let j = group.y * J;
  let n = group.x * 16u + local.x;
  let last = call.n_len - 1u;
  let columns = min(vec4<u32>(n, n + 4u, n + 8u, n + 12u), vec4<u32>(last));
  var c0 = vec4<f32>(); var c1 = vec4<f32>(); var c2 = vec4<f32>(); var c3 = vec4<f32>();
  var c4 = vec4<f32>(); var c5 = vec4<f32>(); var c6 = vec4<f32>(); var c7 = vec4<f32>();
  for (var row = local.y; row < call.rows; row += 4u * SLICES) {
    // Rows past the end are read as the last one and count nothing.
    let wanted = row + vec4<u32>(0u, SLICES, 2u * SLICES, 3u * SLICES);
    let rows = min(wanted, vec4<u32>(call.rows - 1u));
    let counts = select(vec4<f32>(), vec4<f32>(1.0), wanted < vec4<u32>(call.rows));
    let q0 = counts.x * values(rows.x, columns);
    let q1 = counts.y * values(rows.y, columns);
    let q2 = counts.z * values(rows.z, columns);
    let q3 = counts.w * values(rows.w, columns);
    let p0 = column(rows, j);
    let p1 = column(rows, j + 1u);
    let p2 = column(rows, j + 2u);
    let p3 = column(rows, j + 3u);
    let p4 = column(rows, j + 4u);
    let p5 = column(rows, j + 5u);
    let p6 = column(rows, j + 6u);
    let p7 = column(rows, j + 7u);
    c0 += p0.x * q0 + p0.y * q1 + p0.z * q2 + p0.w * q3;
    c1 += p1.x * q0 + p1.y * q1 + p1.z * q2 + p1.w * q3;
    c2 += p2.x * q0 + p2.y * q1 + p2.z * q2 + p2.w * q3;
    c3 += p3.x * q0 + p3.y * q1 + p3.z * q2 + p3.w * q3;
    c4 += p4.x * q0 + p4.y * q1 + p4.z * q2 + p4.w * q3;
    c5 += p5.x * q0 + p5.y * q1 + p5.z * q2 + p5.w * q3;
    c6 += p6.x * q0 + p6.y * q1 + p6.z * q2 + p6.w * q3;
    c7 += p7.x * q0 + p7.y * q1 + p7.z * q2 + p7.w * q3;
  }
  var sums = array<vec4<f32>, 8>(c0, c1, c2, c3, c4, c5, c6, c7);
  for (var i = 0u; i < J; i++) {
    for (var part = 0u; part < 4u; part++) {
      parts[local.y * 128u + i * 16u + part * 4u + local.x] = sums[i][part];
    }
  }
  workgroupBarrier();
  for (var at = lane; at < 128u; at += 32u) {
    let out_j = j + at / 16u;
    let out_n = group.x * 16u + at % 16u;
    if (out_j < call.j_len && out_n < call.n_len) {
      var sum = 0.0;
      for (var s = 0u; s < SLICES; s++) { sum += parts[s * 128u + at]; }
      out[call.offset + out_j * call.j_stride + out_n * call.n_stride] = call.scale * sum;
    }
  }
}

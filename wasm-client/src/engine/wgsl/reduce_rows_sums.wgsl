// Column j of first_p in four rows, or ones.
fn first_column(rows: vec4<u32>, j: u32) -> vec4<f32> {
  let at = rows * call.first_j_len + min(j, call.first_j_len - 1u);
  let values = vec4<f32>(first_p[at.x], first_p[at.y], first_p[at.z], first_p[at.w]);
  return select(values, vec4<f32>(1.0), call.first_ones != 0u);
}

fn first_values(row: u32, columns: vec4<u32>) -> vec4<f32> {
  let at = row * call.first_n_len + columns;
  return vec4<f32>(first_q[at.x], first_q[at.y], first_q[at.z], first_q[at.w]);
}

// Sums of 4 columns of p by this lane's four columns of q, over the rows of one slice. The four
// lie four apart, so that neighbouring lanes read neighbouring values. Of few rows the first slices
// have all, and the others nothing to do.
fn first_sums(j: u32, n: u32, slice: u32) -> array<vec4<f32>, 4> {
  let columns = min(vec4<u32>(n, n + 4u, n + 8u, n + 12u), vec4<u32>(call.first_n_len - 1u));
  var c0 = vec4<f32>(); var c1 = vec4<f32>(); var c2 = vec4<f32>(); var c3 = vec4<f32>();
  for (var row = 4u * slice; row < call.rows; row += 4u * SLICES) {
    // Rows past the end are read as the last one and count nothing.
    let wanted = row + vec4<u32>(0u, 1u, 2u, 3u);
    let rows = min(wanted, vec4<u32>(call.rows - 1u));
    let counts = select(vec4<f32>(), vec4<f32>(1.0), wanted < vec4<u32>(call.rows));
    let q0 = counts.x * first_values(rows.x, columns);
    let q1 = counts.y * first_values(rows.y, columns);
    let q2 = counts.z * first_values(rows.z, columns);
    let q3 = counts.w * first_values(rows.w, columns);
    let p0 = first_column(rows, j);
    let p1 = first_column(rows, j + 1u);
    let p2 = first_column(rows, j + 2u);
    let p3 = first_column(rows, j + 3u);
    c0 += p0.x * q0 + p0.y * q1 + p0.z * q2 + p0.w * q3;
    c1 += p1.x * q0 + p1.y * q1 + p1.z * q2 + p1.w * q3;
    c2 += p2.x * q0 + p2.y * q1 + p2.z * q2 + p2.w * q3;
    c3 += p3.x * q0 + p3.y * q1 + p3.z * q2 + p3.w * q3;
  }
  return array<vec4<f32>, 4>(c0, c1, c2, c3);
}

fn store_first(j: u32, n: u32, sum: f32) {
  if (j < call.first_j_len && n < call.first_n_len) {
    let at = call.first_offset + j * call.first_j_stride + n * call.first_n_stride;
    out[at] = call.first_scale * sum;
  }
}

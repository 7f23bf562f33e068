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

// Sums of 8 columns of p by this lane's four columns of q, over the rows of one slice. The four
// lie four apart, so that neighbouring lanes read neighbouring values.
fn first_sums(j: u32, n: u32, slice: u32) -> array<vec4<f32>, 8> {
  let columns = min(vec4<u32>(n, n + 4u, n + 8u, n + 12u), vec4<u32>(call.first_n_len - 1u));
  var c0 = vec4<f32>(); var c1 = vec4<f32>(); var c2 = vec4<f32>(); var c3 = vec4<f32>();
  var c4 = vec4<f32>(); var c5 = vec4<f32>(); var c6 = vec4<f32>(); var c7 = vec4<f32>();
  for (var row = slice; row < call.rows; row += 4u * SLICES) {
    // Rows past the end are read as the last one and count nothing.
    let wanted = row + vec4<u32>(0u, SLICES, 2u * SLICES, 3u * SLICES);
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
    let p4 = first_column(rows, j + 4u);
    let p5 = first_column(rows, j + 5u);
    let p6 = first_column(rows, j + 6u);
    let p7 = first_column(rows, j + 7u);
    c0 += p0.x * q0 + p0.y * q1 + p0.z * q2 + p0.w * q3;
    c1 += p1.x * q0 + p1.y * q1 + p1.z * q2 + p1.w * q3;
    c2 += p2.x * q0 + p2.y * q1 + p2.z * q2 + p2.w * q3;
    c3 += p3.x * q0 + p3.y * q1 + p3.z * q2 + p3.w * q3;
    c4 += p4.x * q0 + p4.y * q1 + p4.z * q2 + p4.w * q3;
    c5 += p5.x * q0 + p5.y * q1 + p5.z * q2 + p5.w * q3;
    c6 += p6.x * q0 + p6.y * q1 + p6.z * q2 + p6.w * q3;
    c7 += p7.x * q0 + p7.y * q1 + p7.z * q2 + p7.w * q3;
  }
  return array<vec4<f32>, 8>(c0, c1, c2, c3, c4, c5, c6, c7);
}

fn store_first(j: u32, n: u32, sum: f32) {
  if (j < call.first_j_len && n < call.first_n_len) {
    let at = call.first_offset + j * call.first_j_stride + n * call.first_n_stride;
    out[at] = call.first_scale * sum;
  }
}

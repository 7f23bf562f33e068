// Layer norm, one thread per row. What is normalized comes from `value_at`, which the text before
// this one defines.
@compute @workgroup_size(8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= call.rows) { return; }
  let at = id.x * call.dim4;
  var total = vec4<f32>();
  for (var c = 0u; c < call.dim4; c++) {
    let value = value_at(at + c);
    total += value;
    y[at + c] = value;
  }
  let share = 1.0 / f32(call.dim4 * 4u);
  let mean = (total.x + total.y + total.z + total.w) * share;
  var squares = vec4<f32>();
  for (var c = 0u; c < call.dim4; c++) {
    let centred = y[at + c] - mean;
    squares += centred * centred;
  }
  let variance = (squares.x + squares.y + squares.z + squares.w) * share;
  let scale = 1.0 / sqrt(variance + call.eps);
  rstd[id.x] = scale;
  for (var c = 0u; c < call.dim4; c++) {
    y[at + c] = (y[at + c] - mean) * scale * gain[c] + bias[c];
  }
}

// Loss of the next token, one workgroup per row of a chunk of logits: -log softmax(logits)[label]
// times the row's weight. The logits' gradient takes their place where it is wanted. `labels` holds
// each row's label, and the bits of its weight; one outside of the vocabulary marks a row that is not
// scored.
struct Call { rows: u32, vocabulary: u32, first: u32, gradient: u32 }
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> labels: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> logits: array<f32>;
@group(0) @binding(3) var<storage, read_write> losses: array<f32>;

const LANES: u32 = 32u;
var<workgroup> parts: array<f32, LANES>;
var<workgroup> own: f32;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.y * groups.x + group.x;
  // The same in all lanes: rows past the end do as the last one does, and write nothing.
  let counts = row < call.rows;
  let known = min(row, call.rows - 1u);
  let at = known * call.vocabulary;
  let label = labels[call.first + known].x;
  let is_scored = label < call.vocabulary;

  var top = -1e30;
  for (var c = lane; c < call.vocabulary; c += LANES) {
    let value = logits[at + c];
    top = max(top, value);
    if (c == label) { own = value; }
  }
  parts[lane] = top;
  workgroupBarrier();
  for (var i = 0u; i < LANES; i++) { top = max(top, parts[i]); }
  workgroupBarrier();

  var weight = 0.0;
  for (var c = lane; c < call.vocabulary; c += LANES) { weight += exp(logits[at + c] - top); }
  parts[lane] = weight;
  workgroupBarrier();
  weight = 0.0;
  for (var i = 0u; i < LANES; i++) { weight += parts[i]; }

  let share = select(0.0, bitcast<f32>(labels[call.first + known].y), is_scored);
  if (counts && lane == 0u) {
    losses[call.first + row] = select(0.0, (top + log(weight) - own) * share, is_scored);
  }
  if (counts && call.gradient != 0u) {
    let scale = share / weight;
    for (var c = lane; c < call.vocabulary; c += LANES) {
      let p = exp(logits[at + c] - top) * scale;
      logits[at + c] = p - select(0.0, share, c == label);
    }
  }
}

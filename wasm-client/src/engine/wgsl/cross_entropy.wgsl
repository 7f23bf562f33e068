// Mean over the batch of -log softmax(logits)[label], and its gradient; one workgroup.
struct Call { batch: u32, classes: u32 }
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> sequences: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read_write> d_logits: array<f32>;
@group(0) @binding(4) var<storage, read_write> loss: array<f32>;

var<workgroup> parts: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
  let share = 1.0 / f32(call.batch);
  var part = 0.0;
  for (var b = lane; b < call.batch; b += 64u) {
    let at = b * call.classes;
    let label = sequences[b].z;
    var top = logits[at];
    for (var c = 1u; c < call.classes; c++) { top = max(top, logits[at + c]); }
    var weight = 0.0;
    for (var c = 0u; c < call.classes; c++) { weight += exp(logits[at + c] - top); }
    for (var c = 0u; c < call.classes; c++) {
      let p = exp(logits[at + c] - top) / weight;
      d_logits[at + c] = (p - select(0.0, 1.0, c == label)) * share;
    }
    part += (top + log(weight) - logits[at + label]) * share;
  }
  parts[lane] = part;
  workgroupBarrier();
  if (lane == 0u) {
    var sum = 0.0;
    for (var i = 0u; i < 64u; i++) { sum += parts[i]; }
    loss[0] = sum;
  }
}

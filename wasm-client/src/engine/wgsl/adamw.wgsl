// AdamW (Loshchilov and Hutter 2019, algorithm 2) over the whole flat adapter.
struct Call {
  len4: u32, decay: f32, beta1: f32, beta2: f32,
  rate: f32, correction1: f32, correction2: f32, eps: f32,
}
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> gradient: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> adapter: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> first: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> second: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
) {
  let at = id.y * groups.x * 64u + id.x;
  if (at >= call.len4) { return; }
  let g = gradient[at];
  let m = call.beta1 * first[at] + (1.0 - call.beta1) * g;
  let v = call.beta2 * second[at] + (1.0 - call.beta2) * g * g;
  first[at] = m;
  second[at] = v;
  let step = (m * call.correction1) / (sqrt(v * call.correction2) + call.eps);
  adapter[at] = adapter[at] * call.decay - call.rate * step;
}

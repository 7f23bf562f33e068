struct Call { rows: u32, dim4: u32, eps: f32 }
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> gain: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> rstd: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

fn value_at(at: u32) -> vec4<f32> { return x[at]; }


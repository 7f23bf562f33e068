@group(0) @binding(2) var<storage, read> word: array<vec4<f32>>;

fn word_vector(row: u32, column: u32) -> vec4<f32> {
  return word[row * call.dim4 + column];
}


// Token rows: word (or the prompt's row) + position + token type 0 where there are types. `rows` holds per row: token
// id, or the virtual token's number; 1 if virtual; position; sequence. `word_vector` reads the word
// table, whatever it is kept in; that may be a part of the table, `held` words from `first` on, and
// then the other rows are left to the other parts.
struct Call { count: u32, dim4: u32, prompt_offset: u32, word_rows: u32,
  first: u32, held: u32, typed: u32 }
@group(0) @binding(0) var<uniform> call: Call;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> position: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> token_type: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> adapter: array<f32>;
@group(0) @binding(OUT) var<storage, read_write> out: array<vec4<f32>>;

// Virtual tokens are zero then.
const NO_PROMPT: u32 = 0xffffffffu;

@compute @workgroup_size(64)
fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
) {
  let at = id.y * groups.x * 64u + id.x;
  if (at >= call.count) { return; }
  let row = rows[at / call.dim4];
  let column = at % call.dim4;
  var rest = position[row.z * call.dim4 + column];
  if (call.typed != 0u) { rest += token_type[column]; }
  if (row.y == 0u) {
    // Below `first` the difference wraps.
    let word_at = row.x - call.first;
    if (word_at < call.held) { out[at] = rest + word_vector(word_at, column); }
  } else if (call.first == 0u) {
    var value = vec4<f32>();
    if (call.prompt_offset != NO_PROMPT) {
      let p = call.prompt_offset + (row.x * call.dim4 + column) * 4u;
      value = vec4<f32>(adapter[p], adapter[p + 1u], adapter[p + 2u], adapter[p + 3u]);
    }
    out[at] = rest + value;
  }
}

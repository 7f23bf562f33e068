// A decoder with random weights in the shape of a `config.json`, streamed into the engine of the
// module given as a safetensors file that is made on the way; then steps of training. Runs in the page.

/** Values of a piece of the file. */
const PIECE = 1 << 21;

/** The tensors of a decoder of Llama's kind: name and shape. */
function tensors(config) {
  const { hidden_size: dim, intermediate_size: mlp, num_hidden_layers: layers, vocab_size: vocabulary } = config;
  const head = dim / config.num_attention_heads;
  const keys = config.num_key_value_heads * head;
  const list = [["model.embed_tokens.weight", [vocabulary, dim]]];
  for (let i = 0; i < layers; i++) {
    const at = `model.layers.${i}.`;
    list.push([`${at}input_layernorm.weight`, [dim]]);
    list.push([`${at}post_attention_layernorm.weight`, [dim]]);
    list.push([`${at}self_attn.q_proj.weight`, [dim, dim]]);
    list.push([`${at}self_attn.k_proj.weight`, [keys, dim]]);
    list.push([`${at}self_attn.v_proj.weight`, [keys, dim]]);
    list.push([`${at}self_attn.o_proj.weight`, [dim, dim]]);
    list.push([`${at}mlp.gate_proj.weight`, [mlp, dim]]);
    list.push([`${at}mlp.up_proj.weight`, [mlp, dim]]);
    list.push([`${at}mlp.down_proj.weight`, [dim, mlp]]);
  }
  list.push(["model.norm.weight", [dim]]);
  if (!config.tie_word_embeddings) list.push(["lm_head.weight", [vocabulary, dim]]);
  return list;
}

const count = (shape) => shape.reduce((product, size) => product * size, 1);

/** The file's header: eight bytes of length, then where each tensor lies. */
function header(list) {
  const entries = {};
  let start = 0;
  for (const [name, shape] of list) {
    const end = start + 2 * count(shape);
    entries[name] = { dtype: "BF16", shape, data_offsets: [start, end] };
    start = end;
  }
  const text = new TextEncoder().encode(JSON.stringify(entries));
  const bytes = new Uint8Array(8 + text.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

/** Pieces of a tensor in bf16: ones for a norm, else uniform within the root of 3 over its columns. */
function* pieces(shape, next) {
  const values = count(shape);
  const bound = Math.sqrt(3 / shape.at(-1));
  for (let done = 0; done < values; done += PIECE) {
    const floats = new Float32Array(Math.min(PIECE, values - done));
    if (shape.length === 1) floats.fill(1);
    else for (let i = 0; i < floats.length; i++) floats[i] = (2 * next() - 1) * bound;
    const bits = new Uint32Array(floats.buffer);
    yield new Uint8Array(Uint16Array.from(bits, (word) => word >>> 16).buffer);
  }
}

/** A linear congruential generator; in [0, 1). */
function generator(state) {
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 4294967296;
}

/** Loads the model and takes the steps. */
export async function evaluate({ module, config, precision, lora, sequence, batch, steps }) {
  const engine = await import(module);
  const exports = await engine.default();
  const model = await engine.LanguageModel.open();
  const started = performance.now();
  model.beginWeights(JSON.stringify(config), precision);
  const list = tensors(config);
  const next = generator(7);
  const parameters = list.reduce((sum, [, shape]) => sum + count(shape), 0);
  let [said, done] = [0, 0];
  model.addWeights(header(list));
  for (const [, shape] of list) {
    for (const piece of pieces(shape, next)) model.addWeights(piece);
    done += count(shape);
    if (performance.now() - said > 2000) {
      said = performance.now();
      await window.say(`${Math.round((100 * done) / parameters)} % of ${parameters} values`);
    }
  }
  model.endFile();
  model.finishWeights();
  const loadMs = performance.now() - started;
  const adapterValues = model.addAdapter({ lora, seed: 1n });
  const [losses, wallMs, cpuMs] = [[], [], []];
  const rows = Array.from({ length: batch }, () =>
    Array.from({ length: sequence + 1 }, () => Math.floor(next() * config.vocab_size)),
  );
  const tokens = Uint32Array.from(rows.flatMap((row) => row.slice(0, -1)));
  const labels = Uint32Array.from(rows.flatMap((row) => row.slice(1)));
  const starts = Uint32Array.from({ length: batch + 1 }, (_, i) => i * sequence);
  for (let step = 0; step < steps; step++) {
    const [wall, cpu] = [performance.now(), await window.cpuMs()];
    losses.push(await model.step(tokens, starts, labels));
    cpuMs.push((await window.cpuMs()) - cpu);
    wallMs.push(performance.now() - wall);
    await window.say(`step ${step}: loss ${losses.at(-1).toFixed(4)}, ${Math.round(wallMs.at(-1))} ms`);
  }
  const counts = model.counts();
  const wasmBytes = exports.memory.buffer.byteLength;
  return { parameters, adapterValues, loadMs, losses, wallMs, cpuMs, wasmBytes, ...counts };
}

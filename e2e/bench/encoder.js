// The training workload "encoder" (version 1) through the tab's own API: the shape of
// all-MiniLM-L6-v2, weights and tokens from a fixed generator, LoRA on q and v, a head of 77
// classes. Runs in the page.

const [DIM, LAYERS, MLP, VOCABULARY, POSITIONS, CLASSES, SEQUENCE, BATCH, RANK] = [384, 6, 1536, 30522, 512, 77, 64, 8, 8];
const BATCHES = 4;

/** A linear congruential generator seeded by FNV-1a of a name. */
function generator(name) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 16777619) >>> 0;
  let state = hash;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0);
}

function uniform(name, count, bound) {
  const next = generator(name);
  return Float32Array.from({ length: count }, () => (2 * ((next() >>> 8) / 16777216) - 1) * bound);
}

function gain(name, count) {
  const next = generator(name);
  return Float32Array.from({ length: count }, () => 1 + (2 * ((next() >>> 8) / 16777216) - 1) * 0.1);
}

const fanIn = (name, rows, columns) => uniform(name, rows * columns, Math.sqrt(3 / rows));

/** The checkpoint's layout is [out, in], the workload's [in, out]. */
function transposed(values, rows, columns) {
  const result = new Float32Array(values.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) result[j * rows + i] = values[i * columns + j];
  return result;
}

function tensors() {
  const list = [];
  const add = (name, shape, values) => list.push({ name, shape, values });
  const norm = (name, place) => {
    add(`${place}.LayerNorm.weight`, [DIM], gain(`${name}.g`, DIM));
    add(`${place}.LayerNorm.bias`, [DIM], uniform(`${name}.b`, DIM, 0.02));
  };
  const linear = (weight, bias, place, rows, columns) => {
    add(`${place}.weight`, [columns, rows], transposed(fanIn(weight, rows, columns), rows, columns));
    add(`${place}.bias`, [columns], uniform(bias, columns, 0.02));
  };
  add("embeddings.word_embeddings.weight", [VOCABULARY, DIM], uniform("emb.word", VOCABULARY * DIM, 0.05));
  add("embeddings.position_embeddings.weight", [POSITIONS, DIM], uniform("emb.pos", POSITIONS * DIM, 0.02));
  add("embeddings.token_type_embeddings.weight", [2, DIM], uniform("emb.type", 2 * DIM, 0.02));
  norm("emb.ln", "embeddings");
  for (let i = 0; i < LAYERS; i++) {
    const [from, to] = [`layers.${i}.`, `encoder.layer.${i}.`];
    for (const [letter, name] of [["q", "query"], ["k", "key"], ["v", "value"]]) {
      linear(`${from}w${letter}`, `${from}b${letter}`, `${to}attention.self.${name}`, DIM, DIM);
    }
    linear(`${from}wo`, `${from}bo`, `${to}attention.output.dense`, DIM, DIM);
    norm(`${from}ln1`, `${to}attention.output`);
    linear(`${from}w1`, `${from}b1`, `${to}intermediate.dense`, DIM, MLP);
    linear(`${from}w2`, `${from}b2`, `${to}output.dense`, MLP, DIM);
    norm(`${from}ln2`, `${to}output`);
  }
  return list;
}

/** The bytes of a safetensors file: length of the header, header, values. */
function* safetensors(list) {
  const header = {};
  let at = 0;
  for (const { name, shape, values } of list) {
    header[name] = { dtype: "F32", shape, data_offsets: [at, (at += values.byteLength)] };
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true);
  yield length;
  yield text;
  for (const { values } of list) yield new Uint8Array(values.buffer);
}

function adapter() {
  const parts = [];
  for (let i = 0; i < LAYERS; i++) {
    for (const letter of ["q", "v"]) {
      parts.push(fanIn(`layers.${i}.w${letter}.lora_a`, DIM, RANK));
      parts.push(uniform(`layers.${i}.w${letter}.lora_b`, RANK * DIM, 0.02));
    }
  }
  parts.push(fanIn("cls.w", DIM, CLASSES), new Float32Array(CLASSES));
  const flat = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    flat.set(part, at);
    at += part.length;
  }
  return flat;
}

/** Rows without their padding; the generator draws the padding too. */
function batch(k) {
  const next = generator(`tokens.encoder.${k}`);
  const drawn = Array.from({ length: BATCH * SEQUENCE }, () => (next() >>> 8) % VOCABULARY);
  const labels = Uint32Array.from({ length: BATCH }, () => (next() >>> 8) % CLASSES);
  const tokens = [];
  const starts = [0];
  for (let row = 0; row < BATCH; row++) {
    tokens.push(...drawn.slice(row * SEQUENCE, row * SEQUENCE + SEQUENCE - 4 * row));
    starts.push(tokens.length);
  }
  return { tokens: Uint32Array.from(tokens), starts: Uint32Array.from(starts), labels };
}

/** Trains on one engine: losses, times by wall and by the clock given, counts. */
export async function trainEncoder({ module, config, precision, warm, timed, cpuMs, onStep }) {
  const engine = await import(module);
  await engine.default();
  const trainer = await engine.Trainer.open(config, precision);
  for (const chunk of safetensors(tensors())) trainer.addWeights(chunk);
  trainer.finishWeights();
  trainer.setAdapter(adapter());
  const batches = Array.from({ length: BATCHES }, (_, k) => batch(k));
  const [losses, walls, cpus] = [[], [], []];
  for (let step = 0; step < warm + timed; step++) {
    const { tokens, starts, labels } = batches[step % BATCHES];
    const cpuBefore = await cpuMs();
    const before = performance.now();
    trainer.setExamples(tokens, starts, labels, 0n);
    const { loss } = await trainer.step();
    walls.push(performance.now() - before);
    const cpuAfter = await cpuMs();
    cpus.push(cpuBefore === null ? null : cpuAfter - cpuBefore);
    losses.push(loss);
    await onStep(step, loss, walls[step]);
  }
  const counts = trainer.counts();
  const info = trainer.info();
  trainer.free();
  return { info, losses, walls, cpus, counts };
}

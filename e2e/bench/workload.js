// The training workloads (version 1), exactly: sizes, weights and tokens from a fixed generator, so
// that every library that trains them has the same loss at every step. Runs in the page.
//
// Matrices are [in, out], row-major. The decoder is Llama-style with LoRA on q, k, v and o; the
// encoder has the shape of all-MiniLM-L6-v2 with LoRA on q and v and a head.

export const DECODER = { dim: 256, layers: 4, heads: 4, mlp: 688, vocabulary: 1024, sequence: 128, batch: 4 };
export const ENCODER = {
  dim: 384,
  layers: 6,
  heads: 12,
  mlp: 1536,
  vocabulary: 30522,
  positions: 512,
  sequence: 64,
  batch: 8,
  classes: 77,
};
/** AdamW of both workloads, on every trained tensor. */
export const OPTIMIZER = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01 };
/** alpha over rank of LoRA. */
export const LORA_SCALE = 2;
const RANK = 8;
/** Batches of a workload; steps take them in turn. */
const BATCHES = 4;

/** A linear congruential generator seeded by FNV-1a of a name. */
function generator(name) {
  let state = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) state = Math.imul(state ^ name.charCodeAt(i), 16777619) >>> 0;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0);
}

/** In [0, 1), exact in f32. */
const unit = (next) => (next() >>> 8) / 16777216;

function uniform(name, count, bound) {
  const next = generator(name);
  return Float32Array.from({ length: count }, () => (2 * unit(next) - 1) * bound);
}

function gain(name, count) {
  const next = generator(name);
  return Float32Array.from({ length: count }, () => 1 + (2 * unit(next) - 1) * 0.1);
}

/** Tensors by name, frozen and trained, in the order in which they are added. */
class Tensors {
  frozen = new Map();
  trained = new Map();

  bounded(name, shape, bound, into = this.frozen) {
    const count = shape.reduce((product, size) => product * size, 1);
    into.set(name, { shape, values: uniform(name, count, bound) });
  }

  matrix(name, rows, columns, into = this.frozen) {
    this.bounded(name, [rows, columns], Math.sqrt(3 / rows), into);
  }

  gain(name, count) {
    this.frozen.set(name, { shape: [count], values: gain(name, count) });
  }

  lora(name, dim) {
    this.matrix(`${name}.lora_a`, dim, RANK, this.trained);
    this.bounded(`${name}.lora_b`, [RANK, dim], 0.02, this.trained);
  }

  /** Gain and shift of a normalisation. */
  norm(name, dim) {
    this.gain(`${name}.g`, dim);
    this.bounded(`${name}.b`, [dim], 0.02);
  }
}

/** The decoder: tensors, rotary tables `[sequence, head / 2]`, batches of tokens and targets. Of other sizes it is no workload. */
export function decoder(sizes = DECODER) {
  const { dim, layers, mlp, vocabulary } = sizes;
  const tensors = new Tensors();
  tensors.bounded("embed", [vocabulary, dim], 1);
  for (let i = 0; i < layers; i++) {
    const at = `layers.${i}.`;
    tensors.gain(`${at}attn_norm`, dim);
    for (const name of ["wq", "wk", "wv", "wo"]) {
      tensors.matrix(at + name, dim, dim);
      tensors.lora(at + name, dim);
    }
    tensors.gain(`${at}mlp_norm`, dim);
    tensors.matrix(`${at}w_gate`, dim, mlp);
    tensors.matrix(`${at}w_up`, dim, mlp);
    tensors.matrix(`${at}w_down`, mlp, dim);
  }
  tensors.gain("norm", dim);
  tensors.matrix("lm_head", dim, vocabulary);
  const { frozen, trained } = tensors;
  return { shape: sizes, frozen, trained, rotary: rotaryTables(sizes), batches: batches((k) => decoderBatch(sizes, k)) };
}

function rotaryTables({ dim, heads, sequence }) {
  const head = dim / heads;
  const half = head / 2;
  const angle = (i) => Math.floor(i / half) * 10000 ** ((-2 * (i % half)) / head);
  const table = (f) => Float32Array.from({ length: sequence * half }, (_, i) => f(angle(i)));
  return { cos: table(Math.cos), sin: table(Math.sin) };
}

function decoderBatch({ sequence, batch, vocabulary }, k) {
  const next = generator(`tokens.decoder.${k}`);
  const tokens = new Int32Array(batch * sequence);
  const targets = new Int32Array(batch * sequence);
  for (let row = 0; row < batch; row++) {
    const drawn = Array.from({ length: sequence + 1 }, () => (next() >>> 8) % vocabulary);
    tokens.set(drawn.slice(0, sequence), row * sequence);
    targets.set(drawn.slice(1), row * sequence);
  }
  return { tokens, targets };
}

/** The encoder: tensors, the rows' lengths without padding, batches of tokens and labels. Of other sizes it is no workload. */
export function encoder(sizes = ENCODER) {
  const { dim, layers, mlp, vocabulary, positions, classes } = sizes;
  const tensors = new Tensors();
  tensors.bounded("emb.word", [vocabulary, dim], 0.05);
  tensors.bounded("emb.pos", [positions, dim], 0.02);
  tensors.bounded("emb.type", [2, dim], 0.02);
  tensors.norm("emb.ln", dim);
  for (let i = 0; i < layers; i++) {
    const at = `layers.${i}.`;
    for (const letter of ["q", "k", "v", "o"]) {
      tensors.matrix(`${at}w${letter}`, dim, dim);
      tensors.bounded(`${at}b${letter}`, [dim], 0.02);
    }
    tensors.lora(`${at}wq`, dim);
    tensors.lora(`${at}wv`, dim);
    tensors.norm(`${at}ln1`, dim);
    tensors.matrix(`${at}w1`, dim, mlp);
    tensors.bounded(`${at}b1`, [mlp], 0.02);
    tensors.matrix(`${at}w2`, mlp, dim);
    tensors.bounded(`${at}b2`, [dim], 0.02);
    tensors.norm(`${at}ln2`, dim);
  }
  tensors.matrix("cls.w", dim, classes, tensors.trained);
  tensors.trained.set("cls.b", { shape: [classes], values: new Float32Array(classes) });
  const { frozen, trained } = tensors;
  return { shape: sizes, frozen, trained, lengths: lengths(sizes), batches: batches((k) => encoderBatch(sizes, k)) };
}

function lengths({ batch, sequence }) {
  return Array.from({ length: batch }, (_, row) => sequence - 4 * row);
}

/** The generator draws the padding too. */
function encoderBatch({ sequence, batch, vocabulary, classes }, k) {
  const next = generator(`tokens.encoder.${k}`);
  const tokens = Int32Array.from({ length: batch * sequence }, () => (next() >>> 8) % vocabulary);
  const targets = Int32Array.from({ length: batch }, () => (next() >>> 8) % classes);
  return { tokens, targets };
}

function batches(batch) {
  return Array.from({ length: BATCHES }, (_, k) => batch(k));
}

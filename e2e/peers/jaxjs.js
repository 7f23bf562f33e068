// jax-js: the whole step, loss, gradients and AdamW, in one `jit`. Runs in the page.
//
// Its arrays are counted by hand: an operation takes what it is given, `.ref` keeps it.
import { blockUntilReady, defaultDevice, init, jit, lax, nn, numpy as np, valueAndGrad } from "@jax-js/jax";
import { decoder, encoder, LORA_SCALE, OPTIMIZER } from "../bench/workload.js";

const ADAM = OPTIMIZER;

/** Makes the model on `backend`: "wasm" or "webgpu". */
export async function open({ workload, backend }) {
  await init(backend);
  defaultDevice(backend);
  const { loss, table, trained, frozen, constants, classes, batches } = { decoder: llama, encoder: bert }[workload]();
  const gradient = valueAndGrad((trained, frozen, constants, table, tokens, targets) => {
    const value = loss({ trained, frozen, constants }, np.take(table, tokens, 0), nn.oneHot(targets, classes));
    [trained, frozen, constants].forEach(dispose);
    return value;
  });
  const step = jit((trained, first, second, corrections, frozen, constants, table, tokens, targets) => {
    const [value, gradients] = gradient(kept(trained), frozen, constants, table, tokens, targets);
    return [value, ...adamW(trained, first, second, corrections, gradients)];
  });
  let state = { trained, first: zeros(trained), second: zeros(trained) };
  await blockUntilReady([state, frozen, constants, table]);
  return {
    threads: backend === "wasm" && crossOriginIsolated ? navigator.hardwareConcurrency : 1,
    async step(index) {
      const { tokens, targets } = batches[index % batches.length];
      const [value, trained, first, second] = step(
        state.trained,
        state.first,
        state.second,
        { first: correction(ADAM.beta1, index), second: correction(ADAM.beta2, index) },
        kept(frozen),
        kept(constants),
        table.ref,
        np.array(tokens, { dtype: np.int32 }),
        np.array(targets, { dtype: np.int32 }),
      );
      state = { trained, first, second };
      return (await value.data())[0];
    },
  };
}

function adamW(trained, first, second, corrections, gradients) {
  const { learningRate, beta1, beta2, eps, weightDecay } = ADAM;
  const [nextTrained, nextFirst, nextSecond] = [{}, {}, {}];
  for (const [name, gradient] of Object.entries(gradients)) {
    const mean = first[name].mul(beta1).add(gradient.ref.mul(1 - beta1));
    const square = second[name].mul(beta2).add(np.square(gradient).mul(1 - beta2));
    nextFirst[name] = mean.ref;
    nextSecond[name] = square.ref;
    const direction = mean.mul(corrections.first.ref).div(np.sqrt(square.mul(corrections.second.ref)).add(eps));
    nextTrained[name] = trained[name].mul(1 - learningRate * weightDecay).sub(direction.mul(learningRate));
  }
  dispose(corrections);
  return [nextTrained, nextFirst, nextSecond];
}

/** An argument and no constant, or every step would be compiled anew. */
function correction(beta, index) {
  return array({ shape: [], values: new Float32Array([1 / (1 - beta ** (index + 1))]) });
}

function array({ shape, values }) {
  return np.array(values, { dtype: np.float32 }).reshape(shape);
}

const mapped = (tree, f) => Object.fromEntries(Object.entries(tree).map(([name, leaf]) => [name, f(leaf)]));
const kept = (tree) => mapped(tree, (leaf) => leaf.ref);
const zeros = (tree) => mapped(tree, (leaf) => np.zeros(leaf.shape));
const dispose = (tree) => Object.values(tree).forEach((leaf) => leaf.dispose());
const arrays = (tensors) => mapped(Object.fromEntries(tensors), array);

function lora({ trained, frozen }, x, name) {
  const delta = np.matmul(np.matmul(x.ref, trained[`${name}.lora_a`].ref), trained[`${name}.lora_b`].ref);
  return np.matmul(x, frozen[name].ref).add(delta.mul(LORA_SCALE));
}

/** Mean over the rows of the cross entropy; consumes both. */
function crossEntropy(logits, oneHot, rows) {
  return nn.logSoftmax(logits, -1).mul(oneHot).sum().mul(-1 / rows);
}

function llama() {
  const { shape, frozen, trained, rotary, batches } = decoder();
  const table = array(frozen.get("embed"));
  frozen.delete("embed");
  const { dim, layers, heads, sequence, batch, vocabulary } = shape;
  const [head, rows] = [dim / heads, batch * sequence];
  const norm = ({ frozen }, x, name) => {
    const mean = np.mean(np.square(x.ref), -1, { keepdims: true });
    return x.mul(np.reciprocal(np.sqrt(mean.add(1e-5)))).mul(frozen[name].ref);
  };
  const split = (x) => x.reshape([batch, sequence, heads, head]);
  // Both halves at once: x cos + (halves exchanged) sin, the sine's first half negative.
  const rotated = ({ constants }, x) => {
    const exchanged = np.flip(x.ref.reshape([batch, sequence, heads, 2, head / 2]), 3);
    return x.mul(constants.cos.ref).add(split(exchanged).mul(constants.sin.ref));
  };
  const layer = (model, x, at) => {
    const h = norm(model, x.ref, `${at}attn_norm`);
    const q = rotated(model, split(lora(model, h.ref, `${at}wq`)));
    const k = rotated(model, split(lora(model, h.ref, `${at}wk`)));
    const v = split(lora(model, h, `${at}wv`));
    const mixed = nn.dotProductAttention(q, k, v, { isCausal: true }).reshape([rows, dim]);
    const y = x.add(lora(model, mixed, `${at}wo`));
    const g = norm(model, y.ref, `${at}mlp_norm`);
    const gate = nn.silu(np.matmul(g.ref, model.frozen[`${at}w_gate`].ref));
    const up = np.matmul(g, model.frozen[`${at}w_up`].ref);
    return y.add(np.matmul(gate.mul(up), model.frozen[`${at}w_down`].ref));
  };
  const loss = (model, embedded, oneHot) => {
    let x = embedded;
    for (let i = 0; i < layers; i++) x = layer(model, x, `layers.${i}.`);
    const logits = np.matmul(norm(model, x, "norm"), model.frozen.lm_head.ref);
    return crossEntropy(logits, oneHot, rows);
  };
  const constants = { cos: wholeHead(rotary.cos, head, 1), sin: wholeHead(rotary.sin, head, -1) };
  return { loss, table, trained: arrays(trained), frozen: arrays(frozen), constants, classes: vocabulary, batches };
}

/** A rotary table for both halves of a head, the first with this sign. */
function wholeHead(values, head, sign) {
  const half = head / 2;
  const both = Float32Array.from({ length: values.length * 2 }, (_, i) => {
    const value = values[Math.floor(i / head) * half + (i % half)];
    return i % head < half ? sign * value : value;
  });
  return array({ shape: [1, values.length / half, 1, head], values: both });
}

function bert() {
  const { shape, frozen, trained, lengths, batches } = encoder();
  const { dim, layers, heads, sequence, batch, classes } = shape;
  const rows = batch * sequence;
  const table = array(frozen.get("emb.word"));
  const constants = masks(lengths, shape);
  constants.positions = array({ shape: [1, sequence, dim], values: frozen.get("emb.pos").values.slice(0, sequence * dim) });
  constants.type = array({ shape: [1, 1, dim], values: frozen.get("emb.type").values.slice(0, dim) });
  ["emb.word", "emb.pos", "emb.type"].forEach((name) => frozen.delete(name));
  const norm = ({ frozen }, x, name) => {
    const centred = x.ref.sub(np.mean(x, -1, { keepdims: true }));
    const variance = np.mean(np.square(centred.ref), -1, { keepdims: true }).add(1e-12);
    const scale = np.reciprocal(np.sqrt(variance));
    return centred.mul(scale).mul(frozen[`${name}.g`].ref).add(frozen[`${name}.b`].ref);
  };
  const split = (x) => x.reshape([batch, sequence, heads, dim / heads]);
  const biased = ({ frozen }, x, name) => x.add(frozen[name].ref);
  const linear = (model, x, weight, bias) => biased(model, np.matmul(x, model.frozen[weight].ref), bias);
  const layer = (model, x, at) => {
    const q = split(biased(model, lora(model, x.ref, `${at}wq`), `${at}bq`));
    const k = split(linear(model, x.ref, `${at}wk`, `${at}bk`));
    const v = split(biased(model, lora(model, x.ref, `${at}wv`), `${at}bv`));
    const mixed = nn.dotProductAttention(q, k, v, { bias: model.constants.mask.ref }).reshape([rows, dim]);
    const y = norm(model, x.add(linear(model, mixed, `${at}wo`, `${at}bo`)), `${at}ln1`);
    const g = gelu(linear(model, y.ref, `${at}w1`, `${at}b1`));
    return norm(model, y.add(linear(model, g, `${at}w2`, `${at}b2`)), `${at}ln2`);
  };
  const loss = (model, embedded, oneHot) => {
    const { positions, type, pool } = model.constants;
    const words = embedded.reshape([batch, sequence, dim]).add(positions.ref).add(type.ref);
    let x = norm(model, words.reshape([rows, dim]), "emb.ln");
    for (let i = 0; i < layers; i++) x = layer(model, x, `layers.${i}.`);
    const pooled = x.reshape([batch, sequence, dim]).mul(pool.ref).sum(1);
    const logits = np.matmul(pooled, model.trained["cls.w"].ref).add(model.trained["cls.b"].ref);
    return crossEntropy(logits, oneHot, batch);
  };
  return { loss, table, trained: arrays(trained), frozen: arrays(frozen), constants, classes, batches };
}

/** What is added to the scores, and what a position's part of the mean is. */
function masks(lengths, { batch, sequence }) {
  const inside = (i) => i % sequence < lengths[Math.floor(i / sequence)];
  const table = (f) => Float32Array.from({ length: batch * sequence }, (_, i) => f(i));
  return {
    mask: array({ shape: [batch, 1, 1, sequence], values: table((i) => (inside(i) ? 0 : -1e9)) }),
    pool: array({
      shape: [batch, sequence, 1],
      values: table((i) => (inside(i) ? 1 / lengths[Math.floor(i / sequence)] : 0)),
    }),
  };
}

/**
 * GELU by erf. jax-js 0.1.25 takes twenty times as long for the gradient of its own `lax.erf` on
 * wasm; here erf is a constant to it, and its derivative, 2 / sqrt(pi) exp(-x^2), a factor.
 */
function gelu(x) {
  const scaled = x.ref.mul(Math.SQRT1_2);
  const value = lax.stopGradient(lax.erf(scaled.ref));
  const slope = lax.stopGradient(np.exp(np.square(scaled.ref).neg()).mul(2 / Math.sqrt(Math.PI)));
  const erf = value.add(slope.mul(scaled.ref.sub(lax.stopGradient(scaled))));
  return x.mul(0.5).mul(erf.add(1));
}

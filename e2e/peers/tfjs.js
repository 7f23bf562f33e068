// TensorFlow.js: gradients by `variableGrads` within a `tidy`, AdamW by hand on one flat vector, as
// its own Adam knows no weight decay. Runs in the page.
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops";
import "@tensorflow/tfjs-core/dist/register_all_gradients";
import { getThreadsCount, setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import "@tensorflow/tfjs-backend-webgl";
import "@tensorflow/tfjs-backend-webgpu";
import { decoder, encoder, LORA_SCALE, OPTIMIZER } from "../bench/workload.js";

/** Makes the model on `backend`: "webgl", "wasm" or "webgpu"; `assets` is where its wasm lies. */
export async function open({ workload, backend, assets }) {
  setWasmPaths(assets);
  if (!(await tf.setBackend(backend))) throw new Error(`TensorFlow.js has no backend ${backend} here`);
  await tf.ready();
  const { loss, frozen, trained, constants, batches } = { decoder: llama, encoder: bert }[workload]();
  const model = { frozen: mapped(frozen, tensor), trained: mapped(trained, variable), constants };
  const optimizer = adamW(Object.values(model.trained));
  return {
    threads: backend === "wasm" ? getThreadsCount() : 1,
    async step(index) {
      const value = tf.tidy(() => {
        const { tokens, targets } = batches[index % batches.length];
        const [x, y] = [tf.tensor1d(tokens, "int32"), tf.tensor1d(targets, "int32")];
        const { value, grads } = tf.variableGrads(() => loss(model, x, y), optimizer.variables);
        optimizer.apply(grads, index + 1);
        return value;
      });
      const [number] = await value.data();
      value.dispose();
      return number;
    },
  };
}

function adamW(variables) {
  const { learningRate, beta1, beta2, eps, weightDecay } = OPTIMIZER;
  const sizes = variables.map((variable) => variable.size);
  const count = sizes.reduce((sum, size) => sum + size, 0);
  const [first, second] = [tf.variable(tf.zeros([count]), false), tf.variable(tf.zeros([count]), false)];
  const apply = (gradients, step) => {
    const gradient = tf.concat(variables.map(({ name }) => gradients[name].flatten()));
    const values = tf.concat(variables.map((variable) => variable.flatten()));
    first.assign(first.mul(beta1).add(gradient.mul(1 - beta1)));
    second.assign(second.mul(beta2).add(tf.square(gradient).mul(1 - beta2)));
    const root = tf.sqrt(second.mul(1 / (1 - beta2 ** step))).add(eps);
    const change = first.mul(learningRate / (1 - beta1 ** step)).div(root);
    const next = values.mul(1 - learningRate * weightDecay).sub(change);
    tf.split(next, sizes).forEach((part, at) => variables[at].assign(part.reshape(variables[at].shape)));
  };
  return { variables, apply };
}

const mapped = (tensors, f) => Object.fromEntries([...tensors].map(([name, leaf]) => [name, f(leaf, name)]));
const tensor = ({ shape, values }) => tf.tensor(values, shape, "float32");
const variable = (leaf, name) => tf.variable(tensor(leaf), true, name);

function lora({ trained, frozen }, x, name) {
  const delta = tf.matMul(tf.matMul(x, trained[`${name}.lora_a`]), trained[`${name}.lora_b`]);
  return tf.matMul(x, frozen[name]).add(delta.mul(LORA_SCALE));
}

/** softmax(q k^T / sqrt(head) + mask) v, back in [rows, dim]. */
function attention([q, k, v], mask, rows, dim) {
  const scores = tf.matMul(q, k, false, true).mul(1 / Math.sqrt(q.shape[3]));
  const mixed = tf.matMul(tf.softmax(scores.add(mask)), v);
  return mixed.transpose([0, 2, 1, 3]).reshape([rows, dim]);
}

function llama() {
  const { shape, frozen, trained, rotary, batches } = decoder();
  const { dim, layers, heads, sequence, batch, vocabulary } = shape;
  const [head, rows] = [dim / heads, batch * sequence];
  const norm = ({ frozen }, x, name) => x.mul(tf.rsqrt(tf.mean(tf.square(x), -1, true).add(1e-5))).mul(frozen[name]);
  const split = (x) => x.reshape([batch, sequence, heads, head]).transpose([0, 2, 1, 3]);
  const rotated = ({ constants: { cos, sin } }, x) => {
    const [low, high] = tf.split(x, 2, -1);
    return tf.concat([low.mul(cos).sub(high.mul(sin)), high.mul(cos).add(low.mul(sin))], -1);
  };
  const layer = (model, x, at) => {
    const h = norm(model, x, `${at}attn_norm`);
    const [q, k, v] = ["wq", "wk", "wv"].map((name) => split(lora(model, h, at + name)));
    const mixed = attention([rotated(model, q), rotated(model, k), v], model.constants.causal, rows, dim);
    const y = x.add(lora(model, mixed, `${at}wo`));
    const g = norm(model, y, `${at}mlp_norm`);
    const gate = tf.matMul(g, model.frozen[`${at}w_gate`]);
    const gated = gate.mul(tf.sigmoid(gate)).mul(tf.matMul(g, model.frozen[`${at}w_up`]));
    return y.add(tf.matMul(gated, model.frozen[`${at}w_down`]));
  };
  const loss = (model, tokens, targets) => {
    let x = tf.gather(model.frozen.embed, tokens);
    for (let i = 0; i < layers; i++) x = layer(model, x, `layers.${i}.`);
    const logits = tf.matMul(norm(model, x, "norm"), model.frozen.lm_head);
    return tf.losses.softmaxCrossEntropy(tf.oneHot(targets, vocabulary), logits);
  };
  const table = (values) => tf.tensor(values, [1, 1, sequence, head / 2]);
  const after = (i) => i % sequence > Math.floor(i / sequence);
  const causal = Float32Array.from({ length: sequence * sequence }, (_, i) => (after(i) ? -1e9 : 0));
  const constants = {
    cos: table(rotary.cos),
    sin: table(rotary.sin),
    causal: tf.tensor(causal, [1, 1, sequence, sequence]),
  };
  return { loss, frozen, trained, constants, batches };
}

function bert() {
  const { shape, frozen, trained, lengths, batches } = encoder();
  const { dim, layers, heads, sequence, batch, classes } = shape;
  const rows = batch * sequence;
  const constants = masks(lengths, shape);
  constants.positions = tf.tensor(frozen.get("emb.pos").values.slice(0, sequence * dim), [1, sequence, dim]);
  constants.type = tf.tensor(frozen.get("emb.type").values.slice(0, dim), [1, 1, dim]);
  ["emb.pos", "emb.type"].forEach((name) => frozen.delete(name));
  const norm = ({ frozen }, x, name) => {
    const centred = x.sub(tf.mean(x, -1, true));
    const scale = tf.rsqrt(tf.mean(tf.square(centred), -1, true).add(1e-12));
    return centred.mul(scale).mul(frozen[`${name}.g`]).add(frozen[`${name}.b`]);
  };
  const split = (x) => x.reshape([batch, sequence, heads, dim / heads]).transpose([0, 2, 1, 3]);
  const linear = ({ frozen }, x, weight, bias) => tf.matMul(x, frozen[weight]).add(frozen[bias]);
  const gelu = (x) => x.mul(0.5).mul(tf.erf(x.mul(Math.SQRT1_2)).add(1));
  const layer = (model, x, at) => {
    const q = split(lora(model, x, `${at}wq`).add(model.frozen[`${at}bq`]));
    const k = split(linear(model, x, `${at}wk`, `${at}bk`));
    const v = split(lora(model, x, `${at}wv`).add(model.frozen[`${at}bv`]));
    const mixed = attention([q, k, v], model.constants.mask, rows, dim);
    const y = norm(model, x.add(linear(model, mixed, `${at}wo`, `${at}bo`)), `${at}ln1`);
    const g = gelu(linear(model, y, `${at}w1`, `${at}b1`));
    return norm(model, y.add(linear(model, g, `${at}w2`, `${at}b2`)), `${at}ln2`);
  };
  const loss = (model, tokens, targets) => {
    const { positions, type, pool } = model.constants;
    const words = tf.gather(model.frozen["emb.word"], tokens).reshape([batch, sequence, dim]);
    let x = norm(model, words.add(positions).add(type), "emb.ln").reshape([rows, dim]);
    for (let i = 0; i < layers; i++) x = layer(model, x, `layers.${i}.`);
    const pooled = x.reshape([batch, sequence, dim]).mul(pool).sum(1);
    const logits = tf.matMul(pooled, model.trained["cls.w"]).add(model.trained["cls.b"]);
    return tf.losses.softmaxCrossEntropy(tf.oneHot(targets, classes), logits);
  };
  return { loss, frozen, trained, constants, batches };
}

/** What is added to the scores, and what a position's part of the mean is. */
function masks(lengths, { batch, sequence }) {
  const inside = (i) => i % sequence < lengths[Math.floor(i / sequence)];
  const table = (f) => Float32Array.from({ length: batch * sequence }, (_, i) => f(i));
  return {
    mask: tf.tensor(table((i) => (inside(i) ? 0 : -1e9)), [batch, 1, 1, sequence]),
    pool: tf.tensor(table((i) => (inside(i) ? 1 / lengths[Math.floor(i / sequence)] : 0)), [batch, sequence, 1]),
  };
}

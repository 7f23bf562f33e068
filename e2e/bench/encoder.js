// The encoder workload through the tab's own API, on the engine of the module given. Runs in the
// page.
import { encoder } from "./workload.js";

/** The checkpoint's layout is [out, in], the workload's [in, out]. */
export function transposed({ shape: [rows, columns], values }) {
  const result = new Float32Array(values.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) result[j * rows + i] = values[i * columns + j];
  return { shape: [columns, rows], values: result };
}

/** The frozen tensors by their names in a checkpoint. */
function checkpoint({ shape: { layers }, frozen }) {
  const named = new Map();
  const norm = (name, place) => {
    named.set(`${place}.LayerNorm.weight`, frozen.get(`${name}.g`));
    named.set(`${place}.LayerNorm.bias`, frozen.get(`${name}.b`));
  };
  const linear = (weight, bias, place) => {
    named.set(`${place}.weight`, transposed(frozen.get(weight)));
    named.set(`${place}.bias`, frozen.get(bias));
  };
  named.set("embeddings.word_embeddings.weight", frozen.get("emb.word"));
  named.set("embeddings.position_embeddings.weight", frozen.get("emb.pos"));
  named.set("embeddings.token_type_embeddings.weight", frozen.get("emb.type"));
  norm("emb.ln", "embeddings");
  for (let i = 0; i < layers; i++) {
    const [from, to] = [`layers.${i}.`, `encoder.layer.${i}.`];
    for (const [letter, name] of [["q", "query"], ["k", "key"], ["v", "value"]]) {
      linear(`${from}w${letter}`, `${from}b${letter}`, `${to}attention.self.${name}`);
    }
    linear(`${from}wo`, `${from}bo`, `${to}attention.output.dense`);
    norm(`${from}ln1`, `${to}attention.output`);
    linear(`${from}w1`, `${from}b1`, `${to}intermediate.dense`);
    linear(`${from}w2`, `${from}b2`, `${to}output.dense`);
    norm(`${from}ln2`, `${to}output`);
  }
  return named;
}

/** The bytes of a safetensors file: length of the header, header, values. */
export function* safetensors(tensors) {
  const header = {};
  let at = 0;
  for (const [name, { shape, values }] of tensors) {
    header[name] = { dtype: "F32", shape, data_offsets: [at, (at += values.byteLength)] };
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true);
  yield length;
  yield text;
  for (const { values } of tensors.values()) yield new Uint8Array(values.buffer);
}

/** The adapter as one vector; the workload has its parts in the same order. */
export function flat(trained) {
  const parts = [...trained.values()].map(({ values }) => values);
  const result = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

/** Rows without their padding. */
function packed({ tokens, targets }, { shape: { sequence }, lengths }) {
  const kept = [];
  const starts = [0];
  lengths.forEach((length, row) => {
    const start = row * sequence;
    kept.push(...tokens.subarray(start, start + length));
    starts.push(kept.length);
  });
  return { tokens: Uint32Array.from(kept), starts: Uint32Array.from(starts), labels: Uint32Array.from(targets) };
}

/**
 * Makes the model; `module` is the engine's, `config` the task's wire bytes, `precision` that of its
 * frozen matrices, `sizes` the encoder's where it is not the workload; steps are taken in so many
 * `threads`.
 */
export async function open({ module, config, precision, sizes, threads = 1 }) {
  const engine = await import(module);
  const { memory } = await engine.default();
  const workload = encoder(sizes ?? undefined);
  const started = performance.now();
  const trainer = await engine.Trainer.open(Uint8Array.from(config), precision);
  const { kernels, done } = trainer.prepare();
  let preparedMs = null;
  const prepared = done.then(() => (preparedMs = performance.now() - started));
  const weights = () => safetensors(checkpoint(workload));
  for (const chunk of weights()) trainer.addWeights(chunk);
  trainer.finishWeights();
  trainer.setAdapter(flat(workload.trained));
  const examples = workload.batches.map((batch) => packed(batch, workload));
  const joint = threads > 1 ? await openJoint({ trainer, config, payload: "adapter", weights, threads }) : null;
  return {
    threads,
    joint,
    trainer,
    examples,
    // The first one waits for the kernels that were not ready when the last weight came.
    async step(index) {
      await prepared;
      const { tokens, starts, labels } = examples[index % examples.length];
      trainer.setExamples(tokens, starts, labels, 0n);
      return joint === null ? (await trainer.step()).loss : joint.step();
    },
    counts: () => ({ ...trainer.counts(), kernels, preparedMs }),
    wasmBytes: () => memory.buffer.byteLength,
    close() {
      joint?.close();
      trainer.free();
    },
  };
}

/** By the SDK's own parts, which are not built for every bench. */
async function openJoint(given) {
  return (await import("/bench/joint.js")).openJoint(given);
}

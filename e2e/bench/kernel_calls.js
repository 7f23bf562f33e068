// The kernel calls of a page, whoever makes them: which pipeline by its label, with which uniform, in
// how many workgroups. Each can be made again by itself, on the buffers that it had. Runs in the page.
import { repeat } from "./limits.js";

/** Words of a call's uniform. */
const WORDS = 16;
/** Longest table whose contents are kept. */
const TABLE_BYTES = 1 << 20;
/** What a sample takes at least. */
const SAMPLE_MS = 150;
/**
 * Words of a uniform that say where in the adapter or the batch a call's values lie. Calls that differ
 * in no other word do the same work.
 */
const PLACES = { Product: [5], LowRank: [3, 7, 11], ReduceRows: [6, 12], LanguageLoss: [2] };

/** Watches from here on; to be called before the page opens a device. */
export function watchCalls() {
  const pipelines = new WeakMap();
  const bindings = new WeakMap();
  const contents = new WeakMap();
  let [calls, current] = [null, {}];
  wrap(GPUDevice, "createComputePipeline", (device, pipeline, [{ label }]) => pipelines.set(pipeline, { device, label }));
  wrap(GPUDevice, "createBindGroup", (_, group, [{ entries }]) => bindings.set(group, entries.map((entry) => entry.resource)));
  wrap(GPUQueue, "writeBuffer", (_, __, given) => keep(contents, ...given));
  wrap(GPUComputePassEncoder, "setPipeline", (_, __, [pipeline]) => (current = { pipeline }));
  wrap(GPUComputePassEncoder, "setBindGroup", (_, __, [, group, offsets, start]) => {
    Object.assign(current, { group, offset: offsets?.[start ?? 0] ?? 0 });
  });
  wrap(GPUComputePassEncoder, "dispatchWorkgroups", (_, __, [x, y = 1, z = 1]) => {
    calls?.push({ ...current, groups: [x, y, z] });
  });
  const described = (call) => {
    const { device, label } = pipelines.get(call.pipeline);
    const [uniform, first] = bindings.get(call.group);
    const words = wordsAt(contents.get(uniform.buffer), (uniform.offset ?? 0) + call.offset, WORDS);
    // Attention's first buffer is the table of its blocks, whose number is the third word.
    const blocks = label.startsWith("Attention") ? wordsAt(contents.get(first.buffer), 0, 4 * words[2]) : null;
    return { ...call, device, label, words, blocks };
  };
  return {
    start: () => (calls = []),
    stop() {
      const found = calls.map(described);
      calls = null;
      return distinct(found);
    },
  };
}

/** Has `after` hear each call of a method with its result. */
function wrap(type, method, after) {
  const original = type.prototype[method];
  type.prototype[method] = function (...given) {
    const result = original.apply(this, given);
    after(this, result, given);
    return result;
  };
}

/** Notes what is written to a buffer from the page. */
function keep(contents, buffer, at, data, start = 0, size = undefined) {
  if (buffer.size > TABLE_BYTES) return;
  const unit = data.BYTES_PER_ELEMENT ?? 1;
  const bytes = ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data);
  const end = size === undefined ? bytes.length : (start + size) * unit;
  if (!contents.has(buffer)) contents.set(buffer, new Uint8Array(buffer.size));
  contents.get(buffer).set(bytes.subarray(start * unit, end), at);
}

function wordsAt(bytes, at, count) {
  return Array.from(new Uint32Array(bytes.slice(at, at + 4 * count).buffer));
}

/** One of the calls that do the same work, and how many there are. */
function distinct(calls) {
  const known = new Map();
  for (const call of calls) {
    const places = Object.entries(PLACES).find(([kind]) => call.label.includes(kind))?.[1] ?? [];
    const words = call.words.map((word, at) => (places.includes(at) ? 0 : word));
    const key = JSON.stringify([call.label, words, call.groups, call.blocks]);
    if (!known.has(key)) known.set(key, { ...call, count: 0 });
    known.get(key).count += 1;
  }
  return [...known.values()];
}

/** Milliseconds of each call in each round, by either clock. */
export async function timeCalls(calls, { cpuMs, cores, rounds }) {
  const timed = calls.map(({ label, words, groups, blocks, count }) => ({ label, words, groups, blocks, count, ms: [] }));
  for (let round = 0; round < rounds; round++) {
    for (const [at, call] of calls.entries()) {
      const run = (times) => again(call, times);
      await run(1);
      const { cpu, mean } = await repeat(run, { cpuMs, cores, leastMs: SAMPLE_MS });
      timed[at].ms.push({ cpu, wall: mean });
    }
  }
  return timed;
}

async function again({ device, pipeline, group, offset, groups }, times) {
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group, [offset]);
  for (let i = 0; i < times; i++) pass.dispatchWorkgroups(...groups);
  pass.end();
  device.queue.submit([encoder.finish()]);
  await device.queue.onSubmittedWorkDone();
}

// How fast a decoder goes on with a text on the engine of the module given, beside the floor that the
// bytes of its weights set: each token reads all of them once, and no memory gives them faster than it
// is copied in this page. Runs in the page.
import { measureCopies } from "./copies.js";

/** Larger than caches. */
const BYTES = 64 * 1024 * 1024;
/** Tokens before the clock counts. */
const WARM_UP = 8;

async function bytes(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Loads the model of `folder` and goes on with `prompt`, `repetitions` times, by wall time. */
export async function evaluate({ module, folder, precision, prompt, count, repetitions }) {
  const engine = await import(module);
  await engine.default();
  const model = await engine.LanguageModel.open();
  model.beginWeights(new TextDecoder().decode(await bytes(`${folder}/config.json`)), precision);
  model.addWeights(await bytes(`${folder}/model.safetensors`));
  model.endFile();
  model.finishWeights();
  const { device, adapter } = model.info();
  const rates = [];
  const tokenMs = [];
  const seen = [];
  for (let repetition = 0; repetition < repetitions; repetition++) {
    rates.push(device === "cpu" ? copies() : await kernels());
    const text = await goOn(model, { prompt, count });
    tokenMs.push(...text.times.slice(WARM_UP));
    seen.push(text.tokens.join(" "));
    await window.say(`${precision}: ${repetition + 1} of ${repetitions}`);
  }
  if (new Set(seen).size !== 1) throw new Error("the same seed went on in two ways");
  return { device, adapter, gbytes: rates, tokenMs, shape: model.shape() };
}

async function goOn(model, { prompt, count }) {
  model.startText({ temperature: 0.8, topK: 40, seed: 1n });
  let next = Uint32Array.from(prompt);
  const [tokens, times] = [[], []];
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    const token = await model.nextToken(next);
    times.push(performance.now() - start);
    tokens.push(token);
    next = Uint32Array.of(token);
  }
  return { tokens, times };
}

/** GB/s of the processor's copies, bytes read and bytes written: the best of some. */
function copies() {
  const [from, to] = [new Float64Array(BYTES / 8).fill(1.5), new Float64Array(BYTES / 8)];
  let best = 0;
  for (let i = 0; i < 12; i++) {
    const start = performance.now();
    to.set(from);
    best = Math.max(best, (2 * BYTES) / 1e6 / (performance.now() - start));
  }
  return best;
}

/** GB/s of the best copying kernel, by wall time. */
async function kernels() {
  const { kernels } = await measureCopies({ cpuMs: async () => 0, cores: 1, leastMs: 300 });
  return Math.max(...kernels.slice(1).map((one) => one.wall_gbytes));
}

// One reference case through the tab's own API. Runs in the page.
//
// The gradient is read off an optimizer step: with both betas zero and `eps` far above every
// gradient, AdamW's step is `learning_rate / eps` times the gradient.

const BETAS = [0x66, 0x66, 0x66, 0x3f, 0x77, 0xbe, 0x7f, 0x3f]; // 0.9 and 0.999, little-endian
const LARGE = 1e4;

/** The task with an optimizer whose step is the gradient. */
function steppingByGradient(task) {
  const at = task.findIndex((_, place) => BETAS.every((byte, offset) => task[place + offset] === byte));
  if (at < 0) throw new Error("the case's optimizer has other betas than 0.9 and 0.999");
  const changed = task.slice();
  const view = new DataView(changed.buffer);
  [LARGE, 0, 0, LARGE, 0].forEach((value, place) => view.setFloat32(at - 4 + 4 * place, value, true));
  return changed;
}

async function bytes(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

const floats = async (url) => new Float32Array((await bytes(url)).buffer);

/** Losses and, part by part, how far the gradient is from the reference's. */
export async function compare({ module, folder, model }) {
  const engine = await import(module);
  await engine.default();
  const reference = await (await fetch(`${folder}/case.json`)).json();
  const task = Uint8Array.from(reference.task.match(/../g), (pair) => Number.parseInt(pair, 16));
  const weights = await bytes(reference.weights ? `${folder}/${reference.weights}` : `${model}/model.safetensors`);
  const [before, expected] = [await floats(`${folder}/adapter.bin`), await floats(`${folder}/gradient.bin`)];

  const open = async (config) => {
    const trainer = await engine.Trainer.open(config);
    trainer.addWeights(weights);
    trainer.finishWeights();
    trainer.setAdapter(before);
    const { tokens, starts, labels } = reference;
    trainer.setExamples(Uint32Array.from(tokens), Uint32Array.from(starts), Uint32Array.from(labels), 0n);
    return trainer;
  };

  const stepping = await open(steppingByGradient(task));
  await stepping.step();
  const after = await stepping.adapter();
  const info = stepping.info();
  stepping.free();
  const gradient = before.map((value, place) => value - after[place]);
  const parts = reference.parts.map(({ name, start, end }) => ({
    name,
    error: relativeError(gradient.subarray(start, end), expected.subarray(start, end)),
  }));

  const training = await open(task);
  const losses = [];
  for (const expectedLoss of reference.losses) {
    const { loss } = await training.step();
    losses.push({ loss, expected: expectedLoss });
  }
  training.free();
  return { info, tolerance: reference.tolerance, parts, losses };
}

function relativeError(found, expected) {
  let [distance, norm] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    distance += (found[i] - expected[i]) ** 2;
    norm += expected[i] ** 2;
  }
  return Math.sqrt(distance / norm);
}

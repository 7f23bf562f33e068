// One reference case through the tab's own API. Runs in the page.

async function bytes(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

const floats = async (url) => new Float32Array((await bytes(url)).buffer);

/** The device, losses beside the reference's, and how far each part's gradient is from its own. */
export async function compare({ module, folder, model }) {
  const engine = await import(module);
  await engine.default();
  const reference = JSON.parse(new TextDecoder().decode(await bytes(`${folder}/case.json`)));
  const task = Uint8Array.from(reference.task.match(/../g), (pair) => Number.parseInt(pair, 16));
  const weights = reference.weights ? `${folder}/${reference.weights}` : `${model}/model.safetensors`;
  const [adapter, expected] = [await floats(`${folder}/adapter.bin`), await floats(`${folder}/gradient.bin`)];
  const examples = [reference.tokens, reference.starts, reference.labels].map((list) => Uint32Array.from(list));

  const trainer = await engine.Trainer.open(task, reference.precision);
  trainer.addWeights(await bytes(weights));
  trainer.finishWeights();
  trainer.setAdapter(adapter);
  const { loss, gradient } = await trainer.gradient(...examples);
  if (gradient.length !== expected.length) throw new Error(`a gradient of ${gradient.length} coordinates, not ${expected.length}`);
  const kept = await trainer.adapter();
  const errors = reference.parts.map(({ name, start, end }) => ({
    name,
    size: end - start,
    error: relativeError(gradient.subarray(start, end), expected.subarray(start, end)),
  }));

  trainer.setExamples(...examples, 0n);
  const curve = [];
  for (let step = 0; step < reference.losses.length; step++) curve.push((await trainer.step()).loss);
  const { device } = trainer.info();
  trainer.free();
  return {
    device,
    tolerance: reference.tolerance,
    size: expected.length,
    errors,
    isAdapterKept: kept.every((value, place) => value === adapter[place]),
    losses: { gradient: loss, curve, expected: reference.losses },
  };
}

/** `‖found − expected‖ / ‖expected‖`. */
function relativeError(found, expected) {
  let [distance, norm] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    distance += (found[i] - expected[i]) ** 2;
    norm += expected[i] ** 2;
  }
  return Math.sqrt(distance / norm);
}

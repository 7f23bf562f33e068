// One row of the training bench: opens a model and takes its steps, each timed by wall and by the
// clock given. Runs in the page; a row's script exports
//
//   open(options) -> { step(index) -> loss, threads?, counts?(), close?() }
//
// A step ends when its loss is a number here and the update of the parameters is submitted.

/** Opens the script's model and takes `warm + timed` steps. */
export async function runRow({ script, options, warm, timed }, { cpuMs, onStep }) {
  const { open } = await import(script);
  const before = performance.now();
  const model = await open(options);
  const initMs = performance.now() - before;
  const steps = await timeSteps(model, { warm, timed, cpuMs, onStep });
  const own = model.counts?.() ?? null;
  model.close?.();
  return { init_ms: initMs, threads: model.threads ?? null, isolated: crossOriginIsolated, own, ...steps };
}

async function timeSteps(model, { warm, timed, cpuMs, onStep }) {
  const gpu = globalThis.gpuCounts;
  const [losses, walls] = [[], []];
  // From one step's start to the next one's: what a GPU does after the loss is read counts too.
  const readings = [await cpuMs()];
  let warmed = null;
  for (let index = 0; index < warm + timed; index++) {
    if (index === warm) warmed = gpu?.read();
    const before = performance.now();
    losses.push(await model.step(index));
    walls.push(performance.now() - before);
    readings.push(await cpuMs());
    await onStep(index, losses[index], walls[index]);
  }
  const cpus = walls.map((_, index) => (readings[index] === null ? null : readings[index + 1] - readings[index]));
  return { losses, walls, cpus, gpu: gpu ? perStep(warmed, gpu.read(), timed) : null };
}

function perStep(from, to, timed) {
  return {
    dispatches: (to.dispatches - from.dispatches) / timed,
    submits: (to.submits - from.submits) / timed,
    peak_bytes: to.peakBytes,
  };
}

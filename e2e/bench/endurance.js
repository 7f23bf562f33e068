// The page of a long training: it shows frames while its worker trains, and notes how long each took.

/** Trains in a worker: samples of what it held, and the milliseconds between frames meanwhile. */
export async function endure(plan, onSample) {
  const worker = new Worker("/bench/endurance_worker.js", { type: "module" });
  const samples = [];
  const frames = watchFrames();
  await new Promise((resolve, reject) => {
    worker.onerror = ({ message }) => reject(new Error(message || "the worker could not be loaded"));
    worker.onmessage = ({ data }) => {
      if (data.failure) return reject(new Error(data.failure));
      if (data.over) return resolve();
      // Until here the model was loaded and its pipelines were compiled.
      if (samples.length === 0) frames.restart();
      samples.push(data);
      onSample(data);
    };
    worker.postMessage(plan);
  });
  worker.terminate();
  return { samples, frames: frames.end() };
}

function watchFrames() {
  let intervals = [];
  let last = null;
  let running = true;
  const look = (now) => {
    if (last !== null) intervals.push(now - last);
    last = now;
    if (running) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
  return {
    restart: () => (intervals = []),
    end: () => {
      running = false;
      return intervals;
    },
  };
}

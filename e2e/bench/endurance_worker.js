// Trains in a dedicated worker, as a tab does, and tells now and then what it holds.
import "/bench/gpu_counts.js";
import { open } from "/bench/encoder.js";

self.onmessage = async ({ data: { options, steps, every } }) => {
  try {
    const model = await open(options);
    for (let index = 0; index < steps; index++) {
      const loss = await model.step(index);
      if ((index + 1) % every !== 0) continue;
      const { liveBytes } = globalThis.gpuCounts.read();
      self.postMessage({ step: index + 1, loss, gpu_bytes: liveBytes, wasm_bytes: model.wasmBytes() });
    }
    model.close();
    self.postMessage({ over: true });
  } catch (error) {
    self.postMessage({ over: true, failure: String(error?.message ?? error) });
  }
};

// ONNX Runtime's training for the web, in its last release that had it: wasm on the CPU, from graphs
// that `xtask/bench/ort_artifacts.py` made. Runs in the page.
import { decoder, encoder } from "../bench/workload.js";

const FILES = { checkpointState: "checkpoint", trainModel: "training_model.onnx", optimizerModel: "optimizer_model.onnx" };

/** Makes the session: `runtime` is the folder of the package's own files, `graphs` the workloads'. */
export async function open({ workload, runtime, graphs }) {
  const ort = await import(`${runtime}ort.training.wasm.min.mjs`);
  ort.env.wasm.wasmPaths = new URL(runtime, location.href).href;
  ort.env.wasm.numThreads = crossOriginIsolated ? navigator.hardwareConcurrency : 1;
  const given = {};
  for (const [name, file] of Object.entries(FILES)) given[name] = await bytes(`${graphs}${workload}/${file}`);
  const options = { executionProviders: ["wasm"], graphOptimizationLevel: "all" };
  const session = await ort.TrainingSession.create(given, options);
  const batches = { decoder, encoder }[workload]().batches.map(({ tokens, targets }) => ({
    input: new ort.Tensor("int64", BigInt64Array.from(tokens, BigInt), [tokens.length]),
    labels: new ort.Tensor("int64", BigInt64Array.from(targets, BigInt), [targets.length]),
  }));
  return {
    threads: ort.env.wasm.numThreads,
    async step(index) {
      const { [session.trainingOutputNames[0]]: loss } = await session.runTrainStep(batches[index % batches.length]);
      await session.runOptimizerStep();
      await session.lazyResetGrad();
      return Number(loss.data[0]);
    },
  };
}

async function bytes(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

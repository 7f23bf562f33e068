// Steps in several threads by the SDK's own parts, on a trainer that a bench or a test has opened. Runs
// in the page, which takes the place of the training thread.
import { JointSteps, moduleTable, startThread, ThreadTrainer } from "/joint/joint.js";

/** The SDK's cache of files, where a sibling looks for the weights. */
const CACHE = "choir-objects-1";

/**
 * Opens as many siblings as there are threads beside this one. `weights` yields the chunks of the
 * model's file, `config` is the task's wire bytes.
 */
export async function openJoint({ trainer, config, payload, weights, threads }) {
  const { digest, size } = await keep(weights());
  const status = { config: Uint8Array.from(config), payload, weights: digest, weightsBytes: size, frozenHead: null };
  const origin = { aggregator: location.origin, modules: moduleTable() };
  const workers = [];
  const start = () => {
    const starting = startThread();
    starting.then((worker) => workers.push(worker));
    return new ThreadTrainer(starting, () => undefined);
  };
  const steps = new JointSteps({ trainer, siblings: threads - 1, start, args: { origin, by: "bench", status } });
  await steps.open();
  if (steps.threads !== threads) throw new Error(`${steps.threads} threads have come up, not ${threads}`);
  return {
    steps,
    workers,
    /** One step in all of the threads; yields its loss. */
    async step() {
      const taken = await steps.take(1, 0);
      if (taken.threads !== threads || steps.threads !== threads) throw new Error("a sibling was given up");
      return taken.losses[0];
    },
    close: () => steps.close(),
  };
}

/** Puts a file where the SDK keeps those that it has loaded. */
async function keep(chunks) {
  const bytes = await new Blob([...chunks]).arrayBuffer();
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const digest = Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const cache = await caches.open(CACHE);
  await cache.put(`${location.origin}/v1/objects/${digest}`, new Response(bytes));
  return { digest, size: bytes.byteLength };
}

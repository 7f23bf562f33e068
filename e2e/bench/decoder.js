// The decoder workload on the engine of the module given, which makes its weights and tokens itself.
// Runs in the page.

/** Makes the model; `module` is the engine's. */
export async function open({ module }) {
  const engine = await import(module);
  await engine.default();
  if (!engine.DecoderWorkload) throw new Error(`missing in this build: class DecoderWorkload of ${module}`);
  const started = performance.now();
  const workload = await engine.DecoderWorkload.open();
  let [kernels, preparedMs] = [null, null];
  const ready = async () => {
    kernels = await workload.ready();
    preparedMs = performance.now() - started;
  };
  return {
    threads: 1,
    // The first one waits for the kernels that were not ready when the last weight was there.
    async step() {
      if (kernels === null) await ready();
      return (await workload.step()).loss;
    },
    counts: () => ({ ...workload.counts(), kernels, preparedMs }),
    close: () => workload.free(),
  };
}

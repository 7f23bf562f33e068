// The decoder workload on the engine of the module given, which makes its weights and tokens itself.
// Runs in the page.

/** Makes the model; `module` is the engine's. */
export async function open({ module }) {
  const engine = await import(module);
  await engine.default();
  if (!engine.DecoderWorkload) throw new Error(`missing in this build: class DecoderWorkload of ${module}`);
  const workload = await engine.DecoderWorkload.open();
  return {
    threads: 1,
    step: async () => (await workload.step()).loss,
    counts: () => workload.counts(),
    close: () => workload.free(),
  };
}

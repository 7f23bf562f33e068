// The kernel bench in Chromium: the best product and the best copy that its WebGPU reaches, then each
// kernel that a step of a workload calls, by itself and as the step calls it, all in one browser and by
// one clock.
//
//   node bench/kernels.mjs PLAN_FILE
//
// The plan: `folders` to serve by name, `rounds`, and `workloads` of { name, script, options }. One line
// of JSON on stdout for each event: session, limits, copies, start, kernels.
import { readFileSync } from "node:fs";
import { loadavg } from "node:os";
import { openSession, say } from "./session.mjs";

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const session = await openSession(plan.folders);
try {
  const adapter = await session.describe();
  await session.limits(adapter);
  const clock = { cores: session.cores, byCpu: adapter.software };
  say("copies", { ...(await session.withPage((page) => page.evaluate(copies, clock))), load: loadavg()[0] });
  for (const { name, script, options } of plan.workloads) {
    say("start", { workload: name });
    const given = { ...clock, script, options, rounds: plan.rounds };
    const kernels = await session.withPage((page) => page.evaluate(measure, given));
    say("kernels", { workload: name, kernels, load: loadavg()[0] });
  }
} finally {
  await session.close();
}

async function copies({ cores, byCpu }) {
  const { measureCopies } = await import("/bench/copies.js");
  return measureCopies({ cpuMs: byCpu ? window.benchCpuMs : async () => null, cores });
}

/** Watches a step once the engine is warm, then times its calls. */
async function measure({ script, options, rounds, cores, byCpu }) {
  const { watchCalls, timeCalls } = await import("/bench/kernel_calls.js");
  // Before the engine opens its device.
  const watch = watchCalls();
  const { open } = await import(script);
  const model = await open(options);
  for (let step = 0; step < 2; step++) await model.step(step);
  watch.start();
  await model.step(2);
  const calls = watch.stop();
  const cpuMs = byCpu ? window.benchCpuMs : async () => null;
  const timed = await timeCalls(calls, { cpuMs, cores, rounds });
  model.close?.();
  return timed;
}

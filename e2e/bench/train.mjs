// The training bench in Chromium: the limit of its WebGPU, then the workload on both engines, in
// one browser and by one clock.
//
//   node bench/train.mjs WASM_FOLDER CONFIG_FILE [WARM TIMED [PRECISION]]
//
// Prints progress on stderr and one line of JSON on stdout.
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { launchBrowser, webgpuAdapter } from "../lib/browser.mjs";
import { treeCpuMs } from "../lib/cpu_time.mjs";
import { serveFolders } from "../lib/serve.mjs";

const [wasm, configFile, warm = "5", timed = "10", precision = "f32"] = process.argv.slice(2);
const cores = availableParallelism();
const server = await serveFolders({ wasm, bench: dirname(fileURLToPath(import.meta.url)) });
const browser = await launchBrowser();
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(0);
  await page.goto(server.url);
  const adapter = await webgpuAdapter(page);
  if (adapter.device !== "webgpu") throw new Error(`this browser has no WebGPU: ${adapter.adapter}`);
  console.error(`adapter: ${adapter.adapter}`);
  await page.exposeFunction("benchCpuMs", () => treeCpuMs());
  await page.exposeFunction("benchProgress", (text) => console.error(text));
  const limits = await page.evaluate(async (count) => {
    const { measureLimits } = await import("/bench/limits.js");
    return measureLimits({ cpuMs: window.benchCpuMs, cores: count });
  }, cores);
  console.error(`limit: ${limits.rate.toFixed(2)} GFLOP/s`);
  const config = [...readFileSync(configFile)];
  const train = (module) =>
    page.evaluate(
      async (plan) => {
        const { trainEncoder } = await import("/bench/encoder.js");
        const onStep = (step, loss, ms) =>
          window.benchProgress(`${plan.name} step ${step}: loss ${loss.toFixed(5)}, ${ms.toFixed(0)} ms`);
        const config = Uint8Array.from(plan.config);
        return trainEncoder({ ...plan, config, cpuMs: window.benchCpuMs, onStep });
      },
      { name: module, module: `/wasm/${module}/choir_wasm_client.js`, config, precision, warm: Number(warm), timed: Number(timed) },
    );
  const wgsl = await train("wgsl");
  const cpu = await train("cpu");
  console.log(JSON.stringify({ adapter: adapter.adapter, cores, warm: Number(warm), limits, wgsl, cpu }));
} finally {
  await browser.close();
  server.close();
}

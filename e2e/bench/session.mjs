// A browser for a bench: pages of its own for each measurement, what it runs on, and the limit of its
// WebGPU. What it finds it says in a line of JSON on stdout.
import { availableParallelism, loadavg } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { launchBrowser, webgpuAdapter } from "../lib/browser.mjs";
import { treeCpuMs } from "../lib/cpu_time.mjs";
import { serveFolders } from "../lib/serve.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const cores = availableParallelism();

export function say(event, fields) {
  console.log(JSON.stringify({ event, ...fields }));
}

/** Serves the folders by name, this one as `bench`, and starts a browser. */
export async function openSession(given) {
  const folders = { ...given, bench: here };
  const server = await serveFolders(folders);
  let browser = await launchBrowser();

  /** A page in a context of its own, which `use` is given; closed behind it. */
  async function withPage(use) {
    const context = await browser.newContext();
    try {
      const page = await context.newPage();
      page.setDefaultTimeout(0);
      await page.addInitScript({ path: join(here, "gpu_counts.js") });
      await page.exposeFunction("benchCpuMs", () => treeCpuMs());
      await page.goto(server.url);
      return await use(page);
    } finally {
      await context.close().catch(() => {});
    }
  }

  /** Says what the session runs on. */
  async function describe() {
    const adapter = await withPage(webgpuAdapter);
    if (adapter.device !== "webgpu") throw new Error(`this browser has no WebGPU: ${adapter.adapter}`);
    say("session", { ...adapter, cores, browser: `Chromium ${browser.version()}`, load: loadavg()[0] });
    return adapter;
  }

  /** Says the best rates. A real GPU's work is none of the processes' CPU time: its clock is the wall's. */
  async function limits({ software }) {
    const measured = await withPage((page) =>
      page.evaluate(
        async ({ count, byCpu }) => {
          const { measureLimits } = await import("/bench/limits.js");
          return measureLimits({ cpuMs: byCpu ? window.benchCpuMs : async () => null, cores: count });
        },
        { count: cores, byCpu: software },
      ),
    );
    say("limits", { ...measured, load: loadavg()[0] });
  }

  return {
    folders,
    cores,
    withPage,
    describe,
    limits,
    async relaunch() {
      await browser.close().catch(() => {});
      browser = await launchBrowser();
    },
    async close() {
      await browser.close();
      server.close();
    },
  };
}

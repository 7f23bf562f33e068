// A language model in a tab of Chromium.
//
//   node bench/language.mjs PLAN_FILE
//
// The plan: `folders` to serve, the page's `script`, whose `evaluate` is given `options` for each of
// `engines`. A line of JSON for each engine on stdout, the page's progress on stderr.
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { launchBrowser, webgpuAdapter } from "../lib/browser.mjs";
import { treeCpuMs } from "../lib/cpu_time.mjs";
import { serveFolders } from "../lib/serve.mjs";

const { folders, script, engines, options } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const server = await serveFolders({ ...folders, bench: dirname(fileURLToPath(import.meta.url)) });
const browser = await launchBrowser();
const cores = cpus().length;
try {
  for (const engine of engines) {
    const page = await browser.newPage();
    page.setDefaultTimeout(0);
    await page.goto(server.url);
    const { adapter, software } = await webgpuAdapter(page);
    await page.exposeFunction("say", (line) => console.error(`${engine}: ${line}`));
    await page.exposeFunction("cpuMs", () => (treeCpuMs() ?? 0) / cores);
    const found = await page.evaluate(async ({ script, options }) => (await import(script)).evaluate(options), {
      script,
      options: { ...options, module: `/wasm/${engine}/choir_wasm_client.js` },
    });
    console.log(JSON.stringify({ engine, webgpu: adapter, software, ...found }));
    await page.close();
  }
} finally {
  await browser.close();
  server.close();
}

// stories260K in a tab of Chromium.
//
//   node bench/stories.mjs PLAN_FILE
//
// The plan: `wasm`, the folder of the modules, `models`, that of the checkpoint, and `options` for
// e2e/bench/stories.js by engine. A line of JSON for each engine on stdout.
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { launchBrowser, webgpuAdapter } from "../lib/browser.mjs";
import { serveFolders } from "../lib/serve.mjs";

const { wasm, models, engines, options } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const server = await serveFolders({ wasm, models, bench: dirname(fileURLToPath(import.meta.url)) });
const browser = await launchBrowser();
try {
  for (const engine of engines) {
    const page = await browser.newPage();
    page.setDefaultTimeout(0);
    await page.goto(server.url);
    const { adapter } = await webgpuAdapter(page);
    const found = await page.evaluate(async (plan) => (await import("/bench/stories.js")).evaluate(plan), {
      ...options,
      module: `/wasm/${engine}/choir_wasm_client.js`,
    });
    console.log(JSON.stringify({ engine, webgpu: adapter, ...found }));
    await page.close();
  }
} finally {
  await browser.close();
  server.close();
}

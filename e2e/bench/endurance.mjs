// A long training in one tab of Chromium.
//
//   node bench/endurance.mjs PLAN_FILE
//
// The plan: `wasm`, the folder of the modules, and what e2e/bench/endurance.js is given. A line of
// JSON for each sample on stderr, the whole on stdout.
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { launchBrowser, webgpuAdapter } from "../lib/browser.mjs";
import { serveFolders } from "../lib/serve.mjs";

const { wasm, ...plan } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const server = await serveFolders({ wasm, bench: dirname(fileURLToPath(import.meta.url)) });
const browser = await launchBrowser();
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(0);
  await page.goto(server.url);
  const { adapter } = await webgpuAdapter(page);
  await page.exposeFunction("benchSample", (sample) => console.error(JSON.stringify(sample)));
  const found = await page.evaluate(async (plan) => {
    const { endure } = await import("/bench/endurance.js");
    return endure(plan, window.benchSample);
  }, plan);
  console.log(JSON.stringify({ adapter, ...found }));
} finally {
  await browser.close();
  server.close();
}

// Loss and gradient in real Chromium against engine burn's: reference vectors that the native
// parity tests write. CHOIR_OUT names target/choir, CHOIR_MODEL the base model's folder.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { launchBrowser, webgpuAdapter } from "../lib/browser.mjs";
import { serveFolders } from "../lib/serve.mjs";

const out = process.env.CHOIR_OUT ?? "";
const model = process.env.CHOIR_MODEL ?? "";
const reference = join(out, "reference");
const bench = join(dirname(fileURLToPath(import.meta.url)), "../bench");

let server;
let browser;
before(async () => {
  server = await serveFolders({ wasm: join(out, "wasm"), reference, model, bench });
  browser = await launchBrowser();
});
after(async () => {
  await browser?.close();
  server?.close();
});

for (const name of ["small", "all-MiniLM-L6-v2"]) {
  for (const module of ["wgsl", "cpu"]) {
    const missing = [join(reference, name, "case.json"), join(out, "wasm", module)].find((path) => !existsSync(path));
    const skip = missing ? `${missing} is not there` : false;
    test(`engine ${module} in Chromium agrees with burn on ${name}`, { skip }, async (t) => {
      const page = await browser.newPage();
      page.setDefaultTimeout(0);
      await page.goto(server.url);
      if (module === "wgsl") {
        const adapter = await webgpuAdapter(page);
        assert.equal(adapter.device, "webgpu", adapter.adapter);
        t.diagnostic(`adapter: ${adapter.adapter}`);
      }
      const { tolerance, parts, losses } = await page.evaluate(async (plan) => (await import("/bench/parity.js")).compare(plan), {
        module: `/wasm/${module}/choir_wasm_client.js`,
        folder: `/reference/${name}`,
        model: "/model",
      });
      await page.close();
      const worst = parts.reduce((one, other) => (other.error > one.error ? other : one));
      t.diagnostic(`worst relative error ${worst.error.toExponential(1)} at ${worst.name}`);
      assert.ok(worst.error <= tolerance, `${worst.name} is off by ${worst.error}`);
      for (const [step, { loss, expected }] of losses.entries()) {
        assert.ok(Math.abs(loss - expected) <= tolerance * Math.abs(expected), `step ${step}: ${loss}, ${expected}`);
      }
    });
  }
}

// Loss and gradient in real Chromium against engine burn's: reference vectors that the native
// parity tests write. CHOIR_OUT names target/choir, CHOIR_MODEL the base model's folder.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { launchBrowser, webgpuAdapter } from "../lib/browser.mjs";
import { serveFolders } from "../lib/serve.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.env.CHOIR_OUT ?? join(here, "../../target/choir");
const reference = join(out, "reference");
const DEVICES = { wgsl: "webgpu", cpu: "cpu" };

let server;
let browser;
before(async () => {
  server = await serveFolders({ wasm: join(out, "wasm"), reference, model: process.env.CHOIR_MODEL, bench: join(here, "../bench") });
  browser = await launchBrowser();
});
after(async () => {
  await browser?.close();
  server?.close();
});

for (const name of ["small", "small-int8", "small-int4", "odd-int4", "all-MiniLM-L6-v2"]) {
  for (const [module, device] of Object.entries(DEVICES)) {
    const folder = join(reference, name);
    const skip = existsSync(folder) ? false : `no reference vectors: ${folder} is not there`;
    test(`engine ${module} in Chromium agrees with burn on ${name}`, { skip }, async (t) => {
      const page = await browser.newPage();
      t.after(() => page.close());
      page.setDefaultTimeout(0);
      await page.goto(server.url);
      if (device === "webgpu") {
        const found = await webgpuAdapter(page);
        assert.equal(found.device, "webgpu", found.adapter);
        t.diagnostic(`adapter: ${found.adapter}`);
      }
      const plan = { module: `/wasm/${module}/choir_wasm_client.js`, folder: `/reference/${name}`, model: "/model" };
      const found = await page.evaluate(async (plan) => (await import("/bench/parity.js")).compare(plan), plan);
      assert.equal(found.device, device);
      checkGradient(t, found);
      checkLosses(t, found);
      assert.ok(found.isAdapterKept, "the gradient's reading changed the adapter");
    });
  }
}

function checkGradient(t, { errors, size, tolerance }) {
  const covered = errors.reduce((sum, part) => sum + part.size, 0);
  assert.equal(covered, size, "every coordinate belongs to a part");
  const worst = errors.reduce((one, other) => (other.error > one.error ? other : one));
  t.diagnostic(`${errors.length} tensors: worst relative error ${worst.error.toExponential(1)} at ${worst.name}`);
  // What is no number is not within the tolerance either.
  assert.deepEqual(errors.filter(({ error }) => !(error <= tolerance)), []);
}

function checkLosses(t, { losses: { gradient, curve, expected }, tolerance }) {
  const error = (loss, step) => Math.abs(loss - expected[step]) / Math.abs(expected[step]);
  const errors = [error(gradient, 0), ...curve.map(error)];
  t.diagnostic(`losses ${curve.map((loss) => loss.toFixed(5)).join(" ")}: worst relative error ${Math.max(...errors).toExponential(1)}`);
  assert.equal(curve.length, expected.length);
  assert.ok(errors.every((one) => one <= tolerance), `${[gradient, ...curve]} are not ${expected}`);
}

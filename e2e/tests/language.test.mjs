// Small decoders in real Chromium against what transformers and PEFT compute with them: losses with
// and without adapters, the likeliest next token, also of a text that was gone back in, adapters given
// out and taken back; and every kind of adapter trained. CHOIR_OUT names target/choir; the files are those of
// wasm-client/tests/miniatures.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { launchBrowser } from "../lib/browser.mjs";
import { serveFolders } from "../lib/serve.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.env.CHOIR_OUT ?? join(here, "../../target/choir");
const miniatures = process.env.CHOIR_MINIATURES;
const skip = miniatures ? false : "no models: CHOIR_MINIATURES is not set";
const NEAR = 1e-4;

let server;
let browser;
before(async () => {
  if (skip) return;
  server = await serveFolders({ wasm: join(out, "wasm"), miniatures, bench: join(here, "../bench") });
  browser = await launchBrowser();
});
after(async () => {
  await browser?.close();
  server?.close();
});

/** Every kind of adapter, by the settings of `addAdapter`. */
const ADAPTERS = {
  lora: { lora: { rank: 4, alpha: 8, rankStabilised: true, targets: ["q", "v"] } },
  "lora with dropout": { lora: { rank: 4, alpha: 8, dropout: 0.1, targets: ["o", "down"] } },
  biases: { biases: ["q", "v", "down"] },
  norms: { norms: true },
  bottleneck: { bottleneck: { width: 8 } },
  "soft prompt": { virtualTokens: { count: 3, trained: "soft-prompt" } },
  "prompt encoder": { virtualTokens: { count: 3, trained: "prompt-encoder", width: 8 } },
  prefix: { virtualTokens: { count: 3, trained: "prefix" } },
};

for (const name of ["llama", "llama_tied", "qwen3", "gpt2"]) {
  for (const module of ["wgsl", "cpu"]) {
    test(`engine ${module} in Chromium says of ${name} what transformers says`, { skip }, async (t) => {
      const page = await browser.newPage();
      t.after(() => page.close());
      page.setDefaultTimeout(0);
      await page.goto(server.url);
      const reference = JSON.parse(readFileSync(join(miniatures, name, "reference.json"), "utf8"));
      const plan = {
        module: `/wasm/${module}/choir_wasm_client.js`,
        folder: `/miniatures/${name}`,
        weights: readdirSync(join(miniatures, name)).filter((file) => /^model.*\.safetensors$/.test(file)),
        sequences: reference.sequences,
        virtualTokens: ["prompt", "p_tuning", "prefix"].filter((kind) => reference[`${kind}_adapted_loss`] !== undefined),
        adapters: ADAPTERS,
      };
      const found = await page.evaluate(async (plan) => (await import("/bench/miniature.js")).evaluate(plan), plan);
      isNear(found.loss, reference.loss, "loss");
      isNear(found.adaptedLoss, reference.adapted_loss, "loss with the adapter");
      isNear(found.againLoss, reference.adapted_loss, "loss with the adapter given out and taken back");
      isNear(found.offLoss, reference.loss, "loss with the adapter off again");
      const expected = reference.sequences.map((_, i) => likeliest(tensor(name, "adapted.logits"), reference.sequences, i));
      assert.deepEqual(found.next, expected);
      assert.deepEqual(found.rewound, expected, "a text that was gone back in");
      assert.ok(found.losses.at(-1) < found.losses[0], `training: ${found.losses}`);
      for (const [kind, losses] of Object.entries(found.virtual)) {
        for (const loss of losses) isNear(loss, reference[`${kind}_adapted_loss`], `loss with PEFT's ${kind}`);
      }
      for (const [kind, { losses, unmoved }] of Object.entries(found.trained)) {
        assert.ok(losses.at(-1) < losses[0], `${kind}: ${losses}`);
        assert.equal(unmoved, 0, `values of ${kind} that were not trained`);
      }
      assert.match(found.refusal, /tensor .* is not known|has shape/);
    });
  }
}

function isNear(found, expected, what) {
  assert.ok(Math.abs(found - expected) <= NEAR * Math.abs(expected), `${what}: ${found} for ${expected}`);
}

/** The likeliest token after the last row of a sequence. */
function likeliest({ shape: [, vocabulary], values }, sequences, index) {
  const row = sequences.slice(0, index + 1).flat().length - 1;
  const logits = values.subarray(row * vocabulary, (row + 1) * vocabulary);
  return logits.indexOf(logits.reduce((most, logit) => Math.max(most, logit)));
}

/** A tensor in f32 of the reference's file. */
function tensor(name, wanted) {
  const bytes = readFileSync(join(miniatures, name, "reference.safetensors"));
  const length = Number(bytes.readBigUInt64LE(0));
  const { shape, data_offsets } = JSON.parse(bytes.toString("utf8", 8, 8 + length))[wanted];
  const [start, end] = data_offsets.map((offset) => 8 + length + offset);
  return { shape, values: new Float32Array(Uint8Array.from(bytes.subarray(start, end)).buffer) };
}

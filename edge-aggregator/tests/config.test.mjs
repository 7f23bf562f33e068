// What the worker answers where the deployment lacks something, and that wrangler takes it as built.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { SECRET, startWorker } from "./harness.mjs";

const FOLDER = fileURLToPath(new URL("..", import.meta.url));

const without = (key, name) => (usual) => {
  const { [name]: _, ...rest } = usual[key];
  return { ...usual, [key]: rest };
};
const secret = (OPERATOR_SECRET) => (usual) => ({ ...usual, bindings: { ...usual.bindings, OPERATOR_SECRET } });
const token = (METRICS_TOKEN) => (usual) => ({ ...usual, bindings: { ...usual.bindings, METRICS_TOKEN } });

test("a worker that lacks something says what, and what to do, from its first request on", async () => {
  const broken = [
    [without("durableObjects", "TASKS"), /TASKS is no Durable Object/],
    [without("durableObjects", "ROUNDS"), /ROUNDS is no Durable Object/],
    [(usual) => ({ ...usual, r2Buckets: [] }), /OBJECTS is no R2 bucket/],
    [without("bindings", "OPERATOR_SECRET"), /OPERATOR_SECRET is not set: .*wrangler secret put OPERATOR_SECRET/],
    [secret("short"), /OPERATOR_SECRET has fewer than 24 characters/],
    [token("short"), /METRICS_TOKEN has fewer than 24 characters/],
  ];
  for (const [change, words] of broken) {
    const worker = await startWorker({ change });
    try {
      for (const path of ["/health", "/v1/site", "/metrics"]) {
        const { status, text } = await worker.call(path);
        assert.equal(status, 500, `${words} ${path}`);
        assert.match(text, /^misconfigured: /);
        assert.match(text, words);
        assert.ok(!text.includes(SECRET), "no value is shown");
      }
    } finally {
      await worker.close();
    }
  }
});

test("a whole configuration is healthy", async () => {
  const worker = await startWorker();
  const { status, text } = await worker.call("/health");
  assert.deepEqual([status, text], [200, "ok"]);
  await worker.close();
});

for (const environment of ["dev", "staging", "production"])
  test(`wrangler puts the built worker together for ${environment}`, async () => {
    const scratch = mkdtempSync(join(tmpdir(), "choir-deploy-"));
    const args = ["deploy", "--dry-run", "--env", environment === "dev" ? "" : environment, "--outdir", join(scratch, "out")];
    const env = {
      ...process.env,
      CI: "1",
      NO_COLOR: "1",
      WRANGLER_SEND_METRICS: "false",
      WRANGLER_HIDE_BANNER: "true",
      XDG_CONFIG_HOME: scratch,
    };
    try {
      const { code, output } = await run(join(FOLDER, "node_modules/.bin/wrangler"), args, { cwd: FOLDER, env, timeout: 120_000 });
      assert.equal(code, 0, output);
      for (const words of [/Total Upload: [\d.]+ KiB \/ gzip: [\d.]+ KiB/, /TASKS.*TaskObject/, /ROUNDS.*RoundObject/, /OBJECTS/])
        assert.match(output, words);
      assert.doesNotMatch(output, /OPERATOR_SECRET|METRICS_TOKEN/);
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  });

function run(program, args, options) {
  return new Promise((resolve) =>
    execFile(program, args, options, (error, stdout, stderr) => resolve({ code: error ? (error.code ?? 1) : 0, output: stdout + stderr })),
  );
}

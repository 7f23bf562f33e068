// The development server as `cargo xtask demo` uses it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { SECRET, WORKER } from "./harness.mjs";

const SERVE = fileURLToPath(new URL("../dev/serve.mjs", import.meta.url));

test("it serves page and worker on one address and ends on a signal", async () => {
  const folder = mkdtempSync(join(tmpdir(), "choir-serve-"));
  writeFileSync(join(folder, "index.html"), "<title>the page</title>");
  writeFileSync(join(folder, "_headers"), "/*\n  Cross-Origin-Opener-Policy: same-origin\n");
  const state = mkdtempSync(join(tmpdir(), "choir-state-"));
  const args = [SERVE, "--port", "0", "--worker", WORKER, "--site", folder, "--persist", state];
  const server = spawn(process.execPath, args, {
    env: { ...process.env, OPERATOR_SECRET: SECRET },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => server.on("exit", (code, signal) => resolve(code ?? signal)));
  try {
    const line = await new Promise((resolve) => createInterface(server.stdout).once("line", resolve));
    const { ready } = JSON.parse(line);
    const page = await fetch(ready);
    assert.match(await page.text(), /the page/);
    assert.equal(page.headers.get("cross-origin-opener-policy"), "same-origin");
    assert.equal(await (await fetch(new URL("/health", ready))).text(), "ok");
    server.kill("SIGTERM");
    assert.equal(await ended, 128 + 15);
    await assert.rejects(fetch(new URL("/health", ready)));
  } finally {
    server.kill("SIGKILL");
    for (const used of [folder, state]) rmSync(used, { recursive: true, force: true });
  }
});

test("without a secret it does not start", async () => {
  const { OPERATOR_SECRET: _, ...env } = process.env;
  const server = spawn(process.execPath, [SERVE, "--worker", WORKER], { env, stdio: "ignore" });
  assert.equal(await new Promise((resolve) => server.on("exit", resolve)), 2);
});

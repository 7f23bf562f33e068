// What a tab's proxy writes down is whole, and what it holds goes on when it is let go.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import http from "node:http";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { TabProxy } from "../lib/proxy.mjs";
import { Witness } from "../lib/witness.mjs";

async function upstream() {
  const bodies = [];
  const server = http.createServer((request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      bodies.push(Buffer.concat(chunks));
      response.end();
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { bodies, url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

test("a body is written down in one piece with its address and headers", async () => {
  const folder = mkdtempSync(join(tmpdir(), "recording-"));
  const server = await upstream();
  const proxy = new TabProxy(server.url, join(folder, "tab.bin"));
  const address = await proxy.listen();
  const body = Buffer.alloc(300_000, "a plain word ");
  await Promise.all([fetch(`${address}/x?secret=1`, { method: "POST", headers: { "x-mark": "yes" }, body }), fetch(`${address}/y`)]);
  proxy.end();
  const recorded = readFileSync(join(folder, "tab.bin"));
  assert.ok(recorded.includes(body));
  assert.match(recorded.toString("latin1"), /POST \/x\?secret=1\n[^]*x-mark: yes\n/);
  assert.match(recorded.toString("latin1"), /GET \/y\n/);
  server.close();
  rmSync(folder, { recursive: true });
});

test("a witness tells size and digest of each body, and of nothing where there is none", async () => {
  const server = await upstream();
  const witness = new Witness();
  const proxy = new TabProxy(server.url, witness);
  const address = await proxy.listen();
  const body = Buffer.alloc(200_000, "masked ");
  await fetch(`${address}/v1/upload`, { method: "POST", body });
  await fetch(`${address}/v1/site?x=1`);
  proxy.end();
  const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
  assert.deepEqual(witness.sendings, [
    { kind: "upload", request: "POST /v1/upload", bytes: body.length, sha256: sha256(body) },
    { kind: "request", request: "GET /v1/site?x=1", bytes: 0, sha256: sha256("") },
  ]);
  server.close();
});

test("an upload that is held goes on when it is let go", async () => {
  const server = await upstream();
  const proxy = new TabProxy(server.url, null);
  const address = await proxy.listen();
  const held = new Promise((resolve) => proxy.gate.holdAt("upload", resolve));
  const answer = fetch(`${address}/v1/upload`, { method: "POST", body: "masked" });
  assert.equal(await held, "upload");
  assert.equal(server.bodies.length, 0);
  proxy.gate.release();
  assert.equal((await answer).status, 200);
  assert.deepEqual(server.bodies, [Buffer.from("masked")]);
  proxy.end();
  server.close();
});

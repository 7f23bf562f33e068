// The protocol's wasm module against the independent implementation: the same files as
// shared/tests/known_answers.rs reads. CHOIR_OUT names target/choir.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const vectors = join(here, "../../shared/tests/vectors");
const module = join(process.env.CHOIR_OUT ?? join(here, "../../target/choir"), "wasm/protocol-observe");
const skip = existsSync(module) ? false : `no module: ${module} is not there`;
const names = readdirSync(vectors)
  .filter((name) => name.endsWith(".input.json"))
  .map((name) => name.slice(0, -".input.json".length));

let wasm;
before(async () => {
  if (skip) return;
  wasm = await import(pathToFileURL(join(module, "choir_wasm_client.js")));
  wasm.initSync({ module: readFileSync(join(module, "choir_wasm_client_bg.wasm")) });
});

const read = (name) => readFileSync(join(vectors, name), "utf8");
const digest = (value) => createHash("sha256").update(JSON.stringify(value)).digest("hex");

/** Where cohort or vector is large, a digest stands for each long list. */
function withDigests(values) {
  const shortened = (object, names) => ({ ...object, ...Object.fromEntries(names.map((name) => [name, digest(object[name])])) });
  const clients = values.clients.map((client) => shortened(client, ["shares", "boxes", "upload", "masked_update"]));
  return shortened({ ...values, clients }, ["pairs", "sum"]);
}

for (const name of names) {
  test(`every value of ${name} is that of the independent implementation`, { skip }, () => {
    const expected = JSON.parse(read(`${name}.expected.json`));
    const values = JSON.parse(wasm.knownAnswers(read(`${name}.input.json`)));
    assert.deepEqual(typeof expected.pairs === "string" ? withDigests(values) : values, expected);
  });
}

test("every round's parameters are those of the independent search", { skip }, (t) => {
  const { rows } = JSON.parse(read("parameters.json"));
  assert.ok(rows.length > 100);
  let slowest = 0;
  for (const { n, g, drop, parameters } of rows) {
    const start = performance.now();
    const found = wasm.roundParameters(n, g, drop);
    slowest = Math.max(slowest, performance.now() - start);
    const expected = parameters && [parameters.m, parameters.t, parameters.q, parameters.masks];
    assert.deepEqual(found ? [...found] : null, expected, `n ${n}, g ${g}, drop ${drop}`);
  }
  t.diagnostic(`slowest of ${rows.length}: ${slowest.toFixed(1)} ms`);
});

test("input that makes no round is refused with its reason", { skip }, () => {
  const input = JSON.parse(read("sparse_16.input.json"));
  delete input.clients[3].out_list;
  assert.throws(() => wasm.knownAnswers(JSON.stringify(input)), { code: "bad-input", message: /client 3: an out_list of 4/ });
});

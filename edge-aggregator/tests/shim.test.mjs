// The shim's promise, with a stand-in for the wasm module: a trap is a 500, every call that was in
// progress ends, and the next call finds a fresh instance and fresh objects.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { Miniflare } from "miniflare";
import { COMPATIBILITY_DATE } from "../dev/miniflare.mjs";

// Behaves like the generated module: a trap comes either out of the call or out of a microtask,
// and the trapped instance answers nothing more until it is reset.
const STAND_IN = `
const state = { criticalError: false, instanceId: 0 };
let dead = false;
export function __worker_init_state() { return state; }
export function __wbg_reset_state() { dead = false; }
function trap() { dead = true; throw new WebAssembly.RuntimeError("unreachable"); }
function answer(url) {
  if (dead) return new Promise(() => {});
  switch (new URL(url).pathname.split("/").pop()) {
    case "trap": return trap();
    case "late": queueMicrotask(trap); return new Promise(() => {});
    case "slow": return new Promise(() => {});
    case "fault": return Promise.reject(new Error("not a trap"));
    default: return Promise.resolve(new Response("instance " + state.instanceId));
  }
}
export function fetch(request) {
  const [, name] = new URL(request.url).pathname.split("/");
  if (name !== "object") return answer(request.url);
  const rounds = this.env.ROUNDS;
  return rounds.get(rounds.idFromName("one")).fetch(request);
}
class Inner {
  constructor() { this.madeIn = state.instanceId; this.calls = 0; }
  fetch(request) {
    if (new URL(request.url).pathname.endsWith("/count"))
      return Promise.resolve(new Response(this.madeIn + ":" + ++this.calls));
    return answer(request.url);
  }
  alarm() {}
}
export class TaskObject extends Inner {}
export class RoundObject extends Inner {}
`;

let miniflare;
before(() => {
  const shim = readFileSync(new URL("../shim.mjs", import.meta.url), "utf8");
  miniflare = new Miniflare({
    modules: [
      { type: "ESModule", path: "shim.mjs", contents: shim },
      { type: "ESModule", path: "index.js", contents: STAND_IN },
    ],
    compatibilityDate: COMPATIBILITY_DATE,
    cf: false,
    telemetry: { enabled: false },
    handleRuntimeStdio: (out, err) => (out.resume(), err.resume()),
    durableObjects: { ROUNDS: { className: "RoundObject", useSQLite: true } },
  });
});
after(() => miniflare.dispose());

async function get(path) {
  const response = await miniflare.dispatchFetch(`http://choir${path}`, { signal: AbortSignal.timeout(5000) });
  return [response.status, await response.text()];
}

test("a trap in a call is a bare 500 and the next call finds a fresh instance", async () => {
  const [, first] = await get("/health");
  assert.deepEqual(await get("/trap"), [500, "internal error\n"]);
  const [status, next] = await get("/health");
  assert.equal(status, 200);
  assert.notEqual(next, first);
});

test("a trap that reaches only the global error event ends every call in progress", async () => {
  const waiting = get("/slow");
  const trapping = get("/late");
  assert.equal((await trapping)[0], 500);
  assert.equal((await waiting)[0], 500);
  assert.equal((await get("/health"))[0], 200);
});

test("an object is made anew after a trap, and only then", async () => {
  const [, once] = await get("/object/count");
  const [, twice] = await get("/object/count");
  assert.equal(twice, once.replace(/\d+$/, (calls) => String(Number(calls) + 1)));
  assert.equal((await get("/object/trap"))[0], 500);
  const [status, fresh] = await get("/object/count");
  assert.equal(status, 200);
  assert.match(fresh, /:1$/);
  assert.notEqual(fresh.split(":")[0], once.split(":")[0]);
});

test("an error that is not a trap is a bare 500 and keeps the instance", async () => {
  const [, first] = await get("/health");
  assert.deepEqual(await get("/fault"), [500, "internal error\n"]);
  assert.deepEqual(await get("/health"), [200, first]);
});

// The routes that need no client of the protocol: objects, the operator's calls, refusals.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { hex, ORIGIN, SECRET, startWorker } from "./harness.mjs";
import {
  createTask,
  readRoundStatus,
  readSiteStatus,
  readTaskStatus,
  siteStatus,
  SMALL_TASK,
  SMALL_TASK_VALUES,
  successorRequest,
} from "./messages.mjs";

let worker;
before(async () => (worker = await startWorker()));
after(() => worker.close());

async function newTask({ rounds = 2, ...rest } = {}) {
  const taskId = randomBytes(16);
  const adapter = await worker.put(randomBytes(SMALL_TASK_VALUES * 4));
  const body = createTask({ taskId, adapter, rounds, ...rest });
  const { status } = await worker.operator("POST", "/v1/tasks", body);
  assert.equal(status, 200);
  return { taskId, adapter, body, path: `/v1/tasks/${hex(taskId)}` };
}

async function statusOf(task) {
  const { status, body } = await worker.call(task.path);
  assert.equal(status, 200);
  return readTaskStatus(body);
}

test("health answers", async () => {
  const { status, text } = await worker.call("/health");
  assert.deepEqual([status, text], [200, "ok"]);
});

test("unknown routes, tasks, rounds and objects are 404, wrong methods 405", async () => {
  const nobody = "0".repeat(32);
  const expected = {
    "/": "unknown-route",
    "/v1/nothing": "unknown-route",
    "/internal/report": "unknown-route",
    [`/v1/objects/${"0".repeat(64)}`]: "unknown-object",
    "/v1/objects/short": "unknown-object",
    [`/v1/tasks/${nobody}`]: "unknown-task",
    "/v1/tasks/short": "unknown-task",
    [`/v1/tasks/${nobody}/rounds/${nobody}`]: "unknown-round",
    [`/v1/tasks/${nobody}/rounds/short`]: "unknown-round",
  };
  for (const [path, name] of Object.entries(expected)) {
    const { status, text } = await worker.call(path);
    assert.deepEqual([path, status, text], [path, 404, name]);
  }
  assert.equal((await worker.call("/v1/tasks", { method: "DELETE" })).status, 405);
  assert.equal((await worker.call(`/v1/tasks/${nobody}/start`)).status, 405);
});

test("operator's calls need the whole secret", async () => {
  const digest = "0".repeat(64);
  const calls = [
    ["PUT", `/v1/objects/${digest}`],
    ["POST", "/v1/tasks"],
    ["POST", `/v1/tasks/${"0".repeat(32)}/start`],
    ["POST", `/v1/tasks/${"0".repeat(32)}/stop`],
    ["POST", `/v1/tasks/${"0".repeat(32)}/successor`],
    ["PUT", "/v1/site"],
  ];
  const wrong = [undefined, "", "Bearer", "Bearer ", `Bearer ${SECRET}x`, `Bearer ${SECRET.slice(1)}`, SECRET];
  for (const [method, path] of calls)
    for (const authorization of wrong) {
      const headers = authorization === undefined ? {} : { authorization };
      const { status, text } = await worker.call(path, { method, headers, body: "x" });
      assert.deepEqual([path, status, text], [path, 401, "unauthorized"]);
    }
});

test("an object comes back as it was stored, to be kept for ever", async () => {
  const bytes = randomBytes(300_000);
  const path = `/v1/objects/${hex(await worker.put(bytes))}`;
  const { status, headers, body } = await worker.call(path);
  assert.equal(status, 200);
  assert.equal(Buffer.compare(body, bytes), 0);
  assert.match(headers.get("cache-control"), /immutable/);
  assert.equal(headers.get("cross-origin-resource-policy"), "cross-origin");
  const known = await worker.call(path, { headers: { "if-none-match": headers.get("etag") } });
  assert.deepEqual([known.status, known.body.length], [304, 0]);
  assert.equal((await worker.call(path, { method: "HEAD" })).status, 200);
});

test("an object under another digest is refused and not kept", async () => {
  const path = `/v1/objects/${hex(createHash("sha256").update("one").digest())}`;
  const { status, text } = await worker.operator("PUT", path, Buffer.from("another"));
  assert.deepEqual([status, text], [422, "wrong-digest"]);
  assert.equal((await worker.call(path)).status, 404);
});

test("an object above its limit is refused before it is read", async () => {
  const path = `/v1/objects/${"0".repeat(64)}`;
  const declare = (length) => worker.announce("PUT", path, { ...worker.asOperator, "content-length": length });
  assert.equal(await declare(100_000_001), 413);
});

test("a task is created stopped, runs, and stops", async () => {
  const task = await newTask();
  const created = await statusOf(task);
  assert.equal(created.configMatches, true);
  assert.equal(hex(created.adapter), hex(task.adapter));
  assert.deepEqual(
    [created.version, created.round, created.state, created.roundsLeft, created.successor, created.history],
    [0, null, "stopped", 2, null, []],
  );

  assert.equal((await worker.operator("POST", `${task.path}/start`)).status, 200);
  const running = await statusOf(task);
  assert.equal(running.state, "running");
  const roundPath = `${task.path}/rounds/${hex(running.round)}`;
  const round = readRoundStatus((await worker.call(roundPath)).body);
  assert.deepEqual([round.phase, round.joined, round.cohortSize, round.version], ["enroll", 0, 4, 0]);
  assert.equal(hex(round.task), hex(task.taskId));

  assert.equal((await worker.operator("POST", `${task.path}/start`)).status, 200, "a second start changes nothing");
  assert.equal(hex((await statusOf(task)).round), hex(running.round));

  assert.equal((await worker.operator("POST", `${task.path}/stop`)).status, 200);
  const stopped = await statusOf(task);
  assert.deepEqual([stopped.state, stopped.round, stopped.roundsLeft], ["stopped", null, 2]);
  assert.equal(readRoundStatus((await worker.call(roundPath)).body).phase, "aborted");

  assert.equal((await worker.operator("POST", `${task.path}/start`)).status, 200);
  const again = await statusOf(task);
  assert.notEqual(hex(again.round), hex(running.round));
});

test("a round is known under its own task only, and only while it is current", async () => {
  const [one, other] = [await newTask(), await newTask()];
  for (const task of [one, other]) await worker.operator("POST", `${task.path}/start`);
  const round = hex((await statusOf(one)).round);
  assert.equal((await worker.call(`${other.path}/rounds/${round}`)).status, 404);
  assert.equal((await worker.call(`${one.path}/rounds/${round}`)).status, 200);
  assert.equal((await worker.call(`${other.path}/rounds/${round}`)).status, 404);
  assert.equal((await worker.call(`${one.path}/rounds/${hex(randomBytes(16))}`)).status, 404);
});

test("creating the same task twice is one task, another under its name a conflict", async () => {
  const task = await newTask();
  assert.equal((await worker.operator("POST", "/v1/tasks", task.body)).status, 200);
  const other = createTask({ taskId: task.taskId, adapter: task.adapter, rounds: 3 });
  const { status, text } = await worker.operator("POST", "/v1/tasks", other);
  assert.deepEqual([status, text], [409, "task-exists"]);
});

test("a task that could not run is refused with the reason", async () => {
  const adapter = await worker.put(randomBytes(SMALL_TASK_VALUES * 4));
  const create = (changes) =>
    worker.operator("POST", "/v1/tasks", createTask({ taskId: randomBytes(16), adapter, rounds: 1, ...changes }));
  const bad = await create({ config: { ...SMALL_TASK, labels: ["same", "same"] } });
  assert.equal(bad.status, 422);
  assert.match(bad.text, /^bad-task: labels/);
  const missing = await create({ adapter: randomBytes(32) });
  assert.deepEqual([missing.status, missing.text], [422, "bad-object: adapter"]);
  const short = await create({ adapter: await worker.put(randomBytes(8)) });
  assert.deepEqual([short.status, short.text], [422, "bad-object: adapter"]);
});

test("an operator's body that does not decode is refused whole", async () => {
  const { body } = await newTask();
  const bodies = [body.subarray(0, body.length - 1), new Uint8Array([...body, 0]), new Uint8Array([9, ...body.subarray(1)])];
  for (const wrong of bodies) assert.equal((await worker.operator("POST", "/v1/tasks", wrong)).status, 400);
  assert.equal((await worker.operator("POST", "/v1/tasks", Buffer.alloc(400_000))).status, 413);
});

test("the site names the task that its page joins", async () => {
  assert.equal(readSiteStatus((await worker.call("/v1/site")).body), null);
  const { taskId } = await newTask();
  assert.equal((await worker.operator("PUT", "/v1/site", siteStatus(taskId))).status, 200);
  assert.equal(hex(readSiteStatus((await worker.call("/v1/site")).body)), hex(taskId));
});

test("a task names its successor", async () => {
  const [task, next] = [await newTask(), await newTask()];
  const { status } = await worker.operator("POST", `${task.path}/successor`, successorRequest(next.taskId));
  assert.equal(status, 200);
  assert.equal(hex((await statusOf(task)).successor), hex(next.taskId));
});

test("pages of listed origins get answers; others read only that they are not listed", async () => {
  const listed = await worker.call("/health", { headers: { origin: ORIGIN } });
  assert.deepEqual([listed.status, listed.headers.get("access-control-allow-origin")], [200, ORIGIN]);
  const stranger = await worker.call("/v1/site", { headers: { origin: "https://stranger.example" } });
  assert.deepEqual([stranger.status, stranger.text], [403, "origin-not-allowed"]);
  assert.equal(stranger.headers.get("access-control-allow-origin"), "*");
  assert.equal(stranger.headers.get("cross-origin-resource-policy"), "cross-origin");
  const preflight = await worker.call("/v1/tasks", { method: "OPTIONS", headers: { origin: ORIGIN } });
  assert.equal(preflight.status, 204);
  assert.match(preflight.headers.get("access-control-allow-methods"), /POST/);
});

test("every answer isolates its page", async () => {
  for (const path of ["/health", "/v1/nothing", "/v1/site"]) {
    const { headers } = await worker.call(path);
    assert.equal(headers.get("cross-origin-opener-policy"), "same-origin", path);
    assert.equal(headers.get("cross-origin-embedder-policy"), "require-corp", path);
    assert.equal(headers.get("cross-origin-resource-policy"), "same-origin", path);
    assert.equal(headers.get("x-content-type-options"), "nosniff", path);
  }
});

// A round as far as it goes without secrets: the lobby, deadlines, refusals, a stop, a restart.
// Whole rounds are run by real clients in e2e/.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { after, before, test } from "node:test";
import WebSocket from "ws";
import { hex, startWorker } from "./harness.mjs";
import {
  createTask,
  join,
  leave,
  readAggregatorMessage,
  readRoundStatus,
  readTaskStatus,
  SMALL_TASK,
  SMALL_TASK_VALUES,
  upload,
} from "./messages.mjs";

let worker;
before(async () => (worker = await startWorker()));
after(() => worker.close());

async function runningTask(at = worker, config = SMALL_TASK) {
  const taskId = randomBytes(16);
  const adapter = await at.put(randomBytes(SMALL_TASK_VALUES * 4));
  await at.operator("POST", "/v1/tasks", createTask({ taskId, config, adapter, rounds: 2 }));
  const path = `/v1/tasks/${hex(taskId)}`;
  await at.operator("POST", `${path}/start`);
  const task = { taskId, adapter, config, path };
  return { ...task, ...(await currentRound(task, at)) };
}

async function currentRound(task, at = worker) {
  const status = readTaskStatus((await at.call(task.path)).body, task.config);
  return { round: status.round, roundPath: status.round && `${task.path}/rounds/${hex(status.round)}`, status };
}

const roundStatus = async (task, at = worker) => readRoundStatus((await at.call(task.roundPath)).body);

// A socket whose messages are read one after the other.
async function connect(task, at = worker) {
  const url = new URL(`${task.roundPath}/socket`, at.url);
  url.protocol = "ws:";
  const socket = new WebSocket(url);
  const heard = [];
  let wake = () => {};
  socket.on("message", (frame) => {
    heard.push(readAggregatorMessage(frame));
    wake();
  });
  const closed = new Promise((resolve) => socket.on("close", (code) => resolve(code)));
  await new Promise((resolve, reject) => socket.on("open", resolve).on("error", reject));
  async function next() {
    const deadline = Date.now() + 8000;
    while (heard.length === 0) {
      if (Date.now() > deadline) throw new Error("nothing was heard");
      await new Promise((resolve) => {
        wake = resolve;
        setTimeout(resolve, 100);
      });
    }
    return heard.shift();
  }
  async function until(kind) {
    for (;;) {
      const message = await next();
      if (message.kind === kind) return message;
    }
  }
  return { send: (frame) => socket.send(frame), next, until, closed, close: () => socket.close(), socket };
}

test("the lobby counts who joins and who leaves", async () => {
  const task = await runningTask();
  const [first, second] = [await connect(task), await connect(task)];
  first.send(join(task));
  assert.deepEqual(await first.next(), { kind: "lobby", joined: 1 });
  second.send(join(task));
  assert.deepEqual(await second.next(), { kind: "lobby", joined: 2 });
  assert.deepEqual(await first.next(), { kind: "lobby", joined: 2 });
  assert.equal((await roundStatus(task)).joined, 2);
  second.close();
  assert.deepEqual(await first.next(), { kind: "lobby", joined: 1 });
  first.close();
});

test("each bad frame is refused with its own code and changes nothing", async () => {
  const task = await runningTask();
  const client = await connect(task);
  const good = join(task);
  const refusals = [
    ["text", "malformed"],
    [new Uint8Array(), "truncated"],
    [new Uint8Array([9, ...good.subarray(1)]), "wire_version"],
    [good.subarray(0, good.length - 1), "truncated"],
    [new Uint8Array([...good, 0]), "trailing_bytes"],
    [new Uint8Array([1, 77]), "malformed"],
    [new Uint8Array(84 * 1024 + 1), "too_large"],
    [leave(randomBytes(16)), "wrong_round"],
    [join({ ...task, version: 7 }), "stale_version"],
    [join({ ...task, adapter: randomBytes(32) }), "wrong_model"],
  ];
  const before = await roundStatus(task);
  for (const [frame, code] of refusals) {
    client.send(frame);
    assert.deepEqual(await client.next(), { kind: "refused", code });
  }
  assert.deepEqual(await roundStatus(task), before);
  client.send(good);
  assert.deepEqual(await client.next(), { kind: "lobby", joined: 1 });
  client.send(good);
  assert.deepEqual(await client.next(), { kind: "refused", code: "duplicate" });
  client.close();
});

test("each bad upload is refused with its own code and changes nothing", async () => {
  const task = await runningTask();
  const path = `${task.roundPath}/upload`;
  const words = new Uint8Array((SMALL_TASK_VALUES + 1) * 4);
  const good = upload({ ...task, words });
  const refusals = [
    [good, 409, "wrong_phase"],
    [upload({ round: randomBytes(16), words }), 409, "wrong_round"],
    [good.subarray(0, good.length - 1), 400, "truncated"],
    [new Uint8Array([...good, 0]), 400, "trailing_bytes"],
    [new Uint8Array([9, ...good.subarray(1)]), 400, "wire_version"],
    [upload({ ...task, words: new Uint8Array(words.length + 64) }), 413, "too_large"],
  ];
  const before = await roundStatus(task);
  for (const [body, status, code] of refusals) {
    const answer = await worker.call(path, { method: "POST", body });
    assert.deepEqual([answer.status, readAggregatorMessage(answer.body)], [status, { kind: "refused", code }]);
  }
  assert.equal(await worker.announce("POST", path, { "content-length": 1 << 30 }), 413);
  assert.equal(await worker.announce("POST", path, { "transfer-encoding": "chunked" }), 411);
  assert.deepEqual(await roundStatus(task), before);
});

test("a round whose clients fall silent ends at its deadlines and another opens", async () => {
  const task = await runningTask(worker, { ...SMALL_TASK, deadlineMs: 300 });
  const clients = await Promise.all([1, 2, 3].map(() => connect(task)));
  for (const client of clients) client.send(join(task));
  for (const client of clients) {
    await client.until("roster");
    await client.until("aborted");
    assert.equal(await client.closed, 1000);
  }
  assert.equal((await roundStatus(task)).phase, "aborted");
  const next = await currentRound(task);
  assert.notEqual(hex(next.round), hex(task.round));
  assert.deepEqual([next.status.version, next.status.roundsLeft], [0, 2]);
  const late = await connect(task);
  assert.equal((await late.next()).kind, "aborted", "a visitor who comes late hears how it ended");
});

test("a stop ends the round and tells everyone in it", async () => {
  const task = await runningTask();
  const client = await connect(task);
  client.send(join(task));
  await client.next();
  await worker.operator("POST", `${task.path}/stop`);
  assert.equal((await client.next()).kind, "aborted");
  assert.equal(await client.closed, 1000);
  const answer = await worker.call(`${task.roundPath}/upload`, {
    method: "POST",
    body: upload({ ...task, words: new Uint8Array(4) }),
  });
  assert.deepEqual([answer.status, readAggregatorMessage(answer.body).code], [410, "round_aborted"]);
});

test("a socket is for rounds that exist, and a round has room for a bounded number", async () => {
  const task = await runningTask();
  assert.equal((await worker.call(`${task.roundPath}/socket`)).status, 426);
  const nowhere = { ...task, roundPath: `${task.path}/rounds/${hex(randomBytes(16))}` };
  await assert.rejects(connect(nowhere), /404/);
  const room = 3 * SMALL_TASK.cohortSize + 16;
  const all = await Promise.all(Array.from({ length: room }, () => connect(task)));
  await assert.rejects(connect(task), /503/);
  for (const client of all) client.close();
});

test("a lobby survives a restart without the clients whose sockets did not", async () => {
  const persist = mkdtempSync(joinPath(tmpdir(), "choir-edge-"));
  let own = await startWorker({ persist });
  try {
    const task = await runningTask(own);
    const client = await connect(task, own);
    client.send(join(task));
    await client.next();
    client.socket.on("error", () => {});
    await own.close();
    own = await startWorker({ persist });
    assert.equal((await currentRound(task, own)).round.length, 16);
    assert.deepEqual((await roundStatus(task, own)).joined, 0);
    const again = await connect(task, own);
    again.send(join(task));
    assert.deepEqual(await again.next(), { kind: "lobby", joined: 1 });
    again.close();
  } finally {
    await own.close();
    rmSync(persist, { recursive: true, force: true });
  }
});

// After a round is over, nothing of its clients is stored: whole rounds by real clients, every row
// of every object searched for all that the clients sent.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { storedRows } from "../dev/rows.mjs";
import { loadProtocol } from "./client.mjs";
import { hex, startWorker } from "./harness.mjs";
import { cohort, opened, QUICK_TASK, roundStatus, runningTask, until } from "./small_task.mjs";

const OPEN = 3;

let protocol;
let persist;
let worker;
before(async () => {
  protocol = await loadProtocol();
  persist = mkdtempSync(join(tmpdir(), "choir-forgetting-"));
  worker = await startWorker({ persist });
});
after(async () => {
  await worker.close();
  rmSync(persist, { recursive: true, force: true });
});

// Names of the clients' traces that are found in any row.
async function found(clients) {
  const rows = (await storedRows(persist)).map((row) => JSON.stringify(row));
  assert.notEqual(rows.length, 0, "rows are read");
  const names = new Set();
  for (const { name, bytes } of clients.flatMap((client) => client.traces))
    if (rows.some((row) => row.includes(hex(bytes)))) names.add(name);
  return [...names].sort();
}

async function rowsOf(round) {
  const rows = (await storedRows(persist)).filter((row) => row.class === "RoundObject");
  const one = rows.find((row) => JSON.stringify(row).includes(hex(round)));
  return rows.filter((row) => row.id === one?.id).map((row) => row.row.name);
}

test("while a round runs its clients are found by the search, once it closed they are not", async () => {
  const task = await opened(worker, await runningTask(worker));
  let letGo;
  const gate = new Promise((resolve) => (letGo = resolve));
  let waiting = 0;
  // Everybody stops before OPEN: then keys, commitments and signatures are all stored.
  const hold = (kind) => (kind === OPEN ? ((waiting += 1), gate) : undefined);
  const clients = await cohort(protocol, worker, task, () => ({ hold }));
  await until(() => waiting === clients.length);
  const during = await found(clients);
  assert.deepEqual(during, ["acknowledgement", "channel key", "commitment", "mask key", "signing key"]);
  letGo();
  for (const client of clients) assert.equal((await client.ended).kind, "finished");
  assert.equal((await roundStatus(worker, task)).phase, "closed");
  assert.ok(clients[0].traces.some((trace) => trace.name === "share"), "shares were sent");
  assert.ok(clients[0].traces.some((trace) => trace.name === "masked vector"), "a vector was sent");
  assert.deepEqual(await found(clients), []);
  assert.deepEqual(await rowsOf(task.round), ["ended"], "only how it ended is left");
});

test("a round that is aborted leaves nothing of its clients either", async () => {
  const task = await opened(worker, await runningTask(worker));
  let waiting = 0;
  const forever = new Promise(() => {});
  // Everybody stops before UPLOAD: then the boxes are stored too, for clients that come back.
  const hold = (kind) => (kind === "upload" ? ((waiting += 1), forever) : undefined);
  const clients = await cohort(protocol, worker, task, () => ({ hold }));
  await until(() => waiting === clients.length);
  assert.deepEqual(await found(clients), ["channel key", "commitment", "mask key", "sealed box", "signing key"]);
  await worker.operator("POST", `${task.path}/stop`);
  for (const client of clients) assert.equal((await client.ended).kind, "left");
  assert.equal((await roundStatus(worker, task)).phase, "aborted");
  assert.deepEqual(await found(clients), []);
  assert.deepEqual(await rowsOf(task.round), ["ended"]);
});

test("a lobby that is stopped leaves nothing of those who waited", async () => {
  const task = await opened(worker, await runningTask(worker));
  const [waiting] = await cohort(protocol, worker, { ...task, config: { ...task.config, cohortSize: 1 } });
  await until(async () => (await roundStatus(worker, task)).joined === 1);
  assert.deepEqual(await found([waiting]), ["channel key", "mask key", "signing key"]);
  await worker.operator("POST", `${task.path}/stop`);
  await waiting.ended;
  assert.deepEqual(await found([waiting]), []);
});

test("a client that comes back when all is over still hears how it ended", async () => {
  // One of four may be lost; all four are in the sum.
  const task = await opened(worker, await runningTask(worker, { ...QUICK_TASK, cohortSize: 4 }));
  let cut;
  const beforeOpen = new Promise((resolve) => (cut = resolve));
  let waiting = 0;
  let letGo;
  const gate = new Promise((resolve) => (letGo = resolve));
  const hold = (kind) => (kind === OPEN ? ((waiting += 1) === 4 && cut(), gate) : undefined);
  const clients = await cohort(protocol, worker, task, () => ({ hold }));
  await beforeOpen;
  clients[0].cut();
  letGo();
  for (const client of clients.slice(1)) assert.equal((await client.ended).kind, "finished");
  await until(async () => (await roundStatus(worker, task)).phase === "closed");
  await clients[0].resume();
  const end = await clients[0].ended;
  assert.equal(end.kind, "finished", JSON.stringify(end));
  assert.equal(end.receipt.survivors, 4);
  assert.deepEqual(await found(clients), []);
});

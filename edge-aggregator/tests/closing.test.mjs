// Rounds whose result cannot be published: tried again a bounded number of times, then given up.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { loadProtocol } from "./client.mjs";
import { hex, startWorker } from "./harness.mjs";
import { readTaskStatus } from "./messages.mjs";
import { cohort, opened, roundStatus, runningTask } from "./small_task.mjs";

let worker;
let protocol;
before(async () => ([worker, protocol] = [await startWorker(), await loadProtocol()]));
after(() => worker.close());

test("a closing round whose adapter is gone ends without a result, and its task stops", async () => {
  const task = await opened(worker, await runningTask(worker));
  await (await worker.bucket()).delete(hex(task.adapter));
  const clients = await cohort(protocol, worker, task);
  for (const client of clients) {
    const end = await client.ended;
    assert.equal(end.kind, "left", JSON.stringify(end));
    assert.match(end.reason, /abort|publish/);
  }
  const { phase, abortReason } = await roundStatus(worker, task);
  assert.deepEqual([phase, abortReason], ["aborted", 7], "the reason is its own");
  const status = readTaskStatus((await worker.call(task.path)).body, task.config);
  assert.deepEqual([status.state, status.round, status.version], ["stopped", null, 0]);
  const report = JSON.parse((await worker.operator("GET", `${task.path}/report`)).text);
  assert.deepEqual(report.figures.totals.aborted, { not_published: 1 });
});

test("an adapter that comes back in time is published, also for a client that was away", async () => {
  const task = await opened(worker, await runningTask(worker));
  const bucket = await worker.bucket();
  const bytes = await (await bucket.get(hex(task.adapter))).arrayBuffer();
  await bucket.delete(hex(task.adapter));
  const clients = await cohort(protocol, worker, task);
  // The first attempt fails as soon as the sum is there; the second comes after five seconds.
  const ended = Promise.race([clients[0].ended, new Promise((resolve) => setTimeout(resolve, 2_500, "still closing"))]);
  assert.equal(await ended, "still closing");
  clients[1].cut();
  await clients[1].resume();
  await worker.put(new Uint8Array(bytes));
  for (const client of clients) assert.equal((await client.ended).kind, "finished");
  assert.equal((await roundStatus(worker, task)).phase, "closed");
});

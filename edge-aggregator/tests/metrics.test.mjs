// What an operator and its Prometheus are told, after whole rounds by real clients.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { loadProtocol } from "./client.mjs";
import { parse } from "./exposition.mjs";
import { hex, SECRET, startWorker, Writer } from "./harness.mjs";
import { cohort, opened, QUICK_TASK, runningTask } from "./small_task.mjs";

const TOKEN = "for-prometheus-in-tests-0123456789";
const LABELS = ["task", "name", "reason", "code", "phase", "le"];

let worker;
let protocol;
before(async () => ([worker, protocol] = [await startWorker({ metricsToken: TOKEN }), await loadProtocol()]));
after(() => worker.close());

const scrape = (token) => worker.call("/metrics", { headers: { authorization: `Bearer ${token}` } });

async function samples() {
  const { status, headers, body } = await scrape(TOKEN);
  assert.equal(status, 200);
  assert.equal(headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  return parse(new TextDecoder().decode(body));
}

const valueOf = (all, task, name, labels = {}) =>
  all.find((one) => one.name === name && one.labels.task === hex(task.taskId) && Object.entries(labels).every(([key, value]) => one.labels[key] === value))?.value;

test("metrics are for the operator and for the token that can do nothing else", async () => {
  assert.equal((await scrape(TOKEN)).status, 200);
  assert.equal((await scrape(SECRET)).status, 200);
  for (const wrong of ["", "x", `${TOKEN}x`]) assert.equal((await scrape(wrong)).status, 401);
  assert.equal((await worker.call("/metrics")).status, 401);
  const asReader = { authorization: `Bearer ${TOKEN}` };
  assert.equal((await worker.call("/v1/tasks", { headers: asReader })).status, 401);
  assert.equal((await worker.call(`/v1/tasks/${"0".repeat(32)}/stop`, { method: "POST", headers: asReader })).status, 401);
});

test("a round is counted once, in each of its figures", async () => {
  const task = await opened(worker, await runningTask(worker));
  const clients = await cohort(protocol, worker, task);
  for (const client of clients) assert.equal((await client.ended).kind, "finished");
  const all = await samples();
  const value = (name, labels) => valueOf(all, task, name, labels);
  assert.equal(value("choir_task_info", { name: "small" }), 1);
  assert.equal(value("choir_task_version"), 1);
  assert.equal(value("choir_task_running"), 1);
  assert.equal(value("choir_task_rounds_left"), 4);
  assert.equal(value("choir_cohort_size"), QUICK_TASK.cohortSize);
  assert.equal(value("choir_rounds_opened_total"), 1);
  assert.equal(value("choir_rounds_closed_total"), 1);
  assert.equal(value("choir_clients_joined_total"), 3);
  assert.equal(value("choir_clients_survived_total"), 3);
  assert.equal(value("choir_clients_dropped_total"), 0);
  assert.ok(value("choir_bytes_up_total") > 3 * 60 * 4, "three vectors of 60 words");
  assert.ok(value("choir_bytes_down_total") > 0);
  for (const phase of ["enroll", "share_keys", "collect", "confirm", "unmask"]) {
    assert.equal(value("choir_phase_seconds_count", { phase }), 1, phase);
    assert.equal(value("choir_phase_seconds_bucket", { phase, le: "+Inf" }), 1, phase);
    assert.ok(value("choir_phase_seconds_sum", { phase }) < 60, phase);
  }
});

test("aborts and refusals are counted by their reasons", async () => {
  const task = await opened(worker, await runningTask(worker));
  const answer = await worker.call(`${task.roundPath}/upload`, { method: "POST", body: new Uint8Array([9, 9, 9]) });
  assert.equal(answer.status, 400);
  await worker.operator("POST", `${task.path}/stop`);
  const all = await samples();
  assert.equal(valueOf(all, task, "choir_refusals_total", { code: "wire_version" }), 1);
  assert.equal(valueOf(all, task, "choir_rounds_aborted_total", { reason: "stopped" }), 1);
  assert.equal(valueOf(all, task, "choir_rounds_closed_total"), 0);
  assert.equal(valueOf(all, task, "choir_task_running"), 0);
});

test("no client's key, index, address or round is in the metrics or in the report", async () => {
  const task = await opened(worker, await runningTask(worker));
  const clients = await cohort(protocol, worker, task);
  for (const client of clients) await client.ended;
  const page = (await scrape(TOKEN)).text;
  const { text: report } = await worker.operator("GET", `${task.path}/report`);
  for (const { name, bytes } of clients.flatMap((client) => client.traces))
    for (const form of [hex(bytes), Buffer.from(bytes).toString("base64")])
      for (const text of [page, report]) assert.ok(!text.includes(form), name);
  for (const address of ["127.0.0.1", "::1"])
    for (const text of [page, report]) assert.ok(!text.includes(address), address);
  assert.ok(!page.includes(hex(task.round)), "no round is named");
  for (const { labels } of await samples())
    for (const label of Object.keys(labels)) assert.ok(LABELS.includes(label), label);
});

test("a name with quotes and line feeds stays in its label", async () => {
  const name = 'a "name"\nwith \\ in it';
  const task = await runningTask(worker, { ...QUICK_TASK, name });
  assert.equal(valueOf(await samples(), task, "choir_task_info", { name }), 1);
});

test("an evaluation stands in the report, and one that cannot be is refused with the reason", async () => {
  const task = await runningTask(worker);
  const evaluation = ({ version = 0, accuracy = 0.75, loss = 0.5, examples = 20 }) => {
    const numbers = new Uint8Array(new Float64Array([accuracy, loss]).buffer);
    return new Writer().varint(version).raw(numbers).varint(examples).message();
  };
  const post = (given) => worker.operator("POST", `${task.path}/evaluations`, evaluation(given));
  assert.equal((await post({ accuracy: 0.25 })).status, 200);
  assert.equal((await post({})).status, 200, "a second one takes the first one's place");
  const report = JSON.parse((await worker.operator("GET", `${task.path}/report`)).text);
  assert.deepEqual(report.evaluations, [{ version: 0, accuracy: 0.75, loss: 0.5, examples: 20 }]);
  for (const [bad, reason] of [
    [{ version: 9 }, /newer/],
    [{ accuracy: 1.5 }, /accuracy/],
    [{ loss: Number.NaN }, /loss/],
    [{ examples: 0 }, /examples/],
  ]) {
    const { status, text } = await post(bad);
    assert.equal(status, 422);
    assert.match(text, reason);
  }
  const anonymous = await worker.call(`${task.path}/evaluations`, { method: "POST", body: evaluation({}) });
  assert.equal(anonymous.status, 401);
});

test("the list names every task, for the operator only", async () => {
  const task = await runningTask(worker);
  const { tasks } = JSON.parse((await worker.operator("GET", "/v1/tasks")).text);
  assert.equal(tasks.at(-1), hex(task.taskId));
  assert.equal(new Set(tasks).size, tasks.length);
  for (const path of ["/v1/tasks", `${task.path}/report`]) assert.equal((await worker.call(path)).status, 401);
});

// Two workers, a leader and its helper, and real clients: a round by reports, and what the helper refuses whoever asks.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { storedRows } from "../dev/rows.mjs";
import { HelperProxy, readBatch, readReply, writeBatch } from "./batches.mjs";
import { loadProtocol } from "./client.mjs";
import { hex, startWorker } from "./harness.mjs";
import { createTask, readAggregatorMessage, readTaskStatus, SMALL_TASK, SMALL_TASK_VALUES } from "./messages.mjs";
import { until } from "./small_task.mjs";

const TOKEN = "for-tests-only-between-leader-and-helper";
const AS_LEADER = { authorization: `Bearer ${TOKEN}` };
const persist = mkdtempSync(join(tmpdir(), "choir-leader-"));
let protocol, helper, proxy, leader, key;

const startLeader = () => startWorker({ persist, helper: { HELPER_TOKEN: TOKEN } });

before(async () => {
  protocol = await loadProtocol();
  const secret = randomBytes(32).toString("hex");
  helper = await startWorker({ helper: { HELPER_TOKEN: TOKEN, HELPER_SECRET_KEY: secret, HELPER_MIN_BATCH: "3" } });
  proxy = new HelperProxy(helper.url);
  const about = JSON.parse((await helper.call("/v1/helper")).text);
  assert.equal(about.min_batch, 3);
  key = about.key;
  leader = await startLeader();
});
after(async () => {
  proxy?.close();
  await leader?.close();
  await helper?.close();
  rmSync(persist, { recursive: true, force: true });
});

async function runningTask({ url, register = true, ...change } = {}) {
  url ??= address ??= await proxy.listen();
  const config = { ...SMALL_TASK, cohortSize: 3, deadlineMs: 60_000, helper: { url, key: Buffer.from(key, "hex") }, ...change };
  const taskId = randomBytes(16);
  const path = `/v1/tasks/${hex(taskId)}`;
  const old = Float32Array.from({ length: SMALL_TASK_VALUES }, () => Math.random());
  const adapter = await leader.put(new Uint8Array(old.buffer));
  const body = createTask({ taskId, config, adapter, rounds: 5 });
  if (register) assert.equal((await helper.operator("PUT", `/v1/helper/tasks/${hex(taskId)}`, body)).status, 200);
  assert.equal((await leader.operator("POST", "/v1/tasks", body)).status, 200);
  await leader.operator("POST", `${path}/start`);
  return { taskId, path, config, old, batches: `/v1/helper/tasks/${hex(taskId)}/batches` };
}
let address;

const policy = () => ({ minCohort: 3, corruptPermille: 0, noiseMultiplier: 0, clip: 0, uploads: 9, helpers: [key] });
const status = async (task) => readTaskStatus((await leader.call(task.path)).body, task.config);

/** A report of `values` in the task's open round. */
async function makeReport(task, values, helpers = [key]) {
  const { body } = await leader.call(task.path);
  return protocol.Report.make(body, hex(task.taskId), { ...policy(), helpers }, values, 5);
}

const floats = () => Float32Array.from({ length: SMALL_TASK_VALUES }, () => Math.random() / 10);

async function send(task, report, round) {
  const answer = await leader.call(`${task.path}/rounds/${hex(round)}/reports`, { method: "POST", body: report.bytes() });
  return { ...answer, meaning: report.answered(answer.status, answer.body) };
}

/** Three clients report; what came of the round, and the question to the helper. */
async function publishedRound(task) {
  const { round, history } = await status(task);
  const updates = [floats(), floats(), floats()];
  for (const update of updates) {
    const { meaning } = await send(task, await makeReport(task, update), round);
    assert.deepEqual(meaning, { kind: "taken" });
  }
  await until(async () => (await status(task)).history.length > history.length, 20_000);
  const summary = (await status(task)).history.at(-1);
  return { round, updates, summary, question: proxy.questions.at(-1) };
}

const ask = (task, batch, headers = AS_LEADER) =>
  helper.call(task.batches, { method: "POST", headers, body: Buffer.isBuffer(batch) ? batch : writeBatch(batch) });
const refusal = async (task, batch) => readReply((await ask(task, batch)).body).refused;

test("three reports make a version: the old adapter and the mean of the three updates", async () => {
  const task = await runningTask();
  const { round, updates, summary } = await publishedRound(task);
  assert.deepEqual(hex(summary.round), hex(round));
  assert.deepEqual([summary.versionBefore, summary.clients, summary.survivors, summary.dropped], [0, 3, 3, 0]);
  const { body } = await leader.call(`/v1/objects/${hex(summary.adapter)}`);
  const made = new Float32Array(body.buffer);
  made.forEach((value, place) => {
    const mean = updates.reduce((sum, update) => sum + update[place], 0) / 3;
    assert.ok(Math.abs(value - task.old[place] - mean) < 1e-4, `${place}: ${value}`);
  });
  assert.equal((await status(task)).version, 1);
});

test("the helper answers one batch as often as it is asked, and no other with a report of it", async () => {
  const task = await runningTask();
  const { question } = await publishedRound(task);
  const again = await ask(task, question.body);
  assert.deepEqual([again.status, Buffer.from(again.body)], [200, question.reply]);
  const { header, reports } = readBatch(question.body);
  assert.equal(await refusal(task, { header, reports: reports.slice(0, 2) }), "too_few");
  assert.equal(await refusal(task, { header, reports: reports.toReversed() }), "used");
  const fresh = readBatch((await publishedRound(task)).question.body);
  assert.equal(await refusal(task, { header, reports: [...fresh.reports.slice(0, 2), reports[0]] }), "used");
  assert.equal(await refusal(task, { header, reports: [] }), "too_few");
});

test("a batch that is wrong in another way is refused by name", async () => {
  const task = await runningTask();
  const { question } = await publishedRound(task);
  const { header, reports } = readBatch(question.body);
  const others = reports.map((report) => Uint8Array.from(report, (byte, place) => (place < 16 ? byte ^ 1 : byte)));
  assert.equal(await refusal(task, { header, reports: others }), "too_few_opened");
  assert.equal(await refusal(task, { header, reports: [others[0], others[1], others[0]] }), "repeated");
  assert.equal(await refusal(task, { header, reports: [...others, reports[0]] }), "too_many");
  const lower = Uint8Array.from(header, (byte, place) => (place === header.length - 33 ? 2 : byte));
  assert.equal(await refusal(task, { header: lower, reports: others }), "header");
  const elsewhere = Uint8Array.from(header, (byte, place) => (place === header.length - 1 ? byte ^ 1 : byte));
  assert.equal(await refusal(task, { header: elsewhere, reports: others }), "other_helper");
  assert.equal(await refusal(task, Buffer.from([1, 7])), "malformed");
  const unknown = { batches: `/v1/helper/tasks/${hex(randomBytes(16))}/batches` };
  assert.equal(await refusal(unknown, question.body), "unknown_task");
});

test("only the leader asks, only the operator registers, and only a helper answers", async () => {
  const task = await runningTask();
  for (const headers of [{}, { authorization: "Bearer wrong" }, helper.asOperator]) {
    assert.equal((await ask(task, Buffer.from([1]), headers)).status, 401);
  }
  const register = (method, headers) => helper.call(`/v1/helper/tasks/${hex(task.taskId)}`, { method, headers, body: "x" });
  assert.equal((await register("PUT", AS_LEADER)).status, 401);
  assert.equal((await leader.call("/v1/helper")).status, 404);
});

test("the helper serves no task below its minimum, of another key, or in another form than registered", async () => {
  const task = await runningTask();
  const register = (config, taskId = randomBytes(16)) =>
    helper.operator("PUT", `/v1/helper/tasks/${hex(taskId)}`, createTask({ taskId, config, adapter: randomBytes(32), rounds: 1 }));
  const strict = await startWorker({
    helper: { HELPER_TOKEN: TOKEN, HELPER_SECRET_KEY: randomBytes(32).toString("hex") },
  });
  try {
    const about = JSON.parse((await strict.call("/v1/helper")).text);
    assert.equal(about.min_batch, 50, "the privacy floor, where nothing else is said");
    const taskId = randomBytes(16);
    const config = { ...task.config, helper: { ...task.config.helper, key: Buffer.from(about.key, "hex") } };
    const body = createTask({ taskId, config, adapter: randomBytes(32), rounds: 1 });
    const refused = await strict.operator("PUT", `/v1/helper/tasks/${hex(taskId)}`, body);
    assert.equal(refused.status, 422);
    assert.match(refused.text, /below 50/);
  } finally {
    await strict.close();
  }
  const other = { ...task.config, helper: { ...task.config.helper, key: Buffer.alloc(32, 9) } };
  assert.match((await register(other)).text, /does not name this helper's key/);
  assert.equal((await register(task.config, task.taskId)).status, 200, "the same once more");
  assert.equal((await register({ ...task.config, name: "another" }, task.taskId)).status, 409);
});

test("a round waits for a helper that is away, and takes a report once however often it is sent", async () => {
  const task = await runningTask();
  const { round } = await status(task);
  proxy.away = true;
  const reports = [];
  for (let client = 0; client < 3; client += 1) reports.push(await makeReport(task, floats()));
  for (const report of reports) assert.equal((await send(task, report, round)).status, 200);
  const twice = await send(task, reports[0], round);
  assert.deepEqual([twice.status, readAggregatorMessage(twice.body).code], [409, "duplicate"]);
  assert.deepEqual(twice.meaning, { kind: "taken" });
  assert.equal((await status(task)).history.length, 0);
  proxy.away = false;
  await until(async () => (await status(task)).history.length === 1, 20_000);
  const late = await send(task, reports[0], round);
  assert.deepEqual(readAggregatorMessage(late.body).code, "late");
});

test("reports survive a restart of the leader, and nothing of them is left when the round is over", async () => {
  const task = await runningTask();
  const { round } = await status(task);
  const reports = [];
  for (let client = 0; client < 3; client += 1) reports.push(await makeReport(task, floats()));
  for (const report of reports.slice(0, 2)) assert.equal((await send(task, report, round)).status, 200);
  await leader.close();
  const id = hex(reports[0].bytes().slice(49, 65));
  const stored = async () => (await storedRows(persist)).some((row) => JSON.stringify(row).includes(id));
  assert.ok(await stored(), "the report is found where it is kept");
  leader = await startLeader();
  assert.equal((await send(task, reports[2], round)).status, 200);
  await until(async () => (await status(task)).history.length === 1, 20_000);
  assert.equal((await status(task)).history[0].survivors, 3);
  await leader.close();
  assert.ok(!(await stored()));
  leader = await startLeader();
});

test("a client reports only to a helper that its page names, and joins no cohort of such a task", async () => {
  const task = await runningTask();
  const { body } = await leader.call(task.path);
  const refused = (error) => error.code === "policy" && /helper/.test(error.message);
  for (const helpers of [[], ["07".repeat(32)]]) await assert.rejects(makeReport(task, floats(), helpers), refused);
  assert.throws(() => protocol.Participation.join(body, hex(task.taskId), policy(), floats(), 5), refused);
  const { round } = await status(task);
  assert.equal((await leader.call(`${task.path}/rounds/${hex(round)}`)).status, 404, "there is no lobby");
});

test("a stop ends a round of reports without a sum", async () => {
  const task = await runningTask();
  const { round } = await status(task);
  const report = await makeReport(task, floats());
  assert.equal((await send(task, report, round)).status, 200);
  assert.equal((await leader.operator("POST", `${task.path}/stop`)).status, 200);
  const after = await status(task);
  assert.deepEqual([after.state, after.history.length, after.version], ["stopped", 0, 0]);
  assert.deepEqual(readAggregatorMessage((await send(task, report, round)).body).code, "round_aborted");
});

// A small task that runs, and whole rounds of it by real clients.
import { randomBytes } from "node:crypto";
import { Client } from "./client.mjs";
import { hex } from "./harness.mjs";
import { createTask, readRoundStatus, readTaskStatus, SMALL_TASK, SMALL_TASK_VALUES } from "./messages.mjs";

// Three start a round at once; no phase ends before a test wants it to.
export const QUICK_TASK = { ...SMALL_TASK, cohortSize: 3, deadlineMs: 60_000 };

// Values that are numbers: random bits would hold NaN.
const floats = (length) => Float32Array.from({ length }, () => Math.random() / 10);

export async function runningTask(worker, config = QUICK_TASK, rounds = 5) {
  const taskId = randomBytes(16);
  const adapter = await worker.put(new Uint8Array(floats(SMALL_TASK_VALUES).buffer));
  const created = await worker.operator("POST", "/v1/tasks", createTask({ taskId, config, adapter, rounds }));
  if (created.status !== 200) throw new Error(`${created.status} ${created.text}`);
  const path = `/v1/tasks/${hex(taskId)}`;
  await worker.operator("POST", `${path}/start`);
  return { taskId, adapter, config, path };
}

// The task with its open round.
export async function opened(worker, task) {
  const { body } = await worker.call(task.path);
  const status = readTaskStatus(body, task.config);
  return { ...task, round: status.round, roundPath: `${task.path}/rounds/${hex(status.round)}`, statusBytes: body };
}

// A cohort whose clients have all begun to join.
export async function cohort(protocol, worker, task, options = () => ({})) {
  const clients = Array.from({ length: task.config.cohortSize }, (_, index) => {
    const update = floats(SMALL_TASK_VALUES);
    return new Client(protocol, worker, task, task.statusBytes, update, options(index));
  });
  for (const client of clients) await client.start();
  return clients;
}

export const roundStatus = async (worker, task) => readRoundStatus((await worker.call(task.roundPath)).body);

export async function until(condition, patienceMs = 10_000) {
  const deadline = Date.now() + patienceMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error("waited in vain");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

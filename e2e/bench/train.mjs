// The training bench in Chromium: the limit of its WebGPU, then a page for each row, all in one
// browser and by one clock; the limit once more at the end.
//
//   node bench/train.mjs PLAN_FILE
//
// The plan: `folders` to serve by name, `limits` (measure them or not), `row_limit_ms`, and `rows`
// of { id, script, backend, options, warm, timed }. One line of JSON on stdout for each event:
// session, limits, start, step, row. A row that fails says why, and the next one follows.
import { existsSync, readFileSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { webglRenderer, webgpuAdapter } from "../lib/browser.mjs";
import { openSession, say } from "./session.mjs";

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const session = await openSession(plan.folders);
try {
  const adapter = await session.describe();
  if (plan.limits) await session.limits(adapter);
  for (const row of plan.rows) {
    say("start", { id: row.id });
    const ended = await attempt(row);
    say("row", { id: row.id, load: loadavg()[0], ...ended });
    // What a failed row left on the GPU's queue is not the next one's to wait for.
    if (ended.failure) await session.relaunch();
  }
  if (plan.limits && plan.rows.length > 2) await session.limits(adapter);
} finally {
  await session.close();
}

/** What the row measured, or why it did not. */
async function attempt(row) {
  const [, folder, ...rest] = row.script.split("/");
  if (!existsSync(join(session.folders[folder] ?? "", ...rest))) return { failure: `missing in this build: ${row.script}` };
  let timer;
  const late = new Promise((_, reject) => {
    const minutes = plan.row_limit_ms / 60_000;
    timer = setTimeout(() => reject(new Error(`no end within ${minutes} minutes`)), plan.row_limit_ms);
  });
  try {
    return await session.withPage((page) => Promise.race([measure(page, row), closed(page), late]));
  } catch (error) {
    const [message] = String(error?.message ?? error).split("\n");
    return { failure: message.replace(/^page\.evaluate: (Error: )?/, "") };
  } finally {
    clearTimeout(timer);
  }
}

async function measure(page, row) {
  const adapter = await surface(page, row.backend);
  await page.exposeFunction("benchStep", (step, loss, ms) => say("step", { id: row.id, step, loss, ms }));
  const measured = await page.evaluate(async (given) => {
    const { runRow } = await import("/bench/row.js");
    return runRow(given, { cpuMs: window.benchCpuMs, onStep: window.benchStep });
  }, row);
  return { adapter, measured };
}

/** What the backend computes on. */
async function surface(page, backend) {
  if (backend === "webgpu") return (await webgpuAdapter(page)).adapter;
  return backend === "webgl" ? webglRenderer(page) : "CPU";
}

/** Fails when the page does: waiting for a page that is gone would last for ever. */
function closed(page) {
  return new Promise((_, reject) => page.once("crash", () => reject(new Error("the page crashed"))));
}

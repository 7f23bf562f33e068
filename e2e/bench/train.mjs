// The training bench in Chromium: the limit of its WebGPU, then a page for each row, all in one
// browser and by one clock; the limit once more at the end.
//
//   node bench/train.mjs PLAN_FILE
//
// The plan: `folders` to serve by name, `limits` (measure them or not), `row_limit_ms`, and `rows`
// of { id, script, backend, options, warm, timed }. One line of JSON on stdout for each event:
// session, limits, start, step, row. A row that fails says why, and the next one follows.
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { launchBrowser, webglRenderer, webgpuAdapter } from "../lib/browser.mjs";
import { treeCpuMs } from "../lib/cpu_time.mjs";
import { serveFolders } from "../lib/serve.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const cores = availableParallelism();
const folders = { ...plan.folders, bench: here };
const server = await serveFolders(folders);
let browser = await launchBrowser();
try {
  const adapter = await describe();
  if (plan.limits) await limits(adapter);
  for (const row of plan.rows) {
    say("start", { id: row.id });
    const ended = await attempt(row);
    say("row", { id: row.id, load: loadavg()[0], ...ended });
    if (ended.failure) await relaunch();
  }
  if (plan.limits && plan.rows.length > 2) await limits(adapter);
} finally {
  await browser.close();
  server.close();
}

/** What a failed row left on the GPU's queue is not the next one's to wait for. */
async function relaunch() {
  await browser.close().catch(() => {});
  browser = await launchBrowser();
}

function say(event, fields) {
  console.log(JSON.stringify({ event, ...fields }));
}

/** A page in a context of its own, which `use` is given; closed behind it. */
async function withPage(use) {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(0);
    await page.addInitScript({ path: join(here, "gpu_counts.js") });
    await page.exposeFunction("benchCpuMs", () => treeCpuMs());
    await page.goto(server.url);
    return await use(page);
  } finally {
    await context.close().catch(() => {});
  }
}

async function describe() {
  const adapter = await withPage(webgpuAdapter);
  if (adapter.device !== "webgpu") throw new Error(`this browser has no WebGPU: ${adapter.adapter}`);
  say("session", { ...adapter, cores, browser: `Chromium ${browser.version()}`, load: loadavg()[0] });
  return adapter;
}

/** A real GPU's work is none of the processes' CPU time: its clock is the wall's. */
async function limits({ software }) {
  const measured = await withPage((page) =>
    page.evaluate(
      async ({ count, byCpu }) => {
        const { measureLimits } = await import("/bench/limits.js");
        return measureLimits({ cpuMs: byCpu ? window.benchCpuMs : async () => null, cores: count });
      },
      { count: cores, byCpu: software },
    ),
  );
  say("limits", { ...measured, load: loadavg()[0] });
}

/** What the row measured, or why it did not. */
async function attempt(row) {
  const [, folder, ...rest] = row.script.split("/");
  if (!existsSync(join(folders[folder] ?? "", ...rest))) return { failure: `missing in this build: ${row.script}` };
  let timer;
  const late = new Promise((_, reject) => {
    const minutes = plan.row_limit_ms / 60_000;
    timer = setTimeout(() => reject(new Error(`no end within ${minutes} minutes`)), plan.row_limit_ms);
  });
  try {
    return await withPage((page) => Promise.race([measure(page, row), closed(page), late]));
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

// Steps in two threads in real Chromium are those of one, by the SDK's own parts: the training thread's
// here in the page, a sibling in `thread.js`. CHOIR_OUT names target/choir.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { launchBrowser } from "../lib/browser.mjs";
import { serveFolders } from "../lib/serve.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.env.CHOIR_OUT ?? join(here, "../../target/choir");
const joint = join(out, "joint");
const tasksFile = join(joint, "tasks.json");
const skip = existsSync(tasksFile) ? false : `not built: ${tasksFile}`;
const tasks = skip ? [] : JSON.parse(readFileSync(tasksFile, "utf8"));
const STEPS = 20;
/** Of the losses; of the values, in their own size, as a tiny gradient moves a value as far as a large one. */
const TOLERANCE = { loss: 1e-5, adapter: 2e-4 };

let server;
let browser;
before(async () => {
  if (skip) return;
  server = await serveFolders({ wasm: join(out, "wasm"), joint, bench: join(here, "../bench") });
  browser = await launchBrowser();
});
after(async () => {
  await browser?.close();
  server?.close();
});

test("a sibling takes part in every step, and losses and adapter are those of one thread", { skip }, async (t) => {
  assert.deepEqual(tasks.map(({ name }) => name), ["encoder", "decoder"]);
  for (const task of tasks) {
    const page = await openPage(t);
    const alone = await train(page, task, { threads: 1 });
    const both = await train(page, task, { threads: 2 });
    assert.deepEqual(new Set(both.threads), new Set([2]));
    assertSame(both, alone, task.name);
    const more = await train(page, task, { threads: 3 });
    assertSame(more, alone, task.name);
    assert.ok(alone.losses.at(-1) !== alone.losses[0], "nothing was trained");
  }
});

test("a sibling that is killed in the midst of the steps costs nothing but its help", { skip }, async (t) => {
  for (const task of tasks) {
    const page = await openPage(t);
    const both = await train(page, task, { threads: 2 });
    const survivor = await train(page, task, { threads: 2, killAt: 7 });
    assert.deepEqual(survivor.threads, [...Array(8).fill(2), ...Array(STEPS - 8).fill(1)]);
    // The step in which it was killed is the same to the last bit, those behind it nearly.
    assert.deepEqual(survivor.losses.slice(0, 8), both.losses.slice(0, 8));
    assertSame(survivor, both, task.name);
  }
});

test("a checkpoint that was taken in two threads is gone on from in one", { skip }, async (t) => {
  for (const task of tasks) {
    const page = await openPage(t);
    const whole = await train(page, task, { threads: 2 });
    const resumed = await train(page, task, { threads: 2, resumeAt: 9 });
    assertSame(resumed, whole, task.name);
  }
});

test("without its weights in the browser's cache a sibling asks nobody for them", { skip }, async (t) => {
  const page = await openPage(t);
  const asked = [];
  page.context().on("request", (request) => asked.push(request.url()));
  const problem = await page.evaluate(async (task) => {
    const { open } = await import(task.script);
    const matching = Cache.prototype.put;
    Cache.prototype.put = async () => undefined;
    try {
      await open({ ...task, threads: 2 });
      return null;
    } catch (error) {
      return String(error);
    } finally {
      Cache.prototype.put = matching;
    }
  }, tasks[0]);
  assert.match(problem, /1 threads have come up, not 2/);
  assert.deepEqual(asked.filter((url) => url.includes("/v1/")), []);
});

async function openPage(t) {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(server.url);
  return page;
}

/** Trains a task from its start; in the page. */
function train(page, task, how) {
  return page.evaluate(
    async ([task, steps, { threads, killAt, resumeAt }]) => {
      const { open } = await import(task.script);
      const model = await open({ ...task, threads });
      const { trainer, joint } = model;
      // All batches' sequences, drawn in batches of mixed lengths.
      const ends = (parts) => parts.reduce((all, part) => [...all, ...[...part].slice(1).map((end) => end + all.at(-1))], [0]);
      const of = (name) => model.examples.map((batch) => batch[name]);
      const joined = [of("tokens").flatMap((list) => [...list]), ends(of("starts")), of("labels").flatMap((list) => [...list])];
      const examples = joined.map((list) => Uint32Array.from(list));
      trainer.setExamples(...examples, 5n);
      const [losses, taken] = [[], []];
      for (let step = 0; step < steps; step++) {
        if (step === resumeAt) {
          const [adapter, moments] = [await trainer.adapter(), await trainer.optimizer()];
          joint.close();
          trainer.setExamples(...examples, 5n);
          trainer.resume(adapter, moments, step);
        }
        const pending = joint ? joint.steps.take(1, 0) : trainer.steps(1);
        // Behind the message that asks it for this step's portion.
        if (step === killAt) joint.workers[0].terminate();
        const found = await pending;
        losses.push(found.losses[0]);
        taken.push(found.threads ?? 1);
      }
      const adapter = [...(await trainer.adapter())];
      model.close();
      return { losses, threads: taken, adapter };
    },
    [task, STEPS, how],
  );
}

function assertSame(found, expected, name) {
  const worst = (one, other, over) => Math.max(...one.map((value, at) => Math.abs(value - other[at]) / over(other[at])));
  assert.equal(found.losses.length, expected.losses.length);
  const loss = worst(found.losses, expected.losses, Math.abs);
  assert.ok(loss <= TOLERANCE.loss, `${name}: losses differ by ${loss}`);
  const adapter = worst(found.adapter, expected.adapter, () => 1);
  assert.ok(adapter <= TOLERANCE.adapter, `${name}: values of the adapter differ by ${adapter}`);
}

/** Checkpoints: what comes back is what was kept, and anything else is none. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import type { Checkpoint, TrainingKey } from "../packages/sdk/src/checkpoint.ts";
import { decodeCheckpoint, digestExamples, encodeCheckpoint, peekCheckpoint, whyAnother } from "../packages/sdk/src/checkpoint.ts";
import type { CheckpointFiles } from "../packages/sdk/src/checkpoint_files.ts";
import type { ChoirEvent } from "../packages/sdk/src/events.ts";
import { Gate } from "../packages/sdk/src/gate.ts";
import { Lock } from "../packages/sdk/src/lock.ts";
import type { EngineTrainer } from "../packages/sdk/src/modules.ts";
import { runResumableSteps } from "../packages/sdk/src/resumable.ts";

function newHash() {
  const hash = createHash("sha256");
  return { update: (chunk: Uint8Array) => void hash.update(chunk), finish: () => hash.digest("hex") };
}

const KEY: TrainingKey = {
  task: "t",
  taskDigest: "d",
  version: 3,
  adapter: "a",
  examples: "e",
  heldOut: { share: 0.1, most: 64 },
  seed: 7,
};
const CHECKPOINT: Checkpoint = {
  key: KEY,
  step: 5,
  steps: 40,
  at: 1,
  adapter: Float32Array.of(0.5, -1.25, 3e-8),
  moments: Float32Array.of(1, 2, 3, 4, 5, 6),
};

test("a checkpoint comes back as it was kept", () => {
  const bytes = encodeCheckpoint(CHECKPOINT, newHash);
  assert.deepEqual(decodeCheckpoint(bytes, newHash), CHECKPOINT);
  const { adapter: _, moments: __, ...head } = CHECKPOINT;
  assert.deepEqual(peekCheckpoint(bytes), head);
});

test("a checkpoint that was cut short or changed anywhere is none", () => {
  const bytes = encodeCheckpoint(CHECKPOINT, newHash);
  for (let length = 0; length < bytes.length; length += 7) {
    assert.equal(decodeCheckpoint(bytes.slice(0, length), newHash), null, `${length} bytes`);
  }
  for (let at = 0; at < bytes.length; at += 1) {
    const changed = bytes.slice();
    changed[at] = (changed[at] ?? 0) ^ 1;
    assert.equal(decodeCheckpoint(changed, newHash), null, `byte ${at}`);
  }
});

test("values that are no finite numbers are not gone on from", () => {
  const broken = { ...CHECKPOINT, adapter: Float32Array.of(1, Number.NaN, 2) };
  assert.equal(decodeCheckpoint(encodeCheckpoint(broken, newHash), newHash), null);
});

test("anything that differs makes it another training, and is named", () => {
  assert.equal(whyAnother(KEY, { ...KEY }), null);
  const others: Partial<TrainingKey>[] = [
    { task: "u" },
    { taskDigest: "x" },
    { version: 4 },
    { adapter: "x" },
    { examples: "x" },
    { heldOut: { share: 0, most: 64 } },
    { heldOut: { share: 0.1, most: 1 } },
    { seed: 8 },
  ];
  const reasons = others.map((other) => whyAnother(KEY, { ...KEY, ...other }));
  assert.ok(reasons.every((reason) => reason !== null));
  assert.match(String(reasons[2]), /version 3, and version 4/);
});

test("the examples' digest is of texts, labels and their order", () => {
  const one = { text: "a", label: "b" };
  const other = { text: "b", label: "a" };
  const digest = (...examples: (typeof one)[]) => digestExamples(examples, newHash);
  assert.equal(digest(one, other), digest({ ...one }, { ...other }));
  assert.notEqual(digest(one, other), digest(other, one));
  assert.notEqual(digest(one), digest(other));
  assert.doesNotMatch(digest({ text: "secret", label: "b" }), /secret/);
});

/** Notes what it is asked for; its adapter counts its steps. */
class CountingTrainer {
  readonly asked: string[] = [];
  readonly groups: number[] = [];
  taken = 0;
  stepMs = 300;

  setExamples = () => void this.asked.push("examples");
  resume = (_: Float32Array, __: Float32Array, steps: number) => {
    this.asked.push(`resume ${steps}`);
    this.taken = steps;
  };
  steps = async (count: number) => {
    this.groups.push(count);
    this.taken += count;
    return { losses: Array.from({ length: count }, () => 1), milliseconds: count * this.stepMs };
  };
  adapter = async () => Float32Array.of(this.taken);
  optimizer = async () => Float32Array.of(this.taken, this.taken);
}

async function train(kept: Checkpoint | null, steps: number, goOn = () => true, saved: number[] = [], gate = new Gate(), stepMs = 300) {
  const trainer = new CountingTrainer();
  trainer.stepMs = stepMs;
  const events: ChoirEvent[] = [];
  let found = kept;
  const files = {
    newest: async () => found,
    drop: async () => void (found = null),
    save: async ({ step, adapter }: Checkpoint) => {
      assert.deepEqual([...adapter], [step]);
      saved.push(step);
      return true;
    },
  } as unknown as CheckpointFiles;
  const examples = { tokens: new Uint32Array(), starts: new Uint32Array(), labels: new Uint32Array(), truncated: 0 };
  const work = { trainer: trainer as unknown as EngineTrainer, joint: null, examples, steps, seed: 1n, lock: new Lock(), goOn, gate };
  const { after } = await runResumableSteps({
    ...work,
    key: KEY,
    files,
    keep: null,
    emit: (event) => void events.push(event),
  });
  return { trainer, events, saved, after: after[0] };
}

test("training goes on behind the checkpoint's step", async () => {
  const { trainer, events, after } = await train(CHECKPOINT, 40);
  assert.deepEqual(trainer.asked, ["examples", "resume 5"]);
  const steps = events.flatMap((event) => (event.kind === "step" ? [event.step] : []));
  assert.deepEqual([steps[0], steps.length, after], [6, 35, 40]);
});

test("a checkpoint of another training is refused with its reason, and training starts anew", async () => {
  const { trainer, events } = await train({ ...CHECKPOINT, key: { ...KEY, version: 2 } }, 40);
  assert.deepEqual(trainer.asked, ["examples"]);
  const refused = events.find((event) => event.kind === "checkpoint");
  assert.match(String(refused?.kind === "checkpoint" ? refused.reason : null), /version 2, and version 3/);
});

test("short trainings keep every step, long ones about twenty, and always the last", async () => {
  assert.deepEqual((await train(null, 2)).saved, [1, 2]);
  assert.equal((await train(null, 40)).saved.length, 20);
  const { saved } = await train(null, 44);
  assert.deepEqual([saved.length, saved[saved.length - 1]], [15, 44]);
});

test("a visitor who left during a step has no checkpoint written", async () => {
  let asked = 0;
  const saved: number[] = [];
  // The first question comes before the first step, the second behind it.
  await assert.rejects(train(null, 5, () => (asked += 1) < 2, saved), /interrupted/);
  assert.deepEqual([asked, saved], [3, []]);
});

test("a closed gate holds training behind a checkpoint, and opened lets it go on", async () => {
  const gate = new Gate();
  const saved: number[] = [];
  let steps = 0;
  const goOn = () => {
    steps += 1;
    // Between the third step and the fourth.
    if (steps === 6) gate.set("the battery is running down");
    return true;
  };
  const training = train(null, 40, goOn, saved, gate);
  while (gate.reason === null) await new Promise((resolve) => setTimeout(resolve, 1));
  await new Promise((resolve) => setTimeout(resolve, 50));
  const held = steps;
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(steps, held);
  gate.set(null);
  const { events, after } = await training;
  const told = events.flatMap((event) => (event.kind === "paused" || event.kind === "resumed" ? [event] : []));
  assert.deepEqual(told.map((event) => event.kind), ["paused", "resumed"]);
  assert.equal(told[0]?.step, told[1]?.step);
  assert.ok(saved.includes(told[0]?.step ?? -1));
  assert.equal(after, 40);
});

test("short steps are taken together, within checkpoints; long ones one by one", async () => {
  const short = await train(null, 100, undefined, undefined, undefined, 10);
  // Every fifth step has a checkpoint; the first step is taken alone, to see how long one takes.
  assert.deepEqual(short.trainer.groups.slice(0, 4), [1, 4, 5, 5]);
  assert.equal(short.events.filter((event) => event.kind === "step").length, 100);
  assert.deepEqual(short.saved.slice(0, 3), [5, 10, 15]);
  assert.ok((await train(null, 100)).trainer.groups.every((count) => count === 1));
});

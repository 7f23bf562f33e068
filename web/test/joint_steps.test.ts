/** Steps in several threads are those of one, whoever is gone in their midst. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Args, CallName, Gradient, Result, SiblingArgs } from "../packages/sdk/src/calls.ts";
import { JointSteps } from "../packages/sdk/src/joint_steps.ts";
import type { JointTrainer } from "../packages/sdk/src/joint_steps.ts";
import type { Portion } from "../packages/sdk/src/modules.ts";
import type { Trainer } from "../packages/sdk/src/trainer.ts";

const VALUES = 5;
const BATCH = 6;

/** The mean over these tokens of a gradient that depends on the adapter. */
function gradientOf(adapter: Float32Array, tokens: Uint32Array): Gradient {
  const mean = tokens.reduce((sum, token) => sum + token, 0) / tokens.length;
  return { loss: mean, gradient: adapter.map((value, place) => value * 0.1 + mean / (3 + place)) };
}

/** Examples of one token each; a step takes the next of them. */
class SmallTrainer {
  values = new Float32Array(VALUES).fill(1);
  stepMs = 1_000;
  portionMs = 0;
  #drawn = 0;

  async steps(count: number) {
    const losses: number[] = [];
    for (let step = 0; step < count; step += 1) {
      const { loss, gradient } = gradientOf(this.values, this.#draw());
      this.applyGradient(gradient);
      losses.push(loss);
    }
    return { losses, milliseconds: count * this.stepMs };
  }
  adapter = async () => this.values.slice();
  gradient = async (tokens: Uint32Array) => {
    await waited(this.portionMs);
    return gradientOf(this.values, tokens);
  };
  nextPortions(most: number): Portion[] {
    const drawn = this.#draw();
    const size = Math.ceil(BATCH / most);
    const none = new Uint32Array();
    return Array.from({ length: Math.ceil(BATCH / size) }, (_, at) => {
      const tokens = drawn.slice(at * size, (at + 1) * size);
      return { tokens, starts: none, labels: none, weight: tokens.length / BATCH };
    });
  }
  applyGradient(gradient: Float32Array) {
    this.values = this.values.map((value, place) => value - 0.01 * (gradient[place] ?? 0));
  }
  #draw(): Uint32Array {
    return Uint32Array.from({ length: BATCH }, () => 1 + ((this.#drawn++ * 7) % 11));
  }
}

/** A sibling in this thread. */
class NearSibling implements Trainer {
  opened: SiblingArgs | null = null;
  isClosed = false;
  answered = 0;
  /** Called before each answer. */
  before: () => Promise<void> = async () => undefined;
  /** What it answers instead. */
  instead: Gradient | null = null;

  async call<N extends CallName>(name: N, args: Args<N>): Promise<Result<N>> {
    if (name === "openSibling") {
      this.opened = args as SiblingArgs;
      return null as Result<N>;
    }
    await this.before();
    this.answered += 1;
    const { adapter, tokens } = args as Args<"gradient">;
    return (this.instead ?? gradientOf(adapter, tokens)) as Result<N>;
  }
  close(): void {
    this.isClosed = true;
  }
}

function joint(trainer: SmallTrainer, siblings: readonly Trainer[]): JointSteps {
  const left = [...siblings];
  return new JointSteps({
    trainer: trainer as unknown as JointTrainer,
    siblings: siblings.length,
    start: () => left.shift() ?? new NearSibling(),
    args: {} as SiblingArgs,
  });
}

async function alone(steps: number) {
  const trainer = new SmallTrainer();
  const { losses } = await trainer.steps(steps);
  return { losses, adapter: trainer.values };
}

const waited = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

function assertNear(found: ArrayLike<number>, expected: ArrayLike<number>): void {
  assert.equal(found.length, expected.length);
  for (const [place, value] of Array.from(found).entries()) {
    const other = expected[place] ?? 0;
    assert.ok(Math.abs(value - other) <= 1e-5 * Math.abs(other), `${value} for ${other}`);
  }
}

test("siblings are opened where much is left, and take part once they are open", async () => {
  const trainer = new SmallTrainer();
  const siblings = [new NearSibling(), new NearSibling()];
  const steps = joint(trainer, siblings);
  assert.equal((await steps.take(1, 3)).threads, 1);
  assert.ok(siblings.every(({ opened }) => opened === null), "two steps more are not worth it");
  assert.equal((await steps.take(1, 30)).threads, 1);
  await waited(0);
  const { threads, losses } = await steps.take(3, 29);
  assert.equal(threads, 3);
  const expected = await alone(5);
  assertNear(losses, expected.losses.slice(2));
  assertNear(trainer.values, expected.adapter);
  assert.ok(siblings.every(({ answered, opened }) => answered === 3 && opened !== null));
  steps.close();
  assert.ok(siblings.every(({ isClosed }) => isClosed));
  assert.equal((await steps.take(1, 26)).threads, 1);
});

test("a sibling that fails, or hands over something else, costs not a bit", async () => {
  const run = async (change: (sibling: NearSibling) => void) => {
    const [trainer, sibling] = [new SmallTrainer(), new NearSibling()];
    change(sibling);
    const steps = joint(trainer, [sibling]);
    await steps.open();
    const { losses } = await steps.take(3, 1_000);
    return { made: [losses, [...trainer.values]], isClosed: sibling.isClosed, after: await steps.take(1, 997) };
  };
  const whole = await run(() => undefined);
  assert.equal(whole.after.threads, 2);
  const failing = await run((sibling) => {
    sibling.before = async () => {
      if (sibling.answered === 2) throw new Error("out of memory");
    };
  });
  const cut = await run((sibling) => (sibling.instead = { loss: 1, gradient: new Float32Array(1) }));
  for (const run of [failing, cut]) {
    assert.ok(run.isClosed);
    assert.equal(run.after.threads, 1, "and no other one is opened");
  }
  // Of the failing one each portion is the same, whoever computed it.
  assert.deepEqual(failing.made, whole.made);
  assertNear(cut.made.flat(), whole.made.flat());
});

test("a sibling that cannot be opened leaves the training thread alone", async () => {
  const trainer = new SmallTrainer();
  const sibling = new NearSibling();
  sibling.call = async () => Promise.reject(new Error("no thread"));
  const steps = joint(trainer, [sibling]);
  await steps.take(1, 100);
  await waited(0);
  assert.ok(sibling.isClosed);
  assert.equal((await steps.take(1, 99)).threads, 1);
  assert.deepEqual(trainer.values, (await alone(2)).adapter);
});

test("a thread that makes nothing faster is ended", async () => {
  const [trainer, sibling] = [new SmallTrainer(), new NearSibling()];
  [trainer.stepMs, trainer.portionMs] = [5, 6];
  const steps = joint(trainer, [sibling]);
  await steps.take(1, 1);
  await steps.open();
  assert.equal((await steps.take(4, 100)).threads, 2);
  assert.equal((await steps.take(4, 96)).threads, 2);
  assert.ok(sibling.isClosed);
  assert.equal((await steps.take(4, 92)).threads, 1);
});

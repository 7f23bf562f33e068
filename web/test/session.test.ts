/** The session's decisions, on a trainer that only answers. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Args, CallName, Contribution, Result, TrainReport } from "../packages/sdk/src/calls.ts";
import { ChoirError } from "../packages/sdk/src/errors.ts";
import type { ChoirEvent } from "../packages/sdk/src/events.ts";
import { EventStream } from "../packages/sdk/src/events.ts";
import { DEFAULT_POLICY, DEMO_POLICY } from "../packages/sdk/src/policy.ts";
import type { Policy } from "../packages/sdk/src/policy.ts";
import { Session } from "../packages/sdk/src/session.ts";
import type { Trainer } from "../packages/sdk/src/trainer.ts";

const TRAINED: TrainReport = { outcome: "trained", version: 0, msPerStep: 5 };
const PUBLISHED: Contribution = {
  outcome: "published",
  report: { round: "r", version: 1, clients: 4, survivors: 4, sumDigest: "d", bytesUp: 1, bytesDown: 2, msPerStep: 5 },
};

/** Answers `train` and `contribute` from lists and notes what was called. */
class ScriptedTrainer implements Trainer {
  readonly calls: string[] = [];

  constructor(
    readonly trainings: (TrainReport | ChoirError)[],
    readonly contributions: Contribution[],
  ) {}

  async call<N extends CallName>(name: N, args: Args<N>): Promise<Result<N>> {
    this.calls.push(name === "open" ? `open ${(args as Args<"open">).task}` : name);
    const answer = name === "train" ? this.trainings.shift() : name === "contribute" ? this.contributions.shift() : null;
    if (answer instanceof Error) throw answer;
    return answer as Result<N>;
  }

  close(): void {}
}

async function run(trainer: ScriptedTrainer, policy: Policy, used = 0): Promise<{ events: ChoirEvent[]; counted: number }> {
  let counted = used;
  const uploadCount = { used: () => counted, add: () => void (counted += 1) };
  const examples = [{ text: "a", label: "b" }];
  const receipt = () => Promise.reject(new Error("nobody asks for it"));
  const setup = { task: "one", engine: "cpu", policy, uploadCount, examples, receipt } as const;
  const session = new Session(trainer, new EventStream(), setup);
  const events: ChoirEvent[] = [];
  for await (const event of session) events.push(event);
  return { events, counted };
}

const reasonOf = (events: readonly ChoirEvent[]): string | undefined =>
  events.flatMap((event) => (event.kind === "stopped" ? [event.reason] : []))[0];

test("trains first, then joins, and goes on from the new version", async () => {
  const trainer = new ScriptedTrainer(
    [TRAINED, TRAINED, { outcome: "finished", successor: null }],
    [PUBLISHED, PUBLISHED],
  );
  const { events, counted } = await run(trainer, DEMO_POLICY);
  assert.deepEqual(trainer.calls, ["open one", "train", "contribute", "train", "contribute", "train"]);
  assert.equal(reasonOf(events), "task-finished");
  assert.equal(counted, 2);
});

test("one upload per visitor by default", async () => {
  const trainer = new ScriptedTrainer([TRAINED], [PUBLISHED]);
  const { events } = await run(trainer, DEFAULT_POLICY);
  assert.equal(reasonOf(events), "uploads-used");
  const second = new ScriptedTrainer([], []);
  assert.equal(reasonOf((await run(second, DEFAULT_POLICY, 1)).events), "uploads-used");
  assert.deepEqual(second.calls, ["open one"]);
});

test("a stale update is dropped and trained again", async () => {
  const trainer = new ScriptedTrainer(
    [TRAINED, TRAINED, { outcome: "finished", successor: null }],
    [{ outcome: "retrain", reason: "version 3 has come out meanwhile" }, PUBLISHED],
  );
  const { events, counted } = await run(trainer, DEMO_POLICY);
  assert.deepEqual(
    events.map((event) => event.kind),
    ["retrain", "round", "stopped"],
  );
  assert.equal(counted, 1);
});

test("a finished task leads to the one that follows", async () => {
  const trainer = new ScriptedTrainer(
    [{ outcome: "finished", successor: "two" }, { outcome: "finished", successor: null }],
    [],
  );
  const { events } = await run(trainer, DEMO_POLICY);
  assert.deepEqual(trainer.calls, ["open one", "train", "open two", "train"]);
  assert.equal(events[0]?.kind, "successor");
});

test("a loss that is not finite stops the tab before anything is uploaded", async () => {
  const trainer = new ScriptedTrainer([new ChoirError("not-finite", "the loss is not a finite number")], []);
  const { events, counted } = await run(trainer, DEMO_POLICY);
  assert.equal(reasonOf(events), "not-finite");
  assert.ok(!trainer.calls.includes("contribute"));
  assert.equal(counted, 0);
});

test("an update that left the tab counts even if its round was not seen to end", async () => {
  const trainer = new ScriptedTrainer([TRAINED], [{ outcome: "left", by: "round", reason: "the connection was lost", uploaded: true }]);
  const { events, counted } = await run(trainer, DEMO_POLICY);
  assert.equal(reasonOf(events), "cannot-join");
  assert.equal(counted, 1);
});

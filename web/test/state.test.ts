/** What the page shows, folded from events. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { ChoirEvent } from "../packages/sdk/src/events.ts";
import { entryOf } from "../packages/sdk/src/receipt.ts";
import { readSettings } from "../demo/src/settings.ts";
import { FIRST_STATE, fold } from "../demo/src/state.ts";

const foldAll = (events: readonly ChoirEvent[]) => events.reduce(fold, FIRST_STATE);
const training = (version: number, from = 0): ChoirEvent => ({ kind: "training", version, steps: 2, from });
const step = (number: number, loss: number): ChoirEvent => ({ kind: "step", step: number, steps: 2, loss, milliseconds: 5, threads: 1 });

test("training anew from a version starts its curve anew and keeps the others", () => {
  const { losses } = foldAll([training(0), step(1, 3), training(1), step(1, 2), training(1), step(1, 2.5)]);
  assert.deepEqual(losses, [
    { version: 0, step: 1, loss: 3 },
    { version: 1, step: 1, loss: 2.5 },
  ]);
});

test("training behind a checkpoint keeps the curve up to it", () => {
  const { losses } = foldAll([training(0), step(1, 3), step(2, 2), training(0, 1), step(2, 1.9)]);
  assert.deepEqual(
    losses.map(({ step, loss }) => [step, loss]),
    [
      [1, 3],
      [2, 1.9],
    ],
  );
});

test("the lobby is shown until the round ends", () => {
  const lobby: ChoirEvent = { kind: "lobby", joined: 3, cohortSize: 4, minCohort: 3 };
  assert.deepEqual(foldAll([lobby]).lobby, { joined: 3, cohortSize: 4, minCohort: 3 });
  assert.equal(foldAll([lobby, { kind: "retrain", reason: "the round was aborted" }]).lobby, null);
});

test("all that left the tab stays in the log", () => {
  const entry = entryOf({ kind: "upload", what: "masked update", method: "POST", url: "https://edge.example/x" }, 1, "visitor", () => "");
  const sent: ChoirEvent = { kind: "sent", at: 1, what: "masked update", bytes: 10, masked: true, entry };
  assert.equal(foldAll([sent, sent, { kind: "stopped", reason: "left", code: null, message: "" }]).sent.length, 2);
});

test("the address chooses task, engine and policy, and only what is known", () => {
  const settings = readSettings(new URLSearchParams("task=ABCDEF0123456789abcdef0123456789&engine=cpu&policy=default"));
  assert.equal(settings.task, "abcdef0123456789abcdef0123456789");
  assert.equal(settings.engine, "cpu");
  assert.deepEqual([settings.policy.minCohort, settings.policy.uploads], [50, 1]);
  const usual = readSettings(new URLSearchParams("task=../../x&engine=quantum&heldout=off"));
  assert.deepEqual([usual.task, usual.engine, usual.heldOut.share], [null, "webgpu", 0]);
});

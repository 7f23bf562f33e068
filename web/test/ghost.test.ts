/** When something is suggested behind the caret, and when it goes. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Ghost, PAUSE_MS } from "../demo/src/ghost.ts";
import type { Suggestion } from "../packages/sdk/src/index.ts";

const suggestion = (text: string): Suggestion => ({
  text, finished: true, adapter: "global", version: 1, tokens: 4, firstMs: 1, tokensPerSecond: 100, reused: 0,
});

/** A ghost on a source that says " and so on" of every text, and the texts that it was asked of. */
function ghostOf(t: TestContext, said = " and so on") {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const asked: string[] = [];
  const signals: AbortSignal[] = [];
  const ghost = new Ghost(
    async function* (text, signal) {
      asked.push(text);
      signals.push(signal);
      yield suggestion(said.slice(0, 4));
      yield suggestion(said);
    },
    () => undefined,
  );
  const pause = async (milliseconds = PAUSE_MS): Promise<void> => {
    t.mock.timers.tick(milliseconds);
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  };
  return { ghost, asked, signals, pause };
}

test("something is suggested after a pause in typing, and only once for all that was typed before it", async (t) => {
  const { ghost, asked, pause } = ghostOf(t);
  ghost.typed("H");
  await pause(PAUSE_MS - 1);
  ghost.typed("He");
  await pause(PAUSE_MS - 1);
  assert.deepEqual([asked, ghost.text], [[], ""]);
  await pause(1);
  assert.deepEqual([asked, ghost.text, ghost.isBusy], [["He"], " and so on", false]);
  ghost.typed("   ");
  await pause();
  assert.equal(asked.length, 1, "nothing goes on from nothing");
});

test("typing on ends what is made and takes away what is shown, at once", async (t) => {
  const { ghost, signals, pause } = ghostOf(t);
  ghost.typed("He");
  t.mock.timers.tick(PAUSE_MS);
  assert.equal(ghost.isBusy, true);
  ghost.typed("Hel");
  assert.deepEqual([signals[0]?.aborted, ghost.text, ghost.isBusy], [true, "", false]);
  await pause();
  assert.equal(ghost.text, " and so on");
  ghost.typed("Hell");
  assert.equal(ghost.text, "");
});

test("a suggestion is taken as a whole or word by word, or dropped", async (t) => {
  const { ghost, pause } = ghostOf(t);
  ghost.typed("He");
  await pause();
  assert.deepEqual([ghost.takeWord(), ghost.text], [" and", " so on"]);
  assert.deepEqual([ghost.takeWord(), ghost.takeAll(), ghost.text], [" so", " on", ""]);
  ghost.ask("He");
  await pause(0);
  ghost.dismiss();
  assert.equal(ghost.text, "");
});

test("a failure is shown as what it is, and gone with the next key", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const ghost = new Ghost(
    async function* () {
      throw { code: "network", message: "no answer" };
    },
    () => undefined,
  );
  ghost.ask("He");
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  assert.deepEqual([ghost.problem, ghost.isBusy], ["no answer", false]);
  ghost.typed("Hel");
  assert.equal(ghost.problem, null);
});

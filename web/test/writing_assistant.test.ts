/** What a page gets of an assistant: suggestions as they grow, ended by typing, and no word to the aggregator. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Args, CallName, Continued, Result } from "../packages/sdk/src/calls.ts";
import { ChoirError } from "../packages/sdk/src/errors.ts";
import type { Trainer } from "../packages/sdk/src/trainer.ts";
import type { Suggestion } from "../packages/sdk/src/index.ts";
import { WritingAssistant } from "../packages/sdk/src/writing_assistant.ts";

/** Answers with a text that grows by a word at a time. */
class Growing implements Trainer {
  readonly calls: string[] = [];
  failure: ChoirError | null = null;
  #words: string[] = [];
  #shown = 0;

  async call<N extends CallName>(name: N, args: Args<N>): Promise<Result<N>> {
    this.calls.push(name);
    const failure = this.failure;
    this.failure = null;
    if (failure !== null) throw failure;
    if (name === "openWriter") return { engine: {}, version: 2, room: 64 } as Result<N>;
    if (name === "continueText") return this.#next() as Result<N>;
    if (name === "startText") {
      this.#words = ["one", "two", "three"].map((word) => ` ${word} after ${(args as Args<"startText">).text}`);
      this.#shown = 0;
    }
    return null as Result<N>;
  }

  close(): void {}

  #next(): Continued {
    this.#shown += 1;
    const finished = this.#shown === this.#words.length;
    return { text: this.#words.slice(0, this.#shown).join(""), finished, tokens: this.#shown, firstMs: 3, nextMs: 4, reused: 0, version: 2 };
  }
}

function assistantOn(trainer: Trainer): WritingAssistant {
  return new WritingAssistant({ trainer, engine: "cpu", task: async () => "task" });
}

async function all(suggestions: AsyncIterable<Suggestion>): Promise<Suggestion[]> {
  const found: Suggestion[] = [];
  for await (const suggestion of suggestions) found.push(suggestion);
  return found;
}

test("a suggestion grows until it is finished, with its speed, and the model is loaded once", async () => {
  const trainer = new Growing();
  const assistant = assistantOn(trainer);
  const found = await all(assistant.suggest("a"));
  assert.deepEqual(found.map(({ text }) => text), [" one after a", " one after a two after a", " one after a two after a three after a"]);
  const [first, last] = [found[0], found[2]];
  assert.deepEqual([first?.finished, first?.tokensPerSecond], [false, null]);
  assert.deepEqual([last?.finished, last?.tokensPerSecond, last?.adapter, last?.version], [true, 500, "global", 2]);
  await all(assistant.suggest("b", { adapter: "base" }));
  assert.equal(trainer.calls.filter((call) => call === "openWriter").length, 1);
  await assistant.refresh();
  assert.equal(trainer.calls.filter((call) => call === "openWriter").length, 2);
});

test("a signal, a newer suggestion and leaving the loop each end a suggestion without another token", async () => {
  const trainer = new Growing();
  const assistant = assistantOn(trainer);
  const made = () => trainer.calls.filter((call) => call === "continueText").length;
  const abort = new AbortController();
  for await (const _ of assistant.suggest("a", { signal: abort.signal })) abort.abort();
  assert.equal(made(), 1);
  const older = assistant.suggest("b");
  assert.equal((await older.next()).done, false);
  const newer = await all(assistant.suggest("c"));
  assert.equal(newer.length, 3);
  assert.equal((await older.next()).done, true);
  for await (const _ of assistant.suggest("d")) break;
  assert.equal(made(), 1 + 1 + 3 + 1);
});

test("after a lost device or a failed load the next suggestion loads the model anew", async () => {
  const trainer = new Growing();
  const assistant = assistantOn(trainer);
  trainer.failure = new ChoirError("network", "no answer");
  await assert.rejects(all(assistant.suggest("a")), /no answer/);
  assert.equal((await all(assistant.suggest("a"))).length, 3);
  trainer.failure = new ChoirError("device-lost", "gone");
  await assert.rejects(all(assistant.suggest("a")), /gone/);
  assert.equal((await all(assistant.suggest("a"))).length, 3);
  assert.equal(trainer.calls.filter((call) => call === "openWriter").length, 3);
});

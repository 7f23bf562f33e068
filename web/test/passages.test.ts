/** Plain text of a language task: what its passages are, and which tokenizer a page has for them. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { EngineModule } from "../packages/sdk/src/modules.ts";
import { openTokenizer, parsePassages } from "../packages/sdk/src/passages.ts";

/** A token for each character; rows as the module makes them are not what is tried here. */
class Characters {
  rows(texts: readonly string[], context: number) {
    const tokens = [...texts.join("")].slice(0, context).map((character) => character.charCodeAt(0));
    return { tokens, starts: [0, tokens.length], labels: [...tokens.slice(1), 2 ** 32 - 1] };
  }

  free(): void {}
}

const module = { Llama2cTokenizer: Characters } as unknown as EngineModule;

test("passages stand between blank lines and have no label", () => {
  const { examples, refused } = parsePassages("\uFEFF\nOne,\ntwo.\r\n \t\r\n\r\nThree.\n");
  assert.deepEqual(refused, []);
  assert.deepEqual(examples, [
    { text: "One,\ntwo.", label: "" },
    { text: "Three.", label: "" },
  ]);
  assert.deepEqual(parsePassages(" \n\n").examples, []);
});

test("a language task's rows come from the engine's module", () => {
  const task = { payload: "language", files: "llama2c", vocabulary: 512, maxLength: 4 } as const;
  const tokenizer = openTokenizer(module, new Uint8Array(), task);
  const { tokens, starts, labels } = tokenizer.label([{ text: "abc", label: "" }, { text: "de", label: "" }], []);
  assert.deepEqual([...tokens], [97, 98, 99, 100]);
  assert.deepEqual([...starts], [0, 4]);
  assert.deepEqual([...labels], [98, 99, 100, 2 ** 32 - 1]);
  assert.throws(() => tokenizer.pack(["abc"]), /no classifier/);
});

test("a tokenizer that pages cannot read is refused", () => {
  const task = { payload: "language", files: "hugging_face", vocabulary: 512, maxLength: 4 } as const;
  assert.throws(() => openTokenizer(module, new Uint8Array(), task), /llama2.c/);
});

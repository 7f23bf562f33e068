/** Plain text of a language task: what its passages are, and which tokenizer a page has for them. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { EngineModule } from "../packages/sdk/src/modules.ts";
import { openTokenizer, parsePassages } from "../packages/sdk/src/passages.ts";
import { CHOIR_4M } from "../packages/sdk/src/policy.ts";

/** A token for each character. */
class Characters {
  readonly begin = 1;
  readonly end = 2;
  encode = (text: string) => Uint32Array.from([...text].map((character) => character.charCodeAt(0)));
  free(): void {}
}

/** Rows as the module makes them are not what is tried here: all in one, cut. */
function packPassages(tokens: Uint32Array, starts: Uint32Array, begin: number, context: number) {
  const row = [...starts.slice(0, -1)].flatMap((start, i) => [begin, ...tokens.slice(start, starts[i + 1])]).slice(0, context + 1);
  return { tokens: row.slice(0, -1), starts: [0, row.length - 1], labels: row.slice(1) };
}

const module = { Llama2cTokenizer: Characters, packPassages } as unknown as EngineModule;

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
  assert.deepEqual([...tokens], [1, 97, 98, 99]);
  assert.deepEqual([...starts], [0, 4]);
  assert.deepEqual([...labels], [97, 98, 99, 1]);
  assert.throws(() => tokenizer.pack(["abc"]), /no classifier/);
});

test("the built-in decoder is the one that the policy names", () => {
  const weights = readFileSync(join(dirname(fileURLToPath(import.meta.url)), "../../models/choir-4m/model.safetensors"));
  assert.equal(createHash("sha256").update(weights).digest("hex"), CHOIR_4M);
  assert.ok(weights.length < 8_000_000);
});

test("the built-in decoder's texts are read by its tokenizer.json", () => {
  const file = readFileSync(join(dirname(fileURLToPath(import.meta.url)), "../../models/choir-4m/tokenizer.json"));
  const task = { payload: "language", files: "hugging_face", vocabulary: 4096, maxLength: 64 } as const;
  const tokenizer = openTokenizer(module, file, task);
  const { tokens, labels } = tokenizer.label([{ text: "the client", label: "" }, { text: "the client", label: "" }], []);
  const half = (tokens.length + 1) / 2;
  assert.equal(tokens[0], 0, "<|endoftext|> begins a text");
  assert.deepEqual([...tokens.slice(half)], [...tokens.slice(0, half - 1)]);
  assert.deepEqual([...labels.slice(0, -1)], [...tokens.slice(1)]);
  assert.ok(half < "the client".length, "pieces are longer than bytes");
});

test("a module that trains no decoder is refused", () => {
  const task = { payload: "language", files: "llama2c", vocabulary: 512, maxLength: 4 } as const;
  assert.throws(() => openTokenizer({} as unknown as EngineModule, new Uint8Array(), task), /choose engine webgpu or cpu/);
});

/** A decoder's text as tokens and back, by each kind of tokenizer. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { openLanguageTokens } from "../packages/sdk/src/language_tokens.ts";
import type { EngineModule } from "../packages/sdk/src/modules.ts";

/** Byte-level pieces; Ġ stands for a space, Ã and © for the two bytes of é. */
const PIECES = ["<|endoftext|>", "H", "i", "Ġ", "y", "o", "u", "Ã", "©", "yo", "you", "Ġyou", "Hi"];
const TOKENIZER = {
  version: "1.0",
  added_tokens: [{ id: 0, content: "<|endoftext|>", single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }],
  normalizer: null,
  pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
  post_processor: null,
  decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
  model: {
    type: "BPE",
    vocab: Object.fromEntries(PIECES.map((piece, id) => [piece, id])),
    merges: [["y", "o"], ["yo", "u"], ["Ġ", "you"], ["H", "i"]],
  },
};

const file = new TextEncoder().encode(JSON.stringify(TOKENIZER));
const noModule = {} as unknown as EngineModule;

test("a tokenizer.json of byte-level pieces gives tokens and the text of them, and knows where a text begins", () => {
  const tokens = openLanguageTokens(noModule, file, { files: "hugging_face", vocabulary: PIECES.length });
  assert.deepEqual([tokens.begin, tokens.end], [0, 0]);
  assert.deepEqual(tokens.encode("Hi you"), [12, 11]);
  assert.deepEqual(tokens.encode(""), []);
  assert.equal(tokens.decode([12, 11]), "Hi you");
  assert.equal(tokens.decode([0, 11]), " you", "a special token has no text, a space stays");
  assert.equal(tokens.decode([]), "");
  assert.equal(tokens.decode([7, 8]), "é");
  assert.match(tokens.decode([12, 7]), /^Hi\uFFFD$/);
});

test("llama2.c's tokens come from the engine's module; what is no decoder's is refused", () => {
  class Letters {
    readonly begin = 1;
    readonly end = 2;
    encode = (text: string, begin: boolean) => Uint32Array.from([...(begin ? [1] : []), ...[...text].map((letter) => letter.charCodeAt(0))]);
    decode = (tokens: Uint32Array) => String.fromCharCode(...tokens);
  }
  const module = { Llama2cTokenizer: Letters } as unknown as EngineModule;
  const tokens = openLanguageTokens(module, file, { files: "llama2c", vocabulary: 512 });
  assert.deepEqual([tokens.begin, tokens.end, tokens.encode("ab"), tokens.decode([97, 98])], [1, 2, [97, 98], "ab"]);
  assert.throws(() => openLanguageTokens(module, file, { files: null, vocabulary: 512 }), /payload `language`/);
});

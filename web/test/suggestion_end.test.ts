/** Where a suggestion ends, and which part of a text it is made from. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { cutSuggestion } from "../packages/sdk/src/suggestion_end.ts";
import { commonLength, textWindow, tokenWindow } from "../packages/sdk/src/text_window.ts";

test("a suggestion ends with its sentence or line, once what follows shows that it is one", () => {
  assert.deepEqual(cutSuggestion(" there was a girl. She", "sentence", false), { text: " there was a girl.", finished: true });
  assert.deepEqual(cutSuggestion(' he said "no!" and', "sentence", false), { text: ' he said "no!"', finished: true });
  assert.deepEqual(cutSuggestion(" it costs 3.", "sentence", false), { text: " it costs 3.", finished: false });
  assert.deepEqual(cutSuggestion(" it costs 3.5", "sentence", false), { text: " it costs 3.5", finished: false });
  assert.deepEqual(cutSuggestion(" one\ntwo. three", "sentence", false), { text: " one", finished: true });
  assert.deepEqual(cutSuggestion("\n\nNext. More", "line", false), { text: "\n\nNext. More", finished: false });
  assert.deepEqual(cutSuggestion(" one. two\nthree", "line", false), { text: " one. two", finished: true });
  assert.deepEqual(cutSuggestion(" one. two\nthree", "length", false), { text: " one. two\nthree", finished: false });
});

test("a word that the length may have broken off is left out, unless it is the only one", () => {
  assert.deepEqual(cutSuggestion(" there was a lit", "sentence", true), { text: " there was a", finished: true });
  assert.deepEqual(cutSuggestion(" lit", "sentence", true), { text: " lit", finished: true });
  assert.deepEqual(cutSuggestion(" there was.", "sentence", true), { text: " there was.", finished: true });
  assert.deepEqual(cutSuggestion(" the end", "sentence", true, true), { text: " the end", finished: true });
  assert.deepEqual(cutSuggestion("", "sentence", true), { text: "", finished: true });
});

test("the window holds the end of a text and moves in leaps, behind the token that begins a text", () => {
  const tokens = Array.from({ length: 30 }, (_, at) => 100 + at);
  assert.deepEqual(tokenWindow(1, tokens.slice(0, 5), 8), [1, 100, 101, 102, 103, 104]);
  const [first, next] = [tokenWindow(1, tokens.slice(0, 18), 17), tokenWindow(1, tokens.slice(0, 19), 17)];
  assert.equal(first[0], 1);
  assert.ok(first.length <= 17 && first.at(-1) === 117);
  assert.equal(commonLength(first, next), first.length, "most of the time the window stays where it is");
  for (const count of [1, 9, 17, 30]) assert.ok(tokenWindow(null, tokens.slice(0, count), 9).length <= 9);
});

test("a text that is far too long is cut at a word before it is made tokens", () => {
  const words = "word ".repeat(1_000).trim();
  const window = textWindow(words, 10);
  assert.ok(window.length <= 160 && words.endsWith(window) && window.startsWith("word"), window);
  assert.equal(textWindow("short text", 10), "short text");
});

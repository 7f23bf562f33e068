/** Labelled text: what is taken, and what is refused by which line. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { parseExamples } from "../packages/sdk/src/examples.ts";
import { DEFAULT_HELD_OUT, shuffle, splitHeldOut } from "../packages/sdk/src/held_out.ts";

const LABELS = ["refund", "order_status"];

test("quoted fields keep commas, quotes and line breaks", () => {
  const { examples, refused } = parseExamples(
    'text,label\n"one, two",refund\n"she said ""no""",refund\n"two\nlines",order_status\n',
    LABELS,
  );
  assert.deepEqual(refused, []);
  assert.deepEqual(
    examples.map((example) => example.text),
    ["one, two", 'she said "no"', "two\nlines"],
  );
});

test("columns are found by their names in any order", () => {
  const { examples } = parseExamples("id,category,text\r\n7,refund,money back\r\n", LABELS);
  assert.deepEqual(examples, [{ text: "money back", label: "refund" }]);
});

test("rows without a header are text, then label", () => {
  assert.deepEqual(parseExamples("money back,refund", LABELS).examples, [{ text: "money back", label: "refund" }]);
});

test("tab-separated text may hold commas", () => {
  const { examples } = parseExamples("text\tlabel\nmoney, back\trefund\n", LABELS);
  assert.deepEqual(examples, [{ text: "money, back", label: "refund" }]);
});

test("JSON lines take label, category or intent", () => {
  const { examples, refused } = parseExamples(
    '{"text":"a","label":"refund"}\n{"text":"b","intent":"order_status"}\n{"text":1,"label":"refund"}\n{broken\n',
    LABELS,
  );
  assert.equal(examples.length, 2);
  assert.deepEqual(
    refused.map(({ line }) => line),
    [3, 4],
  );
});

test("bad rows are refused by the line on which they start, the rest is kept", () => {
  const { examples, refused } = parseExamples(
    'text,label\n"a\nb",refund\n,refund\nno label,\nwhat,unknown\none,two,three\nfine,refund\n"open,refund\nlast,refund\n',
    LABELS,
  );
  assert.deepEqual(
    examples.map((example) => example.text),
    ["a\nb", "fine", "last"],
  );
  assert.deepEqual(refused, [
    { line: 4, reason: "the text is empty" },
    { line: 5, reason: "the label is empty" },
    { line: 6, reason: 'the task has no label "unknown"' },
    { line: 7, reason: "2 columns expected, 3 found" },
    { line: 9, reason: "a quoted field does not end" },
  ]);
});

test("text that is not UTF-8 is refused by its line", () => {
  const bytes = new Uint8Array([...new TextEncoder().encode("text,label\nca"), 0xe9, ...new TextEncoder().encode(",refund\nok,refund\n")]);
  const { examples, refused } = parseExamples(new TextDecoder().decode(bytes), LABELS);
  assert.equal(examples.length, 1);
  assert.deepEqual(refused, [{ line: 2, reason: "the text is not valid UTF-8" }]);
});

test("a single label is allowed, with a notice", () => {
  const { examples, notices } = parseExamples("text,label\na,refund\nb,refund\n", LABELS);
  assert.equal(examples.length, 2);
  assert.equal(notices.length, 1);
  assert.deepEqual(parseExamples("text,label\na,refund\nb,order_status\n", LABELS).notices, []);
});

test("an empty text holds nothing and refuses nothing", () => {
  assert.deepEqual(parseExamples("\uFEFF\n\n", LABELS), { examples: [], refused: [], notices: [] });
});

test("a tenth is held out, never trained on, the same for the same seed", () => {
  const examples = Array.from({ length: 50 }, (_, index) => ({ text: String(index), label: "refund" }));
  const { training, heldOut } = splitHeldOut(examples, DEFAULT_HELD_OUT, 9);
  assert.deepEqual([training.length, heldOut.length], [45, 5]);
  assert.equal(new Set([...training, ...heldOut]).size, 50);
  assert.deepEqual(splitHeldOut(examples, DEFAULT_HELD_OUT, 9), { training, heldOut });
  assert.equal(splitHeldOut(examples.slice(0, 9), DEFAULT_HELD_OUT, 9).heldOut.length, 0);
  assert.equal(splitHeldOut(examples, { share: 0, most: 0 }, 9).heldOut.length, 0);
});

test("a shuffle keeps every item and its seed decides the order", () => {
  const items = Array.from({ length: 40 }, (_, index) => index);
  assert.deepEqual(
    shuffle(items, 3).sort((one, other) => one - other),
    items,
  );
  assert.notDeepEqual(shuffle(items, 3), shuffle(items, 4));
});

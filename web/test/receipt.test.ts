/** The receipt: what is noted of a sending, and what counts as one. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import type { ChoirEvent } from "../packages/sdk/src/events.ts";
import { leftAsFile } from "../packages/sdk/src/loaded_files.ts";
import { asReceipt, EMPTY_SHA256, entryOf, ReceiptBook } from "../packages/sdk/src/receipt.ts";

const digest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

test("an entry has time, kind, address, size, digest, round, cohort and noise, and no content", () => {
  const body = new TextEncoder().encode("masked words");
  const round = { round: "ab", cohortSize: 50, noise: "no noise" };
  const url = "https://edge.example/v1/tasks/t/rounds/ab/upload?x=1";
  const entry = entryOf({ kind: "upload", what: "masked update", method: "POST", url, body, round }, 0, "visitor", digest);
  assert.deepEqual(entry, {
    time: "1970-01-01T00:00:00.000Z",
    kind: "upload",
    host: "edge.example",
    request: "POST /v1/tasks/t/rounds/ab/upload?x=1",
    bytes: 12,
    sha256: digest(body),
    round: "ab",
    cohortSize: 50,
    noise: "no noise",
    by: "visitor",
  });
});

test("a request without a body is noted with size 0 and the digest of nothing", () => {
  const entry = entryOf({ kind: "request", what: "request", method: "GET", url: "https://edge.example/v1/site" }, 0, "visitor", digest);
  assert.deepEqual([entry.bytes, entry.sha256, entry.round], [0, digest(new Uint8Array()), null]);
  assert.equal(EMPTY_SHA256, digest(new Uint8Array()));
});

test("where storage is denied the page still hears of every sending", async () => {
  const events: ChoirEvent[] = [];
  const book = new ReceiptBook("visitor", Promise.resolve(null), digest, (event) => events.push(event));
  const body = new Uint8Array(7);
  await book.note({ kind: "socket message", what: "join", method: "GET", url: "wss://edge.example/socket", body });
  await book.settle("ab", 3);
  assert.deepEqual(
    events.map((event) => (event.kind === "sent" ? [event.what, event.bytes, event.entry.sha256] : [])),
    [["join", 7, digest(body)]],
  );
});

test("a receipt adds up its entries", () => {
  const one = entryOf({ kind: "upload", what: "masked update", method: "POST", url: "https://a.example/", body: new Uint8Array(5) }, 0, "visitor", digest);
  const receipt = asReceipt([one, one], new Date(0), "https://page.example");
  assert.deepEqual(receipt.totals, { entries: 2, bytes: 10 });
  assert.equal(JSON.parse(JSON.stringify(receipt)).entries.length, 2);
});

test("files count where they left the tab, and calls of the aggregator note themselves", () => {
  const page = "https://page.example";
  const edge = "https://edge.example";
  const left = (name: string, transferSize: number) => leftAsFile({ name, transferSize }, page, edge);
  assert.equal(left(`${page}/thread.js`, 900), true);
  assert.equal(left(`${page}/thread.js`, 0), false, "from the cache");
  assert.equal(left(`${edge}/v1/site`, 300), false);
  assert.equal(left(`${edge}/wasm/module.wasm`, 0), true, "another origin does not tell, so it counts");
  assert.equal(left("blob:https://page.example/1", 10), false);
});

/** The extension's rules: from which sites text is taken, and under which identity it runs. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Collection } from "../extension/src/collection.ts";
import {
  added,
  inWords,
  learnedBy,
  LONGEST_PLAIN,
  LONGEST_TEXT,
  MOST_CHARACTERS,
  openSite,
  SHORTEST_PLAIN,
  siteOf,
  without,
  withSite,
} from "../extension/src/collection.ts";
import { choiceOf, menuFor } from "../extension/src/menu.ts";

const SHOP = "https://shop.example";
const EMPTY: Collection = { sites: [], examples: [] };
const candidate = { id: "1", text: " where is my parcel? ", label: "order_status", url: `${SHOP}/mail?id=7`, source: "selection" } as const;
const plain = { ...candidate, text: "It was a quiet morning.\n\nNobody had written yet.", label: "", source: "page" } as const;
const refusalOf = (result: Collection | { refused: string }): string => ("refused" in result ? result.refused : "taken");

/** The tests run from a folder in here. */
const extension = fileURLToPath(new URL("../../extension", import.meta.url));

test("nothing is taken from a site that was not opted in", () => {
  assert.match(refusalOf(added(EMPTY, candidate)), /https:\/\/shop\.example is not opted in/);
  const others = withSite(withSite(EMPTY, "https://other.example", true), "http://shop.example", true);
  assert.match(refusalOf(added(others, candidate)), /not opted in/);
});

test("a selection on an opted-in site is taken once, trimmed, with its site", () => {
  const opted = withSite(EMPTY, SHOP, true);
  const once = added(opted, candidate);
  assert.ok(!("refused" in once));
  assert.deepEqual(once.examples, [{ id: "1", text: "where is my parcel?", label: "order_status", site: SHOP }]);
  assert.match(refusalOf(added(once, { ...candidate, id: "2" })), /before/);
  assert.ok(!("refused" in added(once, { ...candidate, id: "2", label: "greeting" })));
});

test("empty and overlong selections, and pages of the browser, are refused", () => {
  const opted = withSite(EMPTY, SHOP, true);
  assert.match(refusalOf(added(opted, { ...candidate, text: " \n" })), /no text/);
  assert.match(refusalOf(added(opted, { ...candidate, text: undefined })), /no text/);
  assert.match(refusalOf(added(opted, { ...candidate, text: "a".repeat(LONGEST_TEXT + 1) })), /longer/);
  for (const url of [undefined, "chrome://settings", "file:///home/me/diary.txt", "no address"]) {
    assert.match(refusalOf(added(opted, { ...candidate, url })), /web pages only/);
  }
});

test("a site is its whole origin", () => {
  assert.equal(siteOf("https://shop.example:8443/a/b?c#d"), "https://shop.example:8443");
  assert.equal(siteOf("javascript:alert(1)"), null);
});

test("opting a site out removes what came from it, and only that", () => {
  const both = withSite(withSite(EMPTY, SHOP, true), "https://other.example", true);
  const one = added(both, candidate);
  assert.ok(!("refused" in one));
  const two = added(one, { ...candidate, id: "2", text: "hello", label: "greeting", url: "https://other.example/" });
  assert.ok(!("refused" in two));
  assert.deepEqual(withSite(two, SHOP, false), {
    sites: ["https://other.example"],
    examples: [{ id: "2", text: "hello", label: "greeting", site: "https://other.example" }],
  });
  assert.deepEqual(without(two, "2").examples.map(({ id }) => id), ["1"]);
});

test("plain text is taken from opted-in sites only, as it is and without a label", () => {
  assert.match(refusalOf(added(EMPTY, plain)), /not opted in/);
  const opted = withSite(EMPTY, SHOP, true);
  const once = added(opted, plain);
  assert.ok(!("refused" in once));
  assert.deepEqual(once.examples, [{ id: "1", text: plain.text, label: "", site: SHOP }]);
  assert.match(refusalOf(added(once, { ...plain, id: "2" })), /before/);
  assert.deepEqual(withSite(once, SHOP, false), EMPTY);
});

test("whether a page may be read is known without reading it", () => {
  assert.deepEqual(openSite([SHOP], `${SHOP}/about`), { site: SHOP });
  assert.match(JSON.stringify(openSite([SHOP], "https://other.example/")), /not opted in/);
  for (const url of ["chrome://settings", "chrome-extension://abc/popup.html", "file:///home/me/diary.txt", undefined]) {
    assert.match(JSON.stringify(openSite([SHOP], url)), /web pages only/);
  }
});

test("plain text that is too short, too long or too much is refused, and told how to go on", () => {
  const opted = withSite(EMPTY, SHOP, true);
  const refusal = (text: string, source: "page" | "selection" = "page") => refusalOf(added(opted, { ...plain, text, source }));
  assert.match(refusal("  \n"), /no text that could be read/);
  assert.match(refusal("", "selection"), /no text is selected/);
  assert.match(refusal("a".repeat(SHORTEST_PLAIN - 1)), /the page's text is too short: it has 19 characters/);
  assert.equal(refusal("a".repeat(SHORTEST_PLAIN)), "taken");
  assert.equal(refusal("a".repeat(LONGEST_PLAIN)), "taken");
  assert.match(refusal("a".repeat(LONGEST_PLAIN + 1)), /longer than 200000 characters; select the part/);
  const much = Array.from({ length: MOST_CHARACTERS / LONGEST_PLAIN }, (_, index) => ({ id: `${index}`, text: `${index}`.padEnd(LONGEST_PLAIN, "a"), label: "", site: SHOP }));
  assert.match(refusalOf(added({ ...opted, examples: much }, plain)), /more than 2000000 characters; delete some/);
});

test("what an earlier version stored is kept, shown as before, and no language task learns from it", () => {
  const stored = { id: "1", text: "where is my parcel?", label: "order_status", site: SHOP };
  const both = added({ sites: [SHOP], examples: [stored] }, { ...plain, id: "2" });
  assert.ok(!("refused" in both));
  assert.equal(inWords(stored), "order_status: where is my parcel?");
  const ids = (task: { payload: string; labels: string[] }) => learnedBy(task, both.examples).map(({ id }) => id);
  assert.deepEqual(ids({ payload: "language", labels: [] }), ["2"]);
  assert.deepEqual(ids({ payload: "adapter", labels: ["order_status"] }), ["1"]);
  assert.deepEqual(ids({ payload: "adapter", labels: ["greeting"] }), []);
});

test("a plain text is listed by its site, its first words and its length", () => {
  const text = `It was a quiet morning.\n\n${"word ".repeat(500)}end`;
  assert.match(inWords({ id: "1", text, label: "", site: SHOP }), /^https:\/\/shop\.example: It was a quiet morning\. word .*word … \(2,528 characters\)$/);
  assert.equal(inWords({ id: "1", text: "Not long at all, this one.", label: "", site: SHOP }), `${SHOP}: Not long at all, this one. (26 characters)`);
});

test("the menu offers what the agreed task learns from, and nothing without one", () => {
  assert.deepEqual(menuFor(null), []);
  assert.deepEqual(menuFor({ payload: "adapter", labels: [] }), []);
  const titles = (task: { payload: string; labels: string[] }) => menuFor(task).map(({ title, contexts }) => `${title} (${contexts})`);
  assert.deepEqual(titles({ payload: "adapter", labels: ["greeting"] }), ["Add to Choir as (selection)", "greeting (selection)"]);
  assert.deepEqual(titles({ payload: "language", labels: [] }), ["Add the selection to Choir (selection)", "Add this page's text to Choir (page)"]);
});

test("a choice in the menu says what is added, whatever the labels are called", () => {
  const choices = (task: { payload: string; labels: string[] }) => menuFor(task).map(({ id }) => choiceOf(id));
  assert.deepEqual(choices({ payload: "adapter", labels: ["text/page", "a/b"] }).slice(1), [
    { source: "selection", label: "text/page" },
    { source: "selection", label: "a/b" },
  ]);
  assert.deepEqual(choices({ payload: "language", labels: [] }), [
    { source: "selection", label: "" },
    { source: "page", label: "" },
  ]);
});

test("the id that aggregators allow is that of the manifest's key", () => {
  const manifest = JSON.parse(readFileSync(join(extension, "manifest.json"), "utf8")) as { key: string };
  const digest = createHash("sha256").update(Buffer.from(manifest.key, "base64")).digest("hex");
  const id = [...digest.slice(0, 32)].map((nibble) => String.fromCharCode(97 + parseInt(nibble, 16))).join("");
  assert.equal(readFileSync(join(extension, "id.txt"), "utf8").trim(), id);
});

test("no permission for any site is asked for", () => {
  const manifest = JSON.parse(readFileSync(join(extension, "manifest.json"), "utf8")) as Record<string, unknown>;
  assert.deepEqual(manifest["permissions"], ["activeTab", "contextMenus", "offscreen", "scripting", "storage"]);
  assert.deepEqual(Object.keys(manifest).filter((name) => /host|content_scripts/.test(name)), []);
});

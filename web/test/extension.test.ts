/** The extension's rules: from which sites text is taken, and under which identity it runs. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Collection } from "../extension/src/collection.ts";
import { added, LONGEST_TEXT, siteOf, without, withSite } from "../extension/src/collection.ts";

const SHOP = "https://shop.example";
const EMPTY: Collection = { sites: [], examples: [] };
const candidate = { id: "1", text: " where is my parcel? ", label: "order_status", url: `${SHOP}/mail?id=7` };
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
  const two = added(one, { id: "2", text: "hello", label: "greeting", url: "https://other.example/" });
  assert.ok(!("refused" in two));
  assert.deepEqual(withSite(two, SHOP, false), {
    sites: ["https://other.example"],
    examples: [{ id: "2", text: "hello", label: "greeting", site: "https://other.example" }],
  });
  assert.deepEqual(without(two, "2").examples.map(({ id }) => id), ["1"]);
});

test("the id that aggregators allow is that of the manifest's key", () => {
  const manifest = JSON.parse(readFileSync(join(extension, "manifest.json"), "utf8")) as { key: string };
  const digest = createHash("sha256").update(Buffer.from(manifest.key, "base64")).digest("hex");
  const id = [...digest.slice(0, 32)].map((nibble) => String.fromCharCode(97 + parseInt(nibble, 16))).join("");
  assert.equal(readFileSync(join(extension, "id.txt"), "utf8").trim(), id);
});

test("no permission for any site is asked for", () => {
  const manifest = JSON.parse(readFileSync(join(extension, "manifest.json"), "utf8")) as Record<string, unknown>;
  assert.deepEqual(manifest["permissions"], ["activeTab", "contextMenus", "offscreen", "storage"]);
  assert.deepEqual(Object.keys(manifest).filter((name) => /host|content_scripts/.test(name)), []);
});

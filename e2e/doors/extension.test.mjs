// Door 3, the extension: loaded into real Chromium, fed with text that is selected on a page, and a
// round finished by it.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { door, fillers, openBrowser } from "../lib/door.mjs";
import { someExamples } from "../lib/examples.mjs";
import { Extension, historyOf } from "../lib/extension.mjs";
import { serveSite } from "../lib/static_site.mjs";

const told = door();
const aggregator = new URL(told.url).origin;
const [optedIn, other] = told.origins;
const messages = someExamples(told.shares[0], 12);

let extension;
let crowdBrowser;
const servers = [];

before(async () => {
  const pages = join(told.out, "pages");
  mkdirSync(pages, { recursive: true });
  const paragraphs = messages.map(({ text }, index) => `<p id="m${index}">${text.replace(/[&<]/g, (sign) => `&#${sign.charCodeAt(0)};`)}</p>`);
  writeFileSync(join(pages, "index.html"), `<!doctype html><meta charset="utf-8"><title>Messages</title>${paragraphs.join("")}`);
  for (const origin of told.origins) servers.push(await serveSite(pages, origin));
  extension = await Extension.open(told);
});
after(async () => {
  await extension?.context.close();
  await crowdBrowser?.close();
  for (const server of servers) server.close();
});

test("the extension has its fixed id and may read no site by default", async () => {
  const { background, id } = extension;
  assert.equal(new URL(background.url()).host, id);
  const manifest = JSON.parse(readFileSync(join(told.extension, "manifest.json"), "utf8"));
  for (const name of ["host_permissions", "optional_host_permissions", "content_scripts", "externally_connectable"]) {
    assert.equal(manifest[name], undefined, name);
  }
  const granted = await background.evaluate(() => chrome.permissions.getAll());
  assert.deepEqual(granted.origins, []);
  assert.deepEqual(granted.permissions.sort(), ["activeTab", "contextMenus", "offscreen", "scripting", "storage"]);
});

test("before consent nothing can be joined and nothing is loaded", async () => {
  await extension.configure(aggregator, told.task);
  await extension.popup.locator("#join").click();
  await extension.problem(/agree, first/);
  assert.deepEqual(await extension.background.evaluate(() => chrome.runtime.getContexts({ contextTypes: ["OFFSCREEN_DOCUMENT"] })), []);
});

test("text is taken only from sites that were opted in", async () => {
  await extension.agree();
  await addSelection(optedIn, 0);
  await extension.problem(/is not opted in, so nothing was taken/);
  assert.equal(await extension.popup.locator("#examples li").count(), 0);

  await extension.optIn(optedIn);
  await addSelection(optedIn, 0);
  await extension.exampleCount(1);
  await addSelection(other, 1);
  await extension.problem(new RegExp(`${other} is not opted in`));
  await extension.exampleCount(1);
});

test("what was added is listed, and deleted on request", async () => {
  for (let index = 1; index < messages.length; index += 1) await addSelection(optedIn, index);
  await extension.exampleCount(messages.length);
  const first = extension.popup.locator("#examples li").first();
  assert.ok((await first.textContent()).startsWith(`${messages[0].label}: ${messages[0].text}`));
  await first.getByRole("button", { name: "Delete" }).click();
  await extension.exampleCount(messages.length - 1);
});

test("a round is finished with it", async () => {
  const before = historyOf(told, told.task, "before").length;
  const said = await extension.takePart();
  assert.match(said.at(-1), /1 of 3/);
  crowdBrowser = await openBrowser();
  await fillers(crowdBrowser, 2, { task: told.task, engine: "cpu" });
  assert.match(await extension.firstRound(), /^Version [1-9]\d* is out: 3 visitors made it\.$/);
  const rounds = historyOf(told, told.task, "after");
  assert.ok(rounds.length > before);
  assert.equal(rounds[before].survivors, 3);
  await extension.leave();
});

test("forgetting leaves nothing in the browser", async () => {
  assert.deepEqual(await extension.forget(), [{}, [], []]);
  await extension.exampleCount(0);
});

/** Selects a paragraph on the site's page and chooses "Add to Choir as" with its label. */
async function addSelection(site, index) {
  const visited = await extension.visit(`${site}/`);
  const selectionText = await visited.page.evaluate((id) => {
    getSelection().selectAllChildren(document.getElementById(id));
    return getSelection().toString();
  }, `m${index}`);
  assert.equal(selectionText, messages[index].text);
  await extension.choose(`add/${messages[index].label}`, visited, selectionText);
  await visited.page.close();
}

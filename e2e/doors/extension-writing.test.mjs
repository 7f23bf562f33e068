// The extension on a task that writes: the text of a page, read by a choice in the menu on a site that
// was opted in and by nothing else, becomes a part of a published sum, and nothing of it leaves.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { door, fillers, openBrowser } from "../lib/door.mjs";
import { Extension, historyOf } from "../lib/extension.mjs";
import { TabProxy } from "../lib/proxy.mjs";
import { serveSite } from "../lib/static_site.mjs";
import { askedBy, traceOf } from "../lib/traces.mjs";

const told = door();
const [optedIn, other] = told.origins;
const left = join(told.out, "left.bin");
const netLog = join(told.out, "net-log.json");

const PARAGRAPHS = [
  "The harbour at Velmora",
  "Every morning before the bells the ferryman Osric Tallow counted the ropes twice, once by hand and once aloud.",
  "He had been told in the year of the long frost that a rope which is not counted is a rope which is lent, and he lent nothing.",
  "When the lamp on the far quay went out, he wrote the hour in a small blue book and said nothing of it to anybody.",
];
const SELECTED = "The blue book lay under the third plank, and only the ferryman knew of it.";
const TRIED = "The lamp on the far quay was lit again by a hand that";
/** What no visitor sees, or has written into a field. */
const NEVER = ["a secret in the script", "the way to another page", "my unsent letter", "my password is tulip", "a note that is not shown", "draft in the editor"];
const PAGES = {
  "story.html": `<nav>${NEVER[1]}</nav><main><h1>${PARAGRAPHS[0]}</h1>${PARAGRAPHS.slice(1).map((text) => `<p>${text}</p>`).join("\n")}
    <form><textarea>${NEVER[2]}</textarea><input type="password" value="${NEVER[3]}"></form>
    <p style="display: none">${NEVER[4]}</p><div contenteditable>${NEVER[5]}</div><script>const said = "${NEVER[0]}";</script></main>`,
  "short.html": "<p>Not much.</p>",
  "data.json": "of a type that is no text",
};
/** What the others learn from. */
const OTHERS = ["My noble lord, the day is long.\n\nAnd yet it ends, my lord, as all days end.\n", "Once there was a boat.\n\nThe boat had a name, and the name was forgotten.\n"];

let extension;
let proxy;
let address;
let crowdBrowser;
const servers = [];

before(async () => {
  const pages = join(told.out, "pages");
  mkdirSync(pages, { recursive: true });
  for (const [name, body] of Object.entries(PAGES)) writeFileSync(join(pages, name), `<!doctype html><meta charset="utf-8"><title>Story</title><body>${body}`);
  for (const origin of told.origins) servers.push(await serveSite(pages, origin));
  writeFileSync(left, "");
  proxy = new TabProxy(told.url, left);
  extension = await Extension.open(told, { netLog });
  address = await proxy.listen();
  await extension.configure(address, told.writingTask);
  // How often a page is looked into, whatever comes of it.
  await extension.background.evaluate(() => {
    const { executeScript } = chrome.scripting;
    globalThis.looks = 0;
    chrome.scripting.executeScript = (...given) => {
      globalThis.looks += 1;
      return executeScript.apply(chrome.scripting, given);
    };
  });
});
after(async () => {
  await extension?.context.close();
  await crowdBrowser?.close();
  proxy?.end();
  for (const server of servers) server.close();
});

const looks = () => extension.background.evaluate(() => globalThis.looks);
const stored = () => extension.background.evaluate(async () => (await chrome.storage.local.get({ examples: [] })).examples);

/** Chooses "Add this page's text to Choir" on a page that the browser lets the extension into. */
async function addPage(site, name, { isLetIn = true } = {}) {
  const visited = await extension.visit(`${site}/${name}`);
  if (isLetIn) await extension.letIn(visited.page);
  await extension.choose("text/page", visited);
  return visited.page;
}

test("plain text is asked for only once a task that writes is agreed to", async () => {
  assert.equal(await extension.offers("text/page", false), false);
  const page = await addPage(optedIn, "story.html");
  await extension.problem(/no task that you agreed to/);
  await page.close();
  await extension.agree();
  const offered = [await extension.offers("text/page", true), await extension.offers("text/selection", true), await extension.offers("add", false)];
  assert.deepEqual(offered, [true, true, false]);
  assert.equal(await looks(), 0);
});

test("a page of a site that was not opted in is not read, even where the browser would allow it", async () => {
  const first = await addPage(optedIn, "story.html");
  await extension.problem(new RegExp(`${optedIn} is not opted in, so nothing was taken`));
  await first.close();
  await extension.optIn(optedIn);
  const second = await addPage(other, "story.html");
  await extension.problem(new RegExp(`${other} is not opted in, so nothing was taken`));
  await second.close();
  assert.deepEqual([await looks(), await stored()], [0, []]);
});

test("an opted-in page is not read without a choice in the menu, nor where the browser does not let the extension in", async () => {
  const { page } = await extension.visit(`${optedIn}/story.html`);
  await extension.letIn(page);
  await page.reload();
  assert.equal(await looks(), 0);
  await page.close();
  const closed = await addPage(optedIn, "story.html", { isLetIn: false });
  await extension.problem(/cannot be read: the browser lets no extension into it/);
  await closed.close();
  assert.deepEqual(await stored(), []);
});

test("by the choice a page's text is read as the visitor sees it, paragraph by paragraph, once", async () => {
  const before = await looks();
  const page = await addPage(optedIn, "story.html");
  await extension.exampleCount(1);
  assert.equal((await looks()) - before, 1);
  const [{ text, label, site }] = await stored();
  assert.equal(text, PARAGRAPHS.join("\n\n"));
  assert.deepEqual([label, site], ["", optedIn]);
  const line = await extension.popup.locator("#examples li").first().textContent();
  assert.ok(line.startsWith(`${optedIn}: ${PARAGRAPHS[0]} Every morning`), line);
  assert.match(line, new RegExp(`\\(${text.length} characters\\)`));
  await page.close();
});

test("what is too short or no text is refused in words; a selection is added, and each text can be removed", async () => {
  const short = await addPage(optedIn, "short.html");
  await extension.problem(/too short: it has 9 characters/);
  await short.close();
  const data = await addPage(optedIn, "data.json");
  await extension.problem(/cannot be read: it is no text but application\/json/);
  await data.close();
  const visited = await extension.visit(`${optedIn}/story.html`);
  await extension.choose("text/selection", visited, PARAGRAPHS[1]);
  await extension.exampleCount(2);
  await extension.choose("text/selection", visited, SELECTED);
  await extension.exampleCount(3);
  await extension.popup.locator("#examples li").nth(1).getByRole("button", { name: "Delete" }).click();
  await extension.exampleCount(2);
  assert.deepEqual((await stored()).map(({ text }) => text), [PARAGRAPHS.join("\n\n"), SELECTED]);
  await visited.page.close();
});

test("what was added is trained on, and its update is a part of a published sum", async () => {
  const before = historyOf(told, told.writingTask, "before").length;
  const said = await extension.takePart();
  assert.match(said.at(-1), /1 of 3/);
  assert.ok(said.some((line) => /^Training: step \d+ of \d+, loss \d/.test(line)), said.join("\n"));
  const shares = ["", ...OTHERS].map((text, index) => {
    const file = join(told.out, `reader-${index}.txt`);
    writeFileSync(file, text);
    return file;
  });
  crowdBrowser = await openBrowser();
  await fillers(crowdBrowser, 2, { task: told.writingTask, engine: "cpu", shares });
  assert.match(await extension.firstRound(), /^Version [1-9]\d* is out: 3 visitors made it\.$/);
  const rounds = historyOf(told, told.writingTask, "after");
  assert.equal(rounds[before].survivors, 3);
  await extension.leave();
});

test("the popup goes on with a text by the version that the round made", async () => {
  const { popup } = extension;
  await popup.locator("#beginning").fill(TRIED);
  await popup.getByRole("button", { name: "Go on" }).click();
  // The first words may come a moment after the model has begun.
  await popup.waitForFunction(() => /\w/.test(document.querySelector("#continuation").textContent));
  assert.match(await popup.locator("#continuation-note").textContent(), /version \d/);
});

test("nothing of the texts is in what left the browser, which all went to the aggregator", async () => {
  const bytes = readFileSync(left);
  assert.ok(bytes.length > 100_000, `${bytes.length} bytes left, the masked update among them`);
  for (const text of [...PARAGRAPHS, SELECTED, TRIED, ...NEVER]) assert.equal(traceOf(text, bytes), null);
  // The same search finds it where it is.
  assert.notEqual(traceOf(PARAGRAPHS[2], Buffer.concat([bytes, Buffer.from(PARAGRAPHS.join("\n\n")), bytes])), null);
});

test("who agreed to less than a new version does is asked again, and loses no text", async () => {
  const { background, popup } = extension;
  await background.evaluate(async () => {
    // As the versions stored it that read no page.
    await chrome.storage.local.remove("agreement");
    chrome.runtime.onInstalled.dispatch({ reason: "update" });
  });
  await extension.problem(/agree again/);
  assert.equal(await popup.locator("#consent").isChecked(), false);
  assert.equal(await extension.offers("text/page", false), false);
  await extension.exampleCount(2);
  await popup.locator("#join").click();
  await extension.problem(/agree, first/);
});

test("forgetting leaves no text and no entry in the menu", async () => {
  assert.deepEqual(await extension.forget(), [{}, [], []]);
  await extension.exampleCount(0);
  assert.equal(await extension.offers("text/page", false), false);
});

test("the extension asked no address but the aggregator's", async () => {
  await extension.context.close();
  const asked = askedBy(`chrome-extension://${extension.id}`, readFileSync(netLog, "utf8"));
  assert.ok(asked.length > 0);
  const hosts = new Set(asked.map((one) => new URL(one).host));
  assert.deepEqual([...hosts], [new URL(address).host]);
});

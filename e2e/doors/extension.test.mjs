// Door 3, the extension: loaded into real Chromium, fed with text that is selected on a page, and a
// round finished by it.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launchWithExtension } from "../lib/browser.mjs";
import { door, fillers, openBrowser } from "../lib/door.mjs";
import { someExamples } from "../lib/examples.mjs";
import { serveSite } from "../lib/static_site.mjs";

const MINUTES = 60_000;
const told = door();
const aggregator = new URL(told.url).origin;
const id = readFileSync(join(told.root, "web/extension/id.txt"), "utf8").trim();
const [optedIn, other] = told.origins;
const messages = someExamples(told.shares[0], 12);

let context;
let background;
let popup;
let crowdBrowser;
const servers = [];

before(async () => {
  const pages = join(told.out, "pages");
  mkdirSync(pages, { recursive: true });
  const paragraphs = messages.map(({ text }, index) => `<p id="m${index}">${text.replace(/[&<]/g, (sign) => `&#${sign.charCodeAt(0)};`)}</p>`);
  writeFileSync(join(pages, "index.html"), `<!doctype html><meta charset="utf-8"><title>Messages</title>${paragraphs.join("")}`);
  for (const origin of told.origins) servers.push(await serveSite(pages, origin));
  context = await launchWithExtension(told.extension, join(told.out, "profile"));
  background = context.serviceWorkers()[0] ?? (await context.waitForEvent("serviceworker", { timeout: MINUTES }));
  popup = await context.newPage();
  popup.setDefaultTimeout(MINUTES);
  await popup.goto(`chrome-extension://${id}/popup.html`);
});
after(async () => {
  await context?.close();
  await crowdBrowser?.close();
  for (const server of servers) server.close();
});

test("the extension has its fixed id and may read no site by default", async () => {
  assert.equal(new URL(background.url()).host, id);
  const manifest = JSON.parse(readFileSync(join(told.extension, "manifest.json"), "utf8"));
  for (const name of ["host_permissions", "optional_host_permissions", "content_scripts", "externally_connectable"]) {
    assert.equal(manifest[name], undefined, name);
  }
  const granted = await background.evaluate(() => chrome.permissions.getAll());
  assert.deepEqual(granted.origins, []);
  assert.deepEqual(granted.permissions.sort(), ["activeTab", "contextMenus", "offscreen", "storage"]);
});

test("before consent nothing can be joined and nothing is loaded", async () => {
  await configure();
  await popup.locator("#join").click();
  await problem(/agree, first/);
  assert.deepEqual(await background.evaluate(() => chrome.runtime.getContexts({ contextTypes: ["OFFSCREEN_DOCUMENT"] })), []);
});

test("text is taken only from sites that were opted in", async () => {
  await popup.locator("#consent").click();
  await popup.waitForFunction(() => document.querySelector("#task").textContent.includes("cohort has 3"));
  await addSelection(optedIn, 0);
  await problem(/is not opted in, so nothing was taken/);
  assert.equal(await popup.locator("#examples li").count(), 0);

  await popup.locator("#site").fill(`${optedIn}/some/page`);
  await popup.getByRole("button", { name: "Use text from this site" }).click();
  await popup.waitForFunction((site) => document.querySelector("#sites").textContent.includes(site), optedIn);
  await addSelection(optedIn, 0);
  await exampleCount(1);
  await addSelection(other, 1);
  await problem(new RegExp(`${other} is not opted in`));
  await exampleCount(1);
});

test("what was added is listed, and deleted on request", async () => {
  for (let index = 1; index < messages.length; index += 1) await addSelection(optedIn, index);
  await exampleCount(messages.length);
  const first = popup.locator("#examples li").first();
  assert.ok((await first.textContent()).startsWith(`${messages[0].label}: ${messages[0].text}`));
  await first.getByRole("button", { name: "Delete" }).click();
  await exampleCount(messages.length - 1);
});

test("a round is finished with it", async () => {
  const before = history("before").length;
  await popup.locator("#join").click();
  const waiting = () => /1 of 3|^Ended/.test(document.querySelector("#state").textContent);
  await popup.waitForFunction(waiting, null, { timeout: 4 * MINUTES });
  assert.match(await popup.locator("#state").textContent(), /1 of 3/);
  crowdBrowser = await openBrowser();
  await fillers(crowdBrowser, 2, { task: told.task, engine: "cpu" });
  const over = () => document.querySelector("#rounds li") !== null || document.querySelector("#state").textContent.startsWith("Ended");
  await popup.waitForFunction(over, null, { timeout: 4 * MINUTES });
  assert.equal(await popup.locator("#rounds li").count(), 1, await popup.locator("#state").textContent());
  const round = popup.locator("#rounds li").first();
  assert.match(await round.textContent(), /^Version [1-9]\d* is out: 3 visitors made it\.$/);
  const rounds = history("after");
  assert.ok(rounds.length > before);
  assert.equal(rounds[before].survivors, 3);
  await popup.locator("#leave").click();
  await popup.waitForFunction(() => document.querySelector("#state").textContent.startsWith("Ended: "));
});

test("forgetting leaves nothing in the browser", async () => {
  await popup.locator("#forget").click();
  await popup.waitForFunction(() => document.querySelector("#state").textContent === "Everything is forgotten.");
  assert.deepEqual(await background.evaluate(() => chrome.storage.local.get(null)), {});
  assert.deepEqual(await popup.evaluate(async () => [await caches.keys(), Object.keys(localStorage)]), [[], []]);
  await exampleCount(0);
});

async function configure() {
  await popup.locator("summary").click();
  await popup.locator("#aggregator").fill(aggregator);
  await popup.locator("#task-id").fill(told.task);
  await popup.locator("#engine").selectOption("cpu");
  await popup.locator("#policy").selectOption("demo");
  await popup.getByRole("button", { name: "Save" }).click();
  await background.evaluate(async (expected) => {
    for (;;) {
      const { settings } = await chrome.storage.local.get({ settings: null });
      if (settings?.aggregator === expected) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }, aggregator);
}

/**
 * Selects a paragraph on the site's page and chooses "Add to Choir as" with its label. The menu is
 * the browser's own, which no driver can open: its event is sent with what the page has selected.
 */
async function addSelection(site, index) {
  const page = await context.newPage();
  await page.goto(`${site}/`);
  const selectionText = await page.evaluate((id) => {
    getSelection().selectAllChildren(document.getElementById(id));
    return getSelection().toString();
  }, `m${index}`);
  assert.equal(selectionText, messages[index].text);
  const chosen = { menuItemId: `add/${messages[index].label}`, selectionText, pageUrl: page.url(), editable: false };
  await background.evaluate((event) => chrome.contextMenus.onClicked.dispatch(event, {}), chosen);
  await page.close();
}

function exampleCount(count) {
  return popup.waitForFunction((expected) => document.querySelectorAll("#examples li").length === expected, count);
}

async function problem(expected) {
  await popup.waitForFunction(() => document.querySelector("#problem").textContent !== "");
  await popup.waitForFunction(
    (source) => new RegExp(source).test(document.querySelector("#problem").textContent),
    expected.source,
  );
}

/** The task's rounds as the aggregator tells them. */
function history(name) {
  const out = join(told.out, `export-${name}`);
  const env = { ...process.env, OPERATOR_SECRET: told.secret };
  execFileSync(told.xtask, ["task", "export", told.task, "--aggregator", aggregator, "--out", out], { cwd: told.root, env });
  return JSON.parse(readFileSync(join(out, "manifest.json"), "utf8")).history;
}

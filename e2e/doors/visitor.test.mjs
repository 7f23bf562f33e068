// The visitor's door: nothing is loaded before a yes, the receipt is what the network saw, training
// survives a reload, and forgetting leaves nothing behind.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { openDemo, takePart } from "../lib/demo_page.mjs";
import { door, fillers, openBrowser } from "../lib/door.mjs";
import { TabProxy } from "../lib/proxy.mjs";
import { storedIn } from "../lib/storage.mjs";
import { Witness } from "../lib/witness.mjs";

/** The page itself, as the browser loads it before anybody has said anything. */
const PAGE = ["/", "/page.js", "/style.css", "/icon.svg"];
const PATIENCE = { timeout: 240_000 };
/** Long enough for a page that loads what it should not. */
const A_WHILE_MS = 2_000;

const { url, task, longTask, shares } = door();
let browser;

before(async () => {
  browser = await openBrowser();
});
after(() => browser?.close());

/** A visitor's browser: everything that leaves it goes by a witness. */
async function openVisitor() {
  const witness = new Witness();
  const proxy = new TabProxy(url, witness);
  const address = `${await proxy.listen()}/`;
  const context = await browser.newContext({ acceptDownloads: true });
  const asked = [];
  context.on("request", (request) => asked.push(request.url()));
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE.timeout);
  const end = async () => {
    await context.close();
    proxy.end();
  };
  return { witness, address, page, asked, end };
}

const pause = (page) => page.waitForTimeout(A_WHILE_MS);
const pathOf = (request) => request.split(" ")[1].split("?")[0];
const beyondThePage = (sendings) =>
  sendings.map(({ request }) => (request === null ? "a message" : pathOf(request))).filter((path) => !PAGE.includes(path));

/** Nothing but the page's own files, by the network's log and by the browser's. */
function assertOnlyThePage({ witness, asked, address }, since = 0, sinceAsked = 0) {
  assert.deepEqual(beyondThePage(witness.sendings.slice(since)), []);
  const strangers = asked.slice(sinceAsked).filter((one) => !PAGE.includes(new URL(one).pathname) || !one.startsWith(address));
  assert.deepEqual(strangers, []);
}

async function downloadReceipt(page) {
  const [file] = await Promise.all([page.waitForEvent("download"), page.locator("#download-receipt").click()]);
  return JSON.parse(readFileSync(await file.path(), "utf8"));
}

/** Asks again until it holds; what is deleted in the background takes a moment. */
async function eventually(what, holds) {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(`${what}: not within five seconds`);
}

test("before a yes, and after a no, nothing is asked for beyond the page and nothing is stored", async () => {
  const visitor = await openVisitor();
  const { page, witness, address } = visitor;
  await openDemo(page, address, { task, engine: "cpu" });
  await pause(page);
  assertOnlyThePage(visitor);
  await page.locator("#refuse").click();
  await page.locator("#text").fill("Where is my parcel?,order_status");
  await pause(page);
  assertOnlyThePage(visitor);
  assert.match(await page.locator("#refuse-note").textContent(), /Nothing was loaded but this page/);
  assert.equal(await page.locator("#start").isDisabled(), true);
  assert.deepEqual(await storedIn(page), { caches: [], databases: [], files: [], local: [] });
  // The same witness sees what a yes loads.
  await page.locator("#consent").check();
  await page.waitForFunction(() => window.choirDemo.state === "ready");
  const loaded = beyondThePage(witness.sendings);
  assert.ok(loaded.includes("/thread.js") && loaded.some((path) => path.endsWith(".wasm")), String(loaded));
  assert.ok(loaded.some((path) => path.startsWith("/v1/")), String(loaded));
  await visitor.end();
});

test("the receipt has exactly what the network saw leave, and outlasts a reload; forgetting deletes it all", PATIENCE, async () => {
  const visitor = await openVisitor();
  await receiptIsWhatLeft(visitor);
  await receiptOutlastsReload(visitor);
  await forgettingLeavesNothing(visitor);
  await visitor.end();
});

async function receiptIsWhatLeft({ page, witness, address }) {
  await openDemo(page, address, { task, engine: "cpu", seed: 11 });
  await takePart(page, shares[0]);
  const others = await fillers(browser, 2, { task, engine: "cpu" });
  await page.waitForFunction(() => window.choirDemo.history.length > 0, null, PATIENCE);
  await page.locator("#leave").click();
  await page.waitForFunction(() => window.choirDemo.state === "stopped", null, PATIENCE);
  await others.close();
  await pause(page);

  const { entries, totals } = await downloadReceipt(page);
  const isCall = ({ request }) => request === null || pathOf(request).startsWith("/v1/");
  const seen = witness.sendings.filter(isCall);
  const line = ({ kind, request, bytes, sha256 }) => [kind, kind === "socket message" ? "" : request, bytes, sha256].join(" ");
  const noted = entries.filter(({ kind }) => kind !== "file");
  assert.deepEqual(noted.map(line).sort(), seen.map(line).sort());
  assert.equal(totals.bytes, seen.reduce((sum, { bytes }) => sum + bytes, 0));

  const uploads = noted.filter(({ kind }) => kind === "upload");
  assert.ok(uploads.length >= 1 && uploads.every(({ bytes }) => bytes > 100_000));
  assert.ok(noted.filter(({ kind }) => kind === "socket message").length >= 4);
  for (const { kind, request, round, cohortSize, noise } of noted) {
    if (kind === "request") continue;
    assert.ok(request.includes(round), request);
    assert.equal(cohortSize, 3);
    assert.match(noise, /no differential privacy/);
  }
  // Files: each that left is there, by the browser's own word.
  const files = new Set(entries.filter(({ kind }) => kind === "file").map(({ request }) => pathOf(request)));
  const loaded = new Set(witness.sendings.filter((one) => !isCall(one)).map(({ request }) => pathOf(request)));
  // The document itself is what the visitor asked for, before there was a page to note anything.
  loaded.delete("/");
  assert.deepEqual([...loaded].filter((path) => !files.has(path)), []);
}

async function receiptOutlastsReload(visitor) {
  const { page, witness, asked } = visitor;
  const earlier = (await downloadReceipt(page)).entries;
  const [sent, sentAsked] = [witness.sendings.length, asked.length];
  await page.reload();
  await page.locator("#receipt tbody tr").first().waitFor();
  assert.match(await page.locator("#ledger tbody").textContent(), /no differential privacy/);
  assert.deepEqual((await downloadReceipt(page)).entries, earlier);
  await pause(page);
  assertOnlyThePage(visitor, sent, sentAsked);
}

async function forgettingLeavesNothing({ page, address }) {
  await openDemo(page, address, { task: longTask, engine: "cpu" });
  await takePart(page, shares[0]);
  await page.waitForFunction(() => window.choirDemo.checkpoint?.state === "written", null, PATIENCE);
  assert.ok((await page.locator("#receipt tbody tr").count()) > 0);
  const kept = await storedIn(page);
  for (const [where, names] of Object.entries(kept)) assert.ok(names.length > 0, `${where} had something to forget`);
  await page.locator("#forget").click();
  await page.waitForFunction(() => document.querySelector("#forget-note").textContent.startsWith("Forgotten"));
  const nothing = { caches: [], databases: [], files: [], local: [] };
  assert.deepEqual(await storedIn(page), nothing);
  await pause(page);
  assert.deepEqual(await storedIn(page), nothing, "and nothing comes back");
  assert.equal(await page.locator("#consent").isChecked(), false);
  await page.reload();
  await pause(page);
  assert.deepEqual(await storedIn(page), nothing);
  assert.equal(await page.locator("#download-receipt").isDisabled(), true);
}

test("a reload in mid-training goes on from the checkpoint, on the examples that were kept", PATIENCE, async () => {
  const visitor = await openVisitor();
  const { page, address, witness, asked } = visitor;
  await openDemo(page, address, { task: longTask, engine: "cpu", seed: 5 });
  await page.locator("#keep").check();
  await takePart(page, shares[0]);
  await page.waitForFunction(() => window.choirDemo.checkpoint?.step >= 3, null, PATIENCE);
  await page.reload();
  const [sent, sentAsked] = [witness.sendings.length, asked.length];
  await page.locator("#go-on").waitFor();
  await pause(page);
  assert.match(await page.locator("#unfinished-line").textContent(), /after step \d+ of 40\.$/);
  assertOnlyThePage(visitor, sent, sentAsked);
  await page.locator("#go-on").click();
  const { resumed, first } = await firstSteps(page);
  assert.ok(resumed >= 3, `went on behind step ${resumed}`);
  assert.equal(first, resumed + 1);
  const last = first + 3;
  const interrupted = await lossesTo(page, last);
  await page.locator("#leave").click();
  await page.waitForFunction(() => window.choirDemo.state === "stopped");
  await eventually("leaving deletes the checkpoint", async () => (await storedIn(page)).files.length === 0);
  // The same seed without a break: the same losses, so adapter, moments and batches were the same.
  await page.locator("#start").click();
  const whole = await lossesTo(page, last);
  assert.equal(Object.keys(whole).length >= last, true);
  for (let step = first; step <= last; step += 1) {
    const [one, other] = [interrupted[step], whole[step]];
    assert.ok(Math.abs(one - other) < 1e-6, `step ${step}: loss ${one} behind the checkpoint, ${other} without a break`);
  }
  await visitor.end();
});

test("without the visitor's wish no examples are kept: the same ones go on, others start anew", PATIENCE, async () => {
  const visitor = await openVisitor();
  const { page, address } = visitor;
  await openDemo(page, address, { task: longTask, engine: "cpu" });
  await takePart(page, shares[0]);
  await page.waitForFunction(() => window.choirDemo.checkpoint?.step >= 2, null, PATIENCE);
  await page.reload();
  await page.locator("#go-on").waitFor();
  assert.match(await page.locator("#unfinished-line").textContent(), /Give the same examples again/);
  await takePart(page, shares[0]);
  const { resumed, first } = await firstSteps(page);
  assert.equal(first, resumed + 1);
  await page.reload();
  await page.locator("#go-on").waitFor();
  await takePart(page, shares[1]);
  const other = await firstSteps(page);
  assert.deepEqual([other.refused, other.first], ["it was trained on other examples", 1]);
  await visitor.end();
});

test("on the CPU a second thread takes part: the model is downloaded once, and forgetting ends both", PATIENCE, async () => {
  const visitor = await openVisitor();
  const { page, address, witness, asked } = visitor;
  await openDemo(page, address, { task: longTask, engine: "cpu", threads: 2 });
  await takePart(page, shares[0]);
  const inTwo = () => window.choirDemo.events.some((event) => event.kind === "step" && event.threads === 2);
  await page.waitForFunction(inTwo, null, PATIENCE);
  const objects = beyondThePage(witness.sendings).filter((path) => path.startsWith("/v1/objects/"));
  assert.ok(objects.length > 0);
  assert.equal(new Set(objects).size, objects.length, "no object is asked for twice");
  await page.locator("#forget").click();
  await page.waitForFunction(() => document.querySelector("#forget-note").textContent.startsWith("Forgotten"));
  await pause(page);
  const [sent, sentAsked] = [witness.sendings.length, asked.length];
  await pause(page);
  assertOnlyThePage(visitor, sent, sentAsked);
  assert.deepEqual(await storedIn(page), { caches: [], databases: [], files: [], local: [] });
  await visitor.end();
});

/** What a browser tells of a tab and its battery, in a test's hands. */
function tellsWhatItIsTold() {
  const battery = Object.assign(new EventTarget(), { charging: true });
  let visibilityState = "visible";
  Object.defineProperty(document, "visibilityState", { get: () => visibilityState });
  Object.defineProperty(navigator, "getBattery", { value: async () => battery });
  window.tell = ({ visibility = visibilityState, charging = battery.charging }) => {
    visibilityState = visibility;
    document.dispatchEvent(new Event("visibilitychange"));
    battery.charging = charging;
    battery.dispatchEvent(new Event("chargingchange"));
  };
}

test("training pauses while the tab is hidden or the battery runs down, and goes on where it was", PATIENCE, async () => {
  const visitor = await openVisitor();
  const { page, address } = visitor;
  await page.addInitScript(tellsWhatItIsTold);
  await openDemo(page, address, { task: longTask, engine: "cpu" });
  await page.locator("#pause").check();
  await takePart(page, shares[0]);
  let taken = 0;
  for (const [times, cause, back, reason] of [
    [1, { visibility: "hidden" }, { visibility: "visible" }, /this tab is not in view/],
    [2, { charging: false }, { charging: true }, /the battery is running down/],
  ]) {
    await page.waitForFunction((taken) => window.choirDemo.losses.length > taken, taken, PATIENCE);
    await page.evaluate((told) => window.tell(told), cause);
    const paused = await eventOf(page, "paused", times);
    assert.match(paused.reason, reason);
    await pause(page);
    const still = await page.evaluate(() => window.choirDemo.losses.at(-1).step);
    assert.equal(still, paused.step, "no step is taken meanwhile");
    assert.equal((await eventOf(page, "checkpoint")).step, paused.step, "what was trained is kept");
    await page.evaluate((told) => window.tell(told), back);
    taken = paused.step;
    assert.equal((await eventOf(page, "resumed", times)).step, taken);
  }
  await page.waitForFunction((taken) => window.choirDemo.losses.at(-1).step > taken, taken, PATIENCE);
  // Who leaves is not kept waiting.
  await page.evaluate(() => window.tell({ visibility: "hidden" }));
  await page.waitForFunction(() => window.choirDemo.state === "waiting", null, PATIENCE);
  await page.locator("#leave").click();
  await page.waitForFunction(() => window.choirDemo.state === "stopped", null, PATIENCE);
  await visitor.end();
});

test("a graphics device that is lost costs no trained step behind the checkpoint: the CPU goes on", PATIENCE, async () => {
  const lonely = await openBrowser();
  try {
    const page = await lonely.newPage();
    page.setDefaultTimeout(PATIENCE.timeout);
    await openDemo(page, url, { task: longTask, engine: "webgpu" });
    await takePart(page, shares[0]);
    await page.waitForFunction(() => window.choirDemo.checkpoint?.step >= 2, null, PATIENCE);
    assert.equal((await eventOf(page, "engine")).device, "webgpu");
    const before = await page.evaluate(() => window.choirDemo.checkpoint.step);
    await (await lonely.newBrowserCDPSession()).send("Browser.crashGpuProcess");
    await page.waitForFunction(() => window.choirDemo.checkpoint?.state === "resumed", null, PATIENCE);
    const engine = await eventOf(page, "engine");
    assert.deepEqual([engine.engine, engine.reason], ["cpu", "the graphics device was lost"]);
    const { from } = await eventOf(page, "training");
    assert.ok(from >= before, `goes on behind step ${from}, the checkpoint was of ${before}`);
    await page.waitForFunction((from) => window.choirDemo.losses.at(-1).step > from, from, PATIENCE);
  } finally {
    await lonely.close();
  }
});

/** The newest event of a kind, once there have been so many. */
async function eventOf(page, kind, count = 1) {
  const ofKind = ([kind, count]) => window.choirDemo.events.filter((event) => event.kind === kind).length >= count;
  await page.waitForFunction(ofKind, [kind, count], PATIENCE);
  return page.evaluate((kind) => window.choirDemo.events.findLast((event) => event.kind === kind), kind);
}

/** The losses of a training by step, once it has come to that one. */
async function lossesTo(page, last) {
  await page.waitForFunction((last) => window.choirDemo.losses.at(-1)?.step >= last, last, PATIENCE);
  const losses = await page.evaluate(() => window.choirDemo.losses.map(({ step, loss }) => [step, loss]));
  return Object.fromEntries(losses);
}

/** What was resumed or refused, and the number of the first step after it. */
async function firstSteps(page) {
  await page.waitForFunction(() => window.choirDemo.losses.length > 0, null, PATIENCE);
  return page.evaluate(() => {
    const { events } = window.choirDemo;
    const checkpoint = events.find((event) => event.kind === "checkpoint" && event.state !== "written");
    const first = events.find((event) => event.kind === "step");
    return {
      resumed: checkpoint?.state === "resumed" ? checkpoint.step : null,
      refused: checkpoint?.state === "refused" ? checkpoint.reason : null,
      first: first.step,
    };
  });
}

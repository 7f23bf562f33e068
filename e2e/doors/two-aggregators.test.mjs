// A task with two aggregators: a leader and a helper in processes of their own, three tabs of real Chromium, one of which
// closes as soon as its report is taken; and a helper that answers for no small batch and for no report twice.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { HelperProxy, readBatch, readReply, writeBatch } from "../../edge-aggregator/tests/batches.mjs";
import { eventsSince, openDemo, takePart } from "../lib/demo_page.mjs";
import { door, openBrowser } from "../lib/door.mjs";
import { TabProxy } from "../lib/proxy.mjs";

const TABS = 3;
const PATIENCE_MS = 240_000;
const { url, secret, shares, reportTask: task, helper } = door();
const between = new HelperProxy(helper.url);
const tabs = [];
let browser;

before(async () => {
  await between.listen(helper.front);
  browser = await openBrowser();
});
after(async () => {
  for (const { proxy } of tabs) proxy.end();
  await browser?.close();
  between.close();
});

async function report() {
  const answer = await fetch(new URL(`/v1/tasks/${task}/report`, url), { headers: { authorization: `Bearer ${secret}` } });
  return answer.json();
}

async function until(condition, what) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Opens a tab behind a proxy, which takes part. */
async function openTab(index, prepare = () => {}) {
  const proxy = new TabProxy(url);
  const context = await browser.newContext();
  const page = await context.newPage();
  const asked = new Set();
  context.on("request", (request) => asked.add(new URL(request.url()).origin));
  const tab = { proxy, page, asked, address: await proxy.listen() };
  tabs.push(tab);
  prepare(tab);
  await openDemo(page, `${tab.address}/`, { task, engine: "cpu", seed: index + 1, helper: helper.key });
  await takePart(page, shares[index]);
  return tab;
}

/** Asks the helper as the leader does. */
async function ask(body) {
  const headers = { authorization: `Bearer ${helper.token}` };
  const answer = await fetch(new URL(`/v1/helper/tasks/${task}/batches`, helper.url), { method: "POST", headers, body });
  return { status: answer.status, reply: new Uint8Array(await answer.arrayBuffer()) };
}

test("leader and helper are two runtimes, and no tab is one's client who is the other's", async () => {
  assert.notEqual(helper.leader, helper.process);
  if (existsSync("/proc")) {
    const runtime = (pid) => readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    assert.notEqual(runtime(helper.leader), "");
    assert.notEqual(runtime(helper.leader), runtime(helper.process));
  }
  const about = await (await fetch(new URL("/v1/helper", helper.url))).json();
  assert.deepEqual(about, { key: helper.key, min_batch: TABS });
});

test("a page that does not name the helper takes no part", async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await openDemo(page, `${url}/`, { task, engine: "cpu" });
  await takePart(page, shares[0]);
  const stopped = await until(
    async () => (await eventsSince(page, 0)).find(({ kind }) => kind === "stopped"),
    "the refusal",
  );
  assert.equal(stopped.code, "policy");
  assert.match(stopped.message, new RegExp(`helper ${helper.key}`));
  await context.close();
});

test("a tab that closes after its report is in the sum", async () => {
  let closed = false;
  const closing = await openTab(0, ({ proxy, page }) =>
    proxy.closeAt("after-upload", () => page.close().then(() => (closed = true))),
  );
  const staying = await openTab(1);
  assert.match(await staying.page.locator("#two-aggregators").textContent(), /two aggregators.*do not work together/);
  await until(() => closed, "the tab to close after its report");
  assert.equal((await report()).history.length, 0, "the others have not all reported");
  await openTab(2);
  const [round] = await until(async () => {
    const { history } = await report();
    return history.length > 0 && history;
  }, "a closed round");
  assert.deepEqual([round.version_before, round.clients, round.survivors, round.dropped], [0, TABS, TABS, 0]);
  assert.ok(closing.page.isClosed());
  const published = await until(
    async () => (await eventsSince(staying.page, 0)).find(({ kind }) => kind === "round"),
    "the page to say so",
  );
  assert.deepEqual([published.round, published.survivors], [round.round, TABS]);
  for (const { asked, address } of tabs) assert.deepEqual([...asked], [address], "a tab speaks to the leader alone");
});

test("the helper refuses a batch below its minimum, and a report that was used", async () => {
  const { body, reply, path } = between.questions[0];
  assert.equal(path, `/v1/helper/tasks/${task}/batches`);
  const { header, reports } = readBatch(body);
  assert.equal(reports.length, TABS);
  const again = await ask(body);
  assert.deepEqual([again.status, Buffer.from(again.reply)], [200, reply], "a lost answer is given again");

  const small = await ask(writeBatch({ header, reports: reports.slice(0, TABS - 1) }));
  assert.deepEqual([small.status, readReply(small.reply).refused], [409, "too_few"]);
  const other = await ask(writeBatch({ header, reports: reports.toReversed() }));
  assert.deepEqual([other.status, readReply(other.reply).refused], [409, "used"]);
  const fresh = (place) => Uint8Array.from(reports[place], (byte, at) => (at < 16 ? byte ^ 0xff : byte));
  const mixed = await ask(writeBatch({ header, reports: [fresh(0), fresh(1), reports[2]] }));
  assert.deepEqual([mixed.status, readReply(mixed.reply).refused], [409, "used"]);
  const nobody = await fetch(new URL(path, helper.url), { method: "POST", body });
  assert.equal(nobody.status, 401);
});

// The edge engineer's door: a task made and led from the command line and from the operator's page,
// a round by three tabs of real Chromium, and what is counted, shown, exported and forgotten.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { storedRows } from "../../edge-aggregator/dev/rows.mjs";
import { parse } from "../../edge-aggregator/tests/exposition.mjs";
import { openDemo, takePart } from "../lib/demo_page.mjs";
import { door, openBrowser } from "../lib/door.mjs";
import { TabProxy } from "../lib/proxy.mjs";

const TABS = 3;
const PATIENCE_MS = 240_000;
const given = door();
const recordings = join(given.out, "recordings");
let browser;
let task;
let tabs;

before(async () => (browser = await openBrowser()));
after(async () => {
  await closeTabs();
  await browser?.close();
});

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const asOperator = { authorization: `Bearer ${given.secret}` };

/** Runs `cargo xtask task …`: its status and what it printed. */
function xtask(words, { secret = given.secret, aggregator = given.url } = {}) {
  const env = { ...process.env, OPERATOR_SECRET: secret };
  const all = ["task", ...words, "--aggregator", aggregator];
  return new Promise((resolve) =>
    execFile(given.xtask, all, { cwd: given.root, env, timeout: PATIENCE_MS }, (error, stdout, stderr) =>
      resolve({ code: error ? (error.code ?? 1) : 0, stdout: stdout.trim(), stderr }),
    ),
  );
}

async function report() {
  const answer = await fetch(new URL(`/v1/tasks/${task}/report`, given.url), { headers: asOperator });
  assert.equal(answer.status, 200);
  return answer.json();
}

async function until(condition, what) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

/** A small task of the example's kind. */
function taskFile(change = {}) {
  const example = JSON.parse(readFileSync(join(given.root, "edge-aggregator/examples/task.json"), "utf8"));
  const cohort = { cohort_size: TABS, min_cohort: TABS, corrupt_permille: 100, drop_permille: 250 };
  const training = { ...example.training, batch_size: 4, local_steps: 2 };
  const file = join(given.out, `task-${Object.keys(change).join("-") || "good"}.json`);
  writeFileSync(file, JSON.stringify({ ...example, name: "edge door", labels: given.labels, training, cohort, ...change }, null, 2));
  return file;
}

/** Tabs that take part, each behind a proxy that writes down what leaves it. */
async function openTabs() {
  mkdirSync(recordings, { recursive: true });
  tabs = [];
  for (let index = 0; index < TABS; index += 1) {
    const proxy = new TabProxy(given.url, join(recordings, `tab-${index}.bin`));
    const context = await browser.newContext();
    tabs.push({ proxy, context });
    const page = await context.newPage();
    await openDemo(page, `${await proxy.listen()}/`, { task, engine: "cpu", seed: index + 1 });
    await takePart(page, given.shares[index % given.shares.length]);
  }
}

async function closeTabs() {
  for (const { proxy, context } of tabs ?? []) {
    await context.close();
    proxy.end();
  }
  tabs = [];
}

/** Every client's public keys, from the JOIN messages that left the tabs for that round. */
function keysOf(round) {
  const keys = [];
  // Wire version, variant JOIN, round; then the version as one byte, and three keys.
  const head = Buffer.concat([Buffer.from([1, 0]), Buffer.from(round, "hex")]);
  for (const name of readdirSync(recordings)) {
    const bytes = readFileSync(join(recordings, name));
    for (let at = bytes.indexOf(head); at >= 0; at = bytes.indexOf(head, at + 1)) {
      const first = at + head.length + 1;
      for (let key = 0; key < 3; key += 1) keys.push(bytes.subarray(first + key * 32, first + (key + 1) * 32));
    }
  }
  return keys;
}

test("what is wrong with a call is said clearly", async () => {
  const nobody = "0".repeat(32);
  const file = taskFile();
  const typo = taskFile({ lables: [] });
  const small = taskFile({ cohort: { cohort_size: 3, min_cohort: 2, corrupt_permille: 0, drop_permille: 0 } });
  const broken = join(given.out, "broken.json");
  writeFileSync(broken, readFileSync(file, "utf8").replace('"batch_size": 4', '"batch_size": "four"'));
  const create = (one) => ["create", "--task", one, "--rounds", "1"];
  for (const [words, where, said] of [
    [["status"], { secret: "not-the-secret-0123456789" }, /refused the operator's secret: OPERATOR_SECRET/],
    [["status"], { secret: "" }, /secret in the environment variable OPERATOR_SECRET is missing/],
    [["status", nobody], {}, new RegExp(`has no task ${nobody}`)],
    [["start", nobody], {}, new RegExp(`has no task ${nobody}`)],
    [["status", "xyz"], {}, /`xyz` is no task's identifier/],
    [["status"], { aggregator: "http://127.0.0.1:9" }, /127\.0\.0\.1:9 does not answer/],
    [create(typo), {}, /there is no field `lables`/],
    [create(broken), {}, /invalid type.*line \d+[^]*batch_size/],
    [create(small), {}, /cohort\.min_cohort is 2, and must be from 3 to 3/],
    [create(join(given.out, "nowhere.json")), {}, /nowhere\.json/],
  ]) {
    const { code, stderr } = await xtask(words, where);
    assert.notEqual(code, 0, words.join(" "));
    assert.match(stderr, said);
    assert.ok(!stderr.includes(given.secret), "the secret is not shown");
  }
});

test("a task is created from a file, and a round of three tabs closes on it", async () => {
  const { code, stdout, stderr } = await xtask(["create", "--task", taskFile(), "--rounds", "3", "--start"]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^[0-9a-f]{32}$/);
  task = stdout;
  await openTabs();
  await until(async () => (await report()).history.length > 0, "a closed round");
  await closeTabs();
  const [round] = (await report()).history;
  assert.deepEqual([round.version_before, round.clients, round.survivors, round.dropped], [0, TABS, TABS, 0]);
});

test("the metrics count the round and name no client", async () => {
  const page = await (await fetch(new URL("/metrics", given.url), { headers: asOperator })).text();
  const samples = parse(page);
  const value = (name) => samples.find((one) => one.name === name && one.labels.task === task)?.value;
  assert.ok(value("choir_rounds_closed_total") >= 1);
  assert.ok(value("choir_clients_survived_total") >= TABS);
  assert.ok(value("choir_bytes_up_total") > 0);
  const keys = keysOf((await report()).history[0].round);
  assert.equal(keys.length, 3 * TABS, "the clients' keys are known to this test");
  for (const key of keys) assert.ok(!page.includes(key.toString("hex")) && !page.includes(key.toString("base64")));
  assert.ok(!page.includes("127.0.0.1"));
  assert.equal((await fetch(new URL("/metrics", given.url))).status, 401);
});

test("nothing about a client is stored once its round is over", async () => {
  const stopped = await xtask(["stop", task]);
  assert.equal(stopped.code, 0, stopped.stderr);
  const rows = (await storedRows(given.state)).map((row) => JSON.stringify(row));
  const { history } = await report();
  assert.ok(rows.some((row) => row.includes(history[0].round)), "the round itself is found in the rows");
  for (const key of keysOf(history[0].round)) assert.ok(!rows.some((row) => row.includes(key.toString("hex"))));
});

test("the operator's page shows cohort, drop-outs and accuracy, and starts and stops the task", async () => {
  const sample = readFileSync(given.shares[0], "utf8").trim().split("\n").slice(0, 41);
  const data = join(given.out, "held-out.csv");
  writeFileSync(data, `${sample.join("\n")}\n`);
  const evaluated = await xtask(["evaluate", task, "--data", data]);
  assert.equal(evaluated.code, 0, evaluated.stderr);
  const [, accuracy] = /accuracy ([\d.]+), loss [\d.]+ on \d+ examples/.exec(evaluated.stdout);

  const context = await browser.newContext({ colorScheme: "light" });
  const page = await context.newPage();
  const problems = [];
  const hosts = new Set();
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("request", (request) => hosts.add(new URL(request.url()).origin));
  page.on("console", (message) => message.text().includes("Content Security Policy") && problems.push(message.text()));
  await page.goto(new URL("/operator/", given.url).href);

  // By keyboard alone: past the skip link to the field, then Enter.
  const enter = async (secret) => {
    await page.locator("#secret").focus();
    await page.keyboard.type(secret);
    await page.keyboard.press("Enter");
  };
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.id), "secret");
  await enter("not-the-secret-0123456789");
  await until(async () => (await page.locator("#problem").textContent()).includes("not the operator's secret"), "the refusal");
  assert.equal(await page.locator("[data-task]").count(), 0);
  await enter(given.secret);
  const card = page.locator(`[data-task="${task}"]`);
  await card.waitFor();

  const cell = (name) => card.locator(`tr[data-version="1"] [data-cell="${name}"]`).textContent();
  assert.equal(await cell("clients"), String(TABS));
  assert.equal(await cell("dropped"), "0");
  assert.equal(await card.locator('[data-figure="dropped"]').textContent(), "0");
  // The newest version was measured; it is the first where no second round closed in time.
  const { version } = (await report()).evaluations.at(-1);
  const shown = await card.locator(`tr[data-version="${version}"] [data-cell="accuracy"]`).textContent();
  assert.equal(shown, `${(Number(accuracy) * 100).toFixed(1)} %`);
  assert.match(await card.locator("svg[role=img]").getAttribute("aria-label"), /accuracy from/);

  const state = async () => (await report()).figures.state;
  assert.equal(await state(), "stopped");
  await card.getByRole("button", { name: "Start" }).click();
  await until(async () => (await state()) === "running", "the start");
  await until(() => card.getByRole("button", { name: "Stop" }).isEnabled(), "the page to show it");
  await card.getByRole("button", { name: "Stop" }).click();
  await until(async () => (await state()) === "stopped", "the stop");

  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await paper();
  await page.emulateMedia({ colorScheme: "dark" });
  assert.notEqual(await paper(), light, "there is a dark form");
  const kept = await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie, document.getElementById("secret").value]);
  assert.deepEqual(kept, [0, 0, "", ""], "the secret is kept nowhere");
  await page.reload();
  assert.equal(await page.locator("[data-task]").count(), 0, "a reload forgets it");
  assert.deepEqual([...hosts], [new URL(given.url).origin], "nothing is asked of others");
  assert.deepEqual(problems, []);
  await context.close();
});

test("start and stop work from the command line", async () => {
  for (const [word, state] of [
    ["start", "running"],
    ["stop", "stopped"],
  ]) {
    const { code, stderr } = await xtask([word, task]);
    assert.equal(code, 0, stderr);
    assert.equal((await report()).figures.state, state);
    assert.match((await xtask(["status", task])).stdout, new RegExp(`^${task} ${state}`));
  }
});

test("an export holds the newest adapter and a manifest whose digests agree", async () => {
  const out = join(given.out, "export");
  const { code, stderr } = await xtask(["export", task, "--out", out]);
  assert.equal(code, 0, stderr);
  const read = (name) => readFileSync(join(out, name));
  const manifest = JSON.parse(read("manifest.json"));
  const now = await report();
  assert.deepEqual([manifest.task, manifest.version, manifest.adapter.sha256], [task, now.figures.version, now.adapter]);
  assert.equal(sha256(read(manifest.adapter.file)), manifest.adapter.sha256);
  assert.equal(read(manifest.adapter.file).length, manifest.adapter.values * 4);
  assert.equal(sha256(read(manifest.config.file)), manifest.config.sha256);
  assert.deepEqual(JSON.parse(read(manifest.config.file)).labels, given.labels);
  assert.deepEqual(manifest.history, now.history);
  const again = await xtask(["export", task, "--out", out]);
  assert.match(again.stderr, /is not empty/);
});

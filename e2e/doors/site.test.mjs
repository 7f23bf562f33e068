// Door 2, the site owner: the npm package as it is packed, on pages of other origins than the
// aggregator's: a plain page and a Vite app.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { door, fillers, openBrowser } from "../lib/door.mjs";
import { serveSite } from "../lib/static_site.mjs";

const MINUTES = 60_000;
const told = door();
const aggregator = new URL(told.url).origin;
const examples = join(told.root, "web/examples");
const unpacked = join(told.out, "package");
const plain = join(told.out, "plain");
const share = readFileSync(told.shares[0], "utf8");
const POLICY = `default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; connect-src 'self' ${aggregator} ${aggregator.replace("http", "ws")}`;

let browser;
let crowd;
const servers = [];

before(async () => {
  execFileSync("tar", ["-xzf", tarball(), "-C", told.out]);
  assemble("good", {});
  servers.push(await serveSite(plain, told.origins[0], POLICY));
  browser = await openBrowser();
});
after(async () => {
  await crowd?.close();
  await browser?.close();
  for (const server of servers) server.close();
});

test("the packed SDK on a plain page of another origin says how many wait, finishes a round, and predicts", async (t) => {
  const page = await openPage(t, `${told.origins[0]}/good/`);
  assert.ok(await page.evaluate(() => crossOriginIsolated), "the page is isolated (COOP and COEP)");
  await takePart(page);
  await stateShows(page, "1 of 3");
  assert.equal(await page.locator("#rounds li").count(), 0);
  crowd = await fillers(browser, 2, { task: told.task, engine: "cpu" });
  await roundOfThree(page);
  assert.match(await ask(page), /^.+ \(\d+ %\), by version [1-9]\d*$/);
});

test("a Vite app built from the same package finishes a round on a third origin, and predicts", async (t) => {
  const app = join(told.out, "vite");
  cpSync(join(examples, "vite"), app, { recursive: true });
  const quiet = { cwd: app, stdio: ["ignore", "pipe", "pipe"], encoding: "utf8" };
  execFileSync("npm", ["install", "--no-save", "--offline", "--no-audit", "--no-fund", tarball()], quiet);
  execFileSync(process.execPath, [join(told.root, "web/node_modules/typescript/bin/tsc"), "--project", app], quiet);
  const env = {
    ...process.env,
    VITE_CHOIR_AGGREGATOR: aggregator,
    VITE_CHOIR_TASK: told.task,
    VITE_CHOIR_POLICY: "demo",
    VITE_CHOIR_ENGINE: "cpu",
  };
  const built = join(told.out, "vite-built");
  const vite = join(app, "node_modules/vite/bin/vite.js");
  const printed = execFileSync(process.execPath, [vite, "build", "--outDir", built, "--emptyOutDir"], { ...quiet, env });
  t.diagnostic(`${printed.split("\n").filter((line) => line.includes(".wasm") || line.includes(".js")).length} files made by vite build`);
  servers.push(await serveSite(built, told.origins[1], POLICY));
  const page = await openPage(t, `${told.origins[1]}/`);
  await takePart(page);
  crowd ??= await fillers(browser, 2, { task: told.task, engine: "cpu" });
  await roundOfThree(page);
  assert.match(await ask(page), /^.+ \(\d+ %\), by version [1-9]\d*$/);
});

test("a page predicts without taking part, and sends nothing of the text", async (t) => {
  const page = await openPage(t, `${told.origins[0]}/good/`);
  const asked = [];
  const sockets = [];
  page.context().on("request", (request) => asked.push(request));
  page.on("websocket", (socket) => sockets.push(socket.url()));
  assert.match(await ask(page, "zanzibar, where is my order?"), /^.+ \(\d+ %\), by version \d+$/);
  const foreign = asked.filter((request) => request.url().startsWith(aggregator));
  assert.ok(foreign.some((request) => request.url().includes(`/v1/tasks/${told.task}`)), "the thread's requests are seen here");
  assert.deepEqual([...new Set(foreign.map((request) => request.method()))], ["GET"]);
  assert.deepEqual(asked.filter((request) => /zanzibar/i.test(request.url() + (request.postData() ?? ""))), []);
  assert.deepEqual(sockets, []);
});

test("a page of an origin that is not on the list is told what to add, and where", async (t) => {
  const stranger = await serveSite(plain, "http://127.0.0.1:0", POLICY);
  servers.push(stranger);
  const problem = await problemOf(t, `${stranger.origin}/good/`);
  assert.match(problem, /ALLOWED_ORIGINS/);
  assert.ok(problem.includes(stranger.origin) && problem.includes(aggregator), problem);
});

test("each mistake of a site owner is named with its remedy", async (t) => {
  const nobody = await serveSite(plain, "http://127.0.0.1:0");
  nobody.close();
  assemble("nobody", { aggregator: nobody.origin });
  assert.match(await problemOf(t, `${told.origins[0]}/nobody/`), /cannot be reached.*check the option `aggregator`/s);
  assemble("page", { aggregator: told.origins[0] });
  assert.match(await problemOf(t, `${told.origins[0]}/page/`), /is no Choir aggregator.*check the option `aggregator`/s);
  assemble("no-task", { task: "00".repeat(16) });
  assert.match(await problemOf(t, `${told.origins[0]}/no-task/`), /has no task 0{32}: check the option `task`/);
  for (const missing of ["thread.js", "wasm/protocol/module.js", "wasm/protocol/module.wasm"]) {
    const folder = assemble("missing", {});
    rmSync(join(folder, "choir", missing));
    const problem = await problemOf(t, `${told.origins[0]}/missing/`);
    assert.ok(problem.includes(`${missing} cannot be loaded (the server answered 404)`), problem);
  }
});

test("a file that is not what was packed is refused", async (t) => {
  for (const changed of ["thread.js", "wasm/protocol/module.js", "wasm/protocol/module.wasm"]) {
    const folder = assemble("changed", {});
    // Both still work: an empty statement, an empty custom section.
    appendFileSync(join(folder, "choir", changed), changed.endsWith(".wasm") ? Buffer.from([0, 1, 0]) : ";\n");
    const problem = await problemOf(t, `${told.origins[0]}/changed/`);
    assert.ok(problem.includes(`${changed} is not the file that this version of Choir was built with`), problem);
  }
  const folder = assemble("changed", {});
  appendFileSync(join(folder, "choir/browser.js"), ";\n");
  const page = await openPage(t, "about:blank");
  const errors = [];
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  await page.goto(`${told.origins[0]}/changed/`);
  await page.locator("#consent").click();
  assert.match(errors.join("\n"), /integrity/i);
  assert.equal(await page.locator("#join").isDisabled(), true);
});

function tarball() {
  const folder = dirname(told.packed);
  const [name, ...others] = readdirSync(folder).filter((file) => /^choir-sdk-.*\.tgz$/.test(file));
  assert.ok(name !== undefined && others.length === 0, `one packed SDK in ${folder}`);
  return join(folder, name);
}

/** The plain page beside the unpacked package, in a folder of its own on the same host. */
function assemble(name, settings) {
  const folder = join(plain, name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const all = { aggregator, task: told.task, policy: "demo", engine: "cpu", ...settings };
  const options = Object.entries(all).flatMap(([option, value]) => [`--${option}`, value]);
  execFileSync(process.execPath, [join(examples, "plain/assemble.mjs"), "--package", unpacked, "--out", folder, ...options]);
  return folder;
}

async function openPage(t, address) {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(MINUTES);
  page.on("pageerror", (error) => t.diagnostic(`page: ${error}`));
  await page.goto(address);
  return page;
}

async function takePart(page) {
  await page.locator("#consent").click();
  await page.waitForFunction(() => document.querySelector("#labels").textContent.startsWith("Labels: "));
  await page.locator("#text").fill(share);
  await page.locator("#join").click();
}

/** Waits for a part of the state's text, or for the session's end. */
async function stateShows(page, part) {
  const shows = (expected) => {
    const { textContent } = document.querySelector("#state");
    return textContent.includes(expected) || textContent.startsWith("Ended");
  };
  await page.waitForFunction(shows, part, { timeout: 4 * MINUTES });
  const state = await page.locator("#state").textContent();
  assert.ok(state.includes(part), state);
}

async function roundOfThree(page) {
  const over = () => document.querySelector("#rounds li") !== null || document.querySelector("#state").textContent.startsWith("Ended");
  await page.waitForFunction(over, null, { timeout: 4 * MINUTES });
  assert.equal(await page.locator("#rounds li").count(), 1, await page.locator("#state").textContent());
  const round = page.locator("#rounds li").first();
  assert.match(await round.textContent(), /^Version [1-9]\d* is out: 3 visitors made it\.$/);
}

async function ask(page, text = "where is my parcel?") {
  await page.locator("#question").fill(text);
  await page.locator("#ask button").click();
  const done = () => / by version |cannot|is not|has no/.test(document.querySelector("#answer").textContent);
  await page.waitForFunction(done, null, { timeout: 4 * MINUTES });
  return page.locator("#answer").textContent();
}

/** What the plain page says once the visitor has agreed. */
async function problemOf(t, address) {
  const page = await openPage(t, address);
  await page.locator("#consent").click();
  await page.waitForFunction(() => document.querySelector("#problem").textContent !== "");
  const problem = await page.locator("#problem").textContent();
  await page.context().close();
  return problem;
}

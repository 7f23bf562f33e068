// Drives tabs of real Chromium through the demo page.
//
//   node drive.mjs PLAN.json
//
// The plan: { url, task, engine, policy, headless, tabs: [{ share }], out, record, helper }. Events go
// to stdout, one line of JSON each; commands come on stdin, one line each:
//   {"command":"close","tab":1,"at":"before-share"}   closes the tab when it gets there
//   {"command":"open","tab":1}                        opens a fresh tab on the same share
//   {"command":"hold","tab":1,"at":"upload"}          holds its upload, or its "ack", on the way
//   {"command":"release","tab":1}                     lets go what is held
//   {"command":"write","tab":1,"text":"Once","screenshot":"FILE"}  begins a text in its editor
//   {"command":"end"}                                 ends, as does the end of stdin
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { launchBrowser } from "./lib/browser.mjs";
import { Tab } from "./lib/tab.mjs";

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const report = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

const netLog = plan.record && join(plan.record, "net-log.json");
const browser = await launchBrowser({ headless: plan.headless ?? true, netLog });
const tabs = plan.tabs.map((tab, index) => new Tab({ ...plan, ...tab, index, browser, report }));
let ending = false;

async function end(code) {
  if (ending) return;
  ending = true;
  for (const tab of tabs) tab.end();
  await Promise.race([browser.close(), new Promise((resolve) => setTimeout(resolve, 5000))]);
  process.exit(code);
}

function fail(error) {
  if (ending) return;
  report({ event: "failed", message: String(error?.stack ?? error) });
  void end(1);
}

async function obey({ command, tab, at, text, screenshot }) {
  if (command === "close") tabs[tab].closeAt(at);
  else if (command === "open") await tabs[tab].open();
  else if (command === "hold") tabs[tab].holdAt(at);
  else if (command === "release") tabs[tab].release();
  else if (command === "write") await tabs[tab].write(text, screenshot);
  else if (command === "end") await end(0);
  else throw new Error(`no such command: ${command}`);
}

const input = createInterface({ input: process.stdin });
input.on("line", (line) => obey(JSON.parse(line)).catch(fail));
input.on("close", () => void end(0));
browser.on("disconnected", () => fail(new Error("the browser ended")));

try {
  // One after the other: the first fills nothing of the others' caches, but starts the GPU alone.
  for (const tab of tabs) await tab.open();
  report({ event: "open", tabs: tabs.length });
} catch (error) {
  fail(error);
}

// The extension in real Chromium: its popup, its service worker, and the choices in its menu.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { launchWithExtension } from "./browser.mjs";

const MINUTES = 60_000;
/** Looks into the menu, 50 ms apart. */
const TRIES = 100;

export class Extension {
  /** Launches a browser with it, and opens its popup as a page. */
  static async open(told, { netLog } = {}) {
    const id = readFileSync(join(told.root, "web/extension/id.txt"), "utf8").trim();
    const context = await launchWithExtension(told.extension, join(told.out, "profile"), { netLog });
    const background = context.serviceWorkers()[0] ?? (await context.waitForEvent("serviceworker", { timeout: MINUTES }));
    const popup = await context.newPage();
    popup.setDefaultTimeout(MINUTES);
    await popup.goto(`chrome-extension://${id}/popup.html`);
    return new Extension(id, context, background, popup);
  }

  constructor(id, context, background, popup) {
    Object.assign(this, { id, context, background, popup });
  }

  /** Saves whom and what the visitor chose. */
  async configure(aggregator, task) {
    const { popup, background } = this;
    await popup.locator("summary").click();
    await popup.locator("#aggregator").fill(aggregator);
    await popup.locator("#task-id").fill(task);
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

  /** Agrees, and waits until the aggregator has said what the task is. */
  async agree() {
    await this.popup.locator("#consent").click();
    await this.popup.waitForFunction(() => document.querySelector("#task").textContent.includes("cohort has 3"));
  }

  async optIn(site) {
    await this.popup.locator("#site").fill(`${site}/some/page`);
    await this.popup.getByRole("button", { name: "Use text from this site" }).click();
    await this.popup.waitForFunction((site) => document.querySelector("#sites").textContent.includes(site), site);
  }

  /** A page in a tab of its own, with the number that the browser has for that tab. */
  async visit(address) {
    const known = await this.#tabs();
    const page = await this.context.newPage();
    await page.goto(address);
    const tab = (await this.#tabs()).find((id) => !known.includes(id));
    return { page, tab };
  }

  #tabs() {
    return this.background.evaluate(async () => (await chrome.tabs.query({})).map(({ id }) => id));
  }

  /**
   * What a true choice in the menu gives besides its event: the browser lets the extension into that
   * tab until it leaves the site. No driver can open the browser's own menu; a press of the extension's
   * button gives the same.
   */
  async letIn(page) {
    const session = await this.context.browser().newBrowserCDPSession();
    const filter = [{ type: "tab" }];
    const { targetInfos } = await session.send("Target.getTargets", { filter });
    const target = targetInfos.find(({ url }) => url === page.url());
    await session.send("Extensions.triggerAction", { id: this.id, targetId: target.targetId });
    await session.detach();
  }

  /** The event of a choice in the menu, as the browser sends it. */
  choose(menuItemId, { page, tab }, selectionText) {
    const event = { menuItemId, pageUrl: page.url(), editable: false, ...(selectionText === undefined ? {} : { selectionText }) };
    return this.background.evaluate(([event, tab]) => chrome.contextMenus.onClicked.dispatch(event, tab), [event, { id: tab, url: page.url() }]);
  }

  /**
   * Whether the menu has an entry of that id. The popup may show a change a moment before the menu has
   * it: what is expected is waited for.
   */
  offers(menuItemId, expected) {
    return this.background.evaluate(
      async ([id, expected, tries]) => {
        const has = () => new Promise((resolve) => chrome.contextMenus.update(id, {}, () => resolve(chrome.runtime.lastError === undefined)));
        for (let left = tries; left > 0 && (await has()) !== expected; left--) await new Promise((resolve) => setTimeout(resolve, 50));
        return has();
      },
      [menuItemId, expected, TRIES],
    );
  }

  exampleCount(count) {
    return this.popup.waitForFunction((expected) => document.querySelectorAll("#examples li").length === expected, count);
  }

  async problem(expected) {
    await this.popup.waitForFunction(() => document.querySelector("#problem").textContent !== "");
    await this.popup.waitForFunction((source) => new RegExp(source).test(document.querySelector("#problem").textContent), expected.source);
  }

  /** Takes part and waits until others are waited for; yields what the popup said on the way. */
  async takePart() {
    await this.popup.evaluate(() => {
      window.said = [];
      const state = document.querySelector("#state");
      new MutationObserver(() => window.said.push(state.textContent)).observe(state, { childList: true, characterData: true, subtree: true });
    });
    await this.popup.locator("#join").click();
    const isWaiting = () => /1 of 3|^Ended/.test(document.querySelector("#state").textContent);
    await this.popup.waitForFunction(isWaiting, null, { timeout: 4 * MINUTES });
    return this.popup.evaluate(() => [...window.said, document.querySelector("#state").textContent]);
  }

  /** The line of the first round, once it is out. */
  async firstRound() {
    const isOver = () => document.querySelector("#rounds li") !== null || document.querySelector("#state").textContent.startsWith("Ended");
    await this.popup.waitForFunction(isOver, null, { timeout: 4 * MINUTES });
    return this.popup.evaluate(() => document.querySelector("#rounds li")?.textContent ?? document.querySelector("#state").textContent);
  }

  async leave() {
    await this.popup.locator("#leave").click();
    await this.popup.waitForFunction(() => document.querySelector("#state").textContent.startsWith("Ended: "));
  }

  /** Forgets everything; yields what is left in storage, caches and local storage. */
  async forget() {
    await this.popup.locator("#forget").click();
    await this.popup.waitForFunction(() => document.querySelector("#state").textContent === "Everything is forgotten.");
    const stored = await this.background.evaluate(() => chrome.storage.local.get(null));
    const kept = await this.popup.evaluate(async () => [await caches.keys(), Object.keys(localStorage)]);
    return [stored, ...kept];
  }
}

/** A task's rounds as the aggregator tells them; `name` is of the folder that is written for it. */
export function historyOf(told, task, name) {
  const out = join(told.out, `export-${name}`);
  const env = { ...process.env, OPERATOR_SECRET: told.secret };
  execFileSync(told.xtask, ["task", "export", task, "--aggregator", new URL(told.url).origin, "--out", out], { cwd: told.root, env });
  return JSON.parse(readFileSync(join(out, "manifest.json"), "utf8")).history;
}

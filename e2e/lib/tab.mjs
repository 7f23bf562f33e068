// One visitor: a page of the demo, opened through a proxy of its own, fed with one share of data.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { webgpuAdapter } from "./browser.mjs";
import { compareAdapters, eventsSince, openDemo, suggestionIn, takePart, writeInEditor } from "./demo_page.mjs";
import { TabProxy } from "./proxy.mjs";

const POLL_MS = 200;
/** A tab that is told to write has nothing left to train but its last evaluation. */
const TRAINED_MS = 120_000;

export class Tab {
  #plan;
  #proxy;
  #address = null;
  #context = null;
  #page = null;
  #timer = null;
  #seen = 0;
  #closed = true;

  constructor(plan) {
    this.#plan = plan;
    this.#proxy = new TabProxy(plan.url, plan.record && join(plan.record, `tab-${plan.index}.bin`));
  }

  /** Opens a fresh page, opts in, and gives it its share. */
  async open() {
    const { browser, engine, policy, task, share, seed, helper, index, report } = this.#plan;
    this.#address ??= await this.#proxy.listen();
    this.#proxy.reopen();
    // Twice as fine as usual, for pictures of the page.
    this.#context ??= await browser.newContext({ deviceScaleFactor: 2 });
    this.#page = await this.#context.newPage();
    const page = this.#page;
    page.on("console", (message) => {
      if (message.type() === "error") report({ event: "console", tab: index, text: message.text() });
    });
    page.on("request", (request) => {
      const url = request.url();
      const own = [this.#address, this.#address.replace("http", "ws"), "blob:", "data:"];
      if (!own.some((start) => url.startsWith(start))) {
        report({ event: "failed", message: `tab ${index} asked ${url}` });
      }
    });
    page.on("crash", () => report({ event: "failed", message: `tab ${index} crashed` }));
    page.on("pageerror", (error) => report({ event: "console", tab: index, text: String(error.stack ?? error) }));
    this.#seen = 0;
    this.#closed = false;
    await openDemo(page, `${this.#address}/`, { task, engine, policy, seed, helper });
    if (engine === "webgpu") {
      const found = await webgpuAdapter(page);
      if (found.device !== "webgpu") throw new Error(`tab ${index} has no WebGPU: ${found.adapter}`);
      report({ event: "adapter", tab: index, ...found });
    }
    await takePart(page, share);
    report({ event: "opted-in", tab: index });
    this.#watch(page);
  }

  /** Closes the page when its round gets to that point. */
  closeAt(point) {
    this.#proxy.closeAt(point, () => {
      this.#closed = true;
      const page = this.#page;
      this.#stopWatching();
      this.#lastWords(page)
        .then(() => page.close())
        .catch(() => {})
        .finally(() => this.#plan.report({ event: "closed", tab: this.#plan.index, at: point }));
    });
  }

  /** Holds the next upload or signature of this tab until it is released. */
  holdAt(point) {
    this.#proxy.gate.holdAt(point, () => this.#plan.report({ event: "held", tab: this.#plan.index, at: point }));
  }

  release() {
    this.#proxy.gate.release();
  }

  /** Begins a text in the page's editor, reports what is suggested and takes a picture of it. */
  async write(text, screenshot) {
    const page = this.#page;
    await page.waitForFunction(() => window.choirDemo.state === "stopped", null, { timeout: TRAINED_MS });
    await writeInEditor(page, text);
    const compared = await compareAdapters(page);
    // Comparing has taken the suggestion away; asked for once more, the text is read already.
    await page.locator("#editor").focus();
    await page.keyboard.press("Control+Space");
    const { tokensPerSecond, ...suggestion } = await suggestionIn(page);
    // The button that was clicked is not to look as if it still were.
    await page.mouse.move(0, 0);
    await page.locator("#writing").screenshot({ path: screenshot });
    const { index, report } = this.#plan;
    report({ event: "suggestion", tab: index, ...suggestion, tokens_per_second: tokensPerSecond, compared });
  }

  end() {
    this.#closed = true;
    this.#stopWatching();
    this.#proxy.end();
  }

  // What a test compares the sum with may be told just before the end.
  async #lastWords(page) {
    const events = await eventsSince(page, this.#seen).catch(() => []);
    for (const event of events) if (event.kind === "observed") this.#pass(event);
  }

  #stopWatching() {
    clearTimeout(this.#timer);
    this.#timer = null;
  }

  #watch(page) {
    const look = async () => {
      if (this.#closed || page !== this.#page) return;
      try {
        for (const event of await eventsSince(page, this.#seen)) this.#pass(event);
      } catch (error) {
        if (!this.#closed) this.#plan.report({ event: "failed", message: String(error.stack ?? error) });
        return;
      }
      if (!this.#closed) this.#timer = setTimeout(look, POLL_MS);
    };
    this.#timer = setTimeout(look, POLL_MS);
  }

  // What only an observe build shows goes to files, everything else straight on.
  #pass(event) {
    this.#seen += 1;
    const { index, out, report } = this.#plan;
    if (event.kind === "observed") {
      const { round, words, values, tokens, starts } = event;
      const files = Object.entries({ plain: words, values, tokens, starts }).map(([name, content]) => {
        const file = join(out, `${name}-${round}-${index}.bin`);
        writeFileSync(file, Buffer.from(content, "base64"));
        return file;
      });
      report({ event: "plain", tab: index, round, file: files[0] });
    } else {
      report({ event: "page", tab: index, page: event });
    }
  }
}
